// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"net"
	"net/netip"
	"testing"
)

func TestAFaultTellsMiddleAndWorst(t *testing.T) {
	f := l2Fault{name: "link cut", planned: true, targets: l2Targets{p50: 400, worst: 700, two: 250}}
	got := map[string]Result{}
	for _, r := range f.results("l2/", []l2Run{
		{outage: 300, silence: 310, two: 5, answered: 99.5},
		{outage: 900, silence: 200, two: 0, answered: 100},
		{outage: 350, silence: 400, two: 260, answered: 98},
	}, 1) {
		got[r.Name] = r
	}
	for name, want := range map[string]struct {
		value   float64
		verdict string
	}{
		"l2/link cut/invalid runs":     {1, ""},
		"l2/link cut/outage p50":       {350, "met"},
		"l2/link cut/outage worst":     {900, "MISSED"},
		"l2/link cut/silence worst":    {400, "met"},
		"l2/link cut/two owners p50":   {5, ""},
		"l2/link cut/two owners worst": {260, "MISSED"},
		"l2/link cut/answered worst":   {98, "MISSED"},
	} {
		if r := got[name]; r.Value != want.value || r.verdict() != want.verdict {
			t.Errorf("%s is %v, %q, want %v, %q", name, r.Value, r.verdict(), want.value, want.verdict)
		}
	}
}

func TestResultsOfOtherFaultsAreKept(t *testing.T) {
	dir := t.TempDir()
	for _, w := range []struct {
		merge   bool
		results []Result
	}{
		{false, []Result{{Name: "a", Value: 1}, {Name: "b", Value: 1}}},
		{true, []Result{{Name: "b", Value: 2}, {Name: "c", Value: 2}}},
	} {
		if _, err := writeJSON(dir, "l2", w.results, w.merge); err != nil {
			t.Fatal(err)
		}
	}
	got, err := readJSON(dir + "/l2.json")
	if err != nil {
		t.Fatal(err)
	}
	want := []Result{{Name: "a", Value: 1}, {Name: "b", Value: 2}, {Name: "c", Value: 2}}
	if len(got) != len(want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("result %d is %v, want %v", i, got[i], want[i])
		}
	}
}

// An ARP request as RFC 826 has it, which is no probe: its sender says who it is.
func TestRequestIsNoProbe(t *testing.T) {
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 7}
	got := request(mac, netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.9"))
	want := []byte{
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 7, 8, 6,
		0, 1, 8, 0, 6, 4, 0, 1,
		2, 0, 0, 0, 0, 7, 192, 0, 2, 1,
		0, 0, 0, 0, 0, 0, 192, 0, 2, 9,
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got  %x\nwant %x", got, want)
	}
}

// A neighbour solicitation as RFC 4861 has it, from an address, to the solicited-node group.
func TestSolicitationIsNoDuplicateAddressDetection(t *testing.T) {
	self, addr := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::12:3456")
	got := solicitation(net.HardwareAddr{2, 0, 0, 0, 0, 7}, self, addr)
	group := netip.MustParseAddr("ff02::1:ff12:3456")
	want := bytes.Join([][]byte{
		{0x33, 0x33, 0xff, 0x12, 0x34, 0x56, 2, 0, 0, 0, 0, 7, 0x86, 0xdd},
		{0x60, 0, 0, 0, 0, 32, 58, 255}, self.AsSlice(), group.AsSlice(),
		{135, 0}, got[56:58], {0, 0, 0, 0}, addr.AsSlice(), {1, 1, 2, 0, 0, 0, 0, 7},
	}, nil)
	if !bytes.Equal(got, want) {
		t.Fatalf("got  %x\nwant %x", got, want)
	}
	// The sum over a message with a right checksum is zero.
	if sum := checksum(append(append(append(self.AsSlice(), group.AsSlice()...), 0, 0, 0, 32, 0, 0, 0, 58), got[54:]...)); sum != 0 {
		t.Errorf("the checksum is off by %x", sum)
	}
}

func TestAFaultWithoutValidRunsTellsHowManyThereWere(t *testing.T) {
	got := l2Fault{name: "link cut", planned: true}.results("l2/ipv6/", nil, 2)
	if len(got) != 1 || got[0].Name != "l2/ipv6/link cut/invalid runs" || got[0].Value != 2 {
		t.Errorf("got %v", got)
	}
}
