// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package mld_test

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarion-lb/clarion/internal/mld"
)

func TestQueriesAreRead(t *testing.T) {
	source := netip.MustParseAddr("2001:db8::7")
	for name, c := range map[string]struct {
		packet []byte
		want   mld.Query
	}{
		"general": {queryPacket(netip.IPv6Unspecified(), false), mld.Query{
			Version: 2, Group: netip.IPv6Unspecified(), Delay: time.Second, Robustness: 3, Interval: 125 * time.Second,
		}},
		"group": {queryPacket(group(1), false), mld.Query{
			Version: 2, Group: group(1), Delay: time.Second, Robustness: 3, Interval: 125 * time.Second,
		}},
		"group and source": {queryPacket(group(1), false, source), mld.Query{
			Version: 2, Group: group(1), Delay: time.Second, Robustness: 3, Interval: 125 * time.Second, Sources: []netip.Addr{source},
		}},
		"version 1": {queryPacket(netip.IPv6Unspecified(), true), mld.Query{
			Version: 1, Group: netip.IPv6Unspecified(), Delay: time.Second,
		}},
		"padding of Ethernet": {append(queryPacket(group(1), true), 0, 0, 0), mld.Query{Version: 1, Group: group(1), Delay: time.Second}},
		"code, which is ignored, 5.1.1": {seal(spoil(queryPacket(group(1), true), 49, 7)), mld.Query{
			Version: 1, Group: group(1), Delay: time.Second,
		}},
		"data behind a version 2 query, 5.1.11": {packet(append(queryPacket(group(1), false)[48:], 1, 2, 3, 4)), mld.Query{
			Version: 2, Group: group(1), Delay: time.Second, Robustness: 3, Interval: 125 * time.Second,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := mld.ParseQuery(c.packet)
			if d := cmp.Diff(c.want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); !ok || d != "" {
				t.Errorf("%v %s", ok, d)
			}
		})
	}
}

func TestCodesOfDelayAndInterval(t *testing.T) {
	for code, want := range map[uint16]time.Duration{
		0: 0, 10_000: 10 * time.Second, 0x7fff: 32767 * time.Millisecond,
		0x8000: 32768 * time.Millisecond, 0xffff: 8_387_584 * time.Millisecond,
	} {
		b := queryPacket(group(1), false)
		binary.BigEndian.PutUint16(b[52:], code)
		if q, ok := mld.ParseQuery(seal(b)); !ok || q.Delay != want {
			t.Errorf("response code %#x: %s", code, q.Delay)
		}
	}
	for code, want := range map[byte]time.Duration{
		0: 0, 127: 127 * time.Second, 128: 128 * time.Second, 255: 31_744 * time.Second,
	} {
		if q, ok := mld.ParseQuery(seal(spoil(queryPacket(group(1), false), 73, code))); !ok || q.Interval != want {
			t.Errorf("interval code %#x: %s", code, q.Interval)
		}
	}
}

func spoil(b []byte, at int, v byte) []byte { b[at] = v; return b }

// TestWhatIsNoProperQueryIsIgnored spoils one thing of a good query at a time, with its
// checksum right again where that is not the point.
func TestWhatIsNoProperQueryIsIgnored(t *testing.T) {
	good := func() []byte { return queryPacket(group(1), false, querier()) }
	for name, b := range map[string][]byte{
		"IP version":                       spoil(good(), 0, 0x40),
		"no hop-by-hop header, 6.2":        spoil(good(), 6, 58),
		"hop limit, 6.2":                   spoil(good(), 7, 2),
		"source of another scope, 6.2":     seal(spoil(spoil(good(), 8, 0x20), 9, 1)),
		"checksum":                         spoil(good(), 50, 0),
		"next header of the options":       spoil(good(), 40, 17),
		"options longer than the packet":   spoil(good(), 41, 200),
		"an option longer than the header": spoil(good(), 43, 9),
		"no router alert, 6.2":             spoil(good(), 42, 1),
		"router alert for RSVP":            spoil(good(), 45, 1),
		"option that must be understood":   spoil(good(), 42, 0xc5),
		"no query":                         seal(spoil(good(), 48, 131)),
		"group that is none":               seal(spoil(good(), 56, 0x20)),
		"sources of no group":              seal(queryPacket(netip.IPv6Unspecified(), false, querier())),
		"fewer sources than it says":       seal(spoil(good(), 75, 2)),
		"payload longer than the packet":   spoil(good(), 5, 200),
		"26 octets, 8.1":                   packet(queryPacket(group(1), false)[48:74]),
		"20 octets":                        packet(queryPacket(group(1), true)[48:68]),
		"cut off":                          good()[:60],
		"nothing":                          nil,
	} {
		t.Run(name, func(t *testing.T) {
			if q, ok := mld.ParseQuery(b); ok {
				t.Errorf("taken for %+v", q)
			}
		})
	}
	if _, ok := mld.ParseQuery(good()); !ok {
		t.Error("the good one is ignored")
	}
}

// TestReportsHaveTheirForm compares with packets put together by hand.
func TestReportsHaveTheirForm(t *testing.T) {
	from := netip.MustParseAddr("fe80::2")
	for name, c := range map[string]struct {
		message mld.Message
		to      string
		body    []byte // with a checksum of 0
	}{
		"version 2": {
			mld.Message{Kind: mld.ReportV2, Records: []mld.Record{
				{Type: mld.ToExclude, Group: group(1)}, {Type: mld.IsInclude, Group: group(2), Sources: []netip.Addr{from}},
			}}, "ff02::16",
			slices.Concat([]byte{143, 0, 0, 0, 0, 0, 0, 2, 4, 0, 0, 0}, group(1).AsSlice(),
				[]byte{1, 0, 0, 1}, group(2).AsSlice(), from.AsSlice()),
		},
		"version 1": {mld.Message{Kind: mld.ReportV1, Group: group(1)}, group(1).String(),
			slices.Concat([]byte{131, 0, 0, 0, 0, 0, 0, 0}, group(1).AsSlice())},
		"done": {mld.Message{Kind: mld.DoneV1, Group: group(1)}, "ff02::2",
			slices.Concat([]byte{132, 0, 0, 0, 0, 0, 0, 0}, group(1).AsSlice())},
	} {
		t.Run(name, func(t *testing.T) {
			want := slices.Concat([]byte{0x60, 0, 0, 0, 0, byte(8 + len(c.body)), 0, 1},
				from.AsSlice(), netip.MustParseAddr(c.to).AsSlice(), []byte{58, 0, 5, 2, 0, 0, 1, 0}, c.body)
			if got := c.message.Packet(from); !bytes.Equal(got, seal(want)) {
				t.Errorf("got  %x\nwant %x", got, want)
			}
		})
	}
}

func FuzzParseQuery(f *testing.F) {
	f.Add(queryPacket(netip.IPv6Unspecified(), true))
	f.Add(queryPacket(group(1), false, querier()))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 76 {
			seal(b) // or hardly anything would get past the checksum
		}
		q, ok := mld.ParseQuery(b)
		if ok && (q.Version < 1 || q.Version > 2 || !q.Group.IsValid() || q.Delay < 0 || 16*len(q.Sources) > len(b)) {
			t.Errorf("strange query %+v", q)
		}
	})
}

// FuzzListener does at random what a host and the network can do, and checks that all groups
// that remain are told, that none is told that was not joined, and that it comes to rest.
func FuzzListener(f *testing.F) {
	f.Add([]byte{0, 1, 0, 2, 9, 9, 2, 1, 6, 3, 1, 1, 5, 0, 8, 0})
	f.Fuzz(func(t *testing.T, steps []byte) {
		h := newHost()
		joined := make(map[netip.Addr]int)
		for i := 0; i+1 < len(steps) && i < 400; i += 2 {
			arg := int(steps[i+1])
			switch g := group(arg % 70); steps[i] % 10 {
			case 0, 1:
				h.Join(g)
				joined[g] = 1
			case 2:
				h.Leave(g)
				delete(joined, g)
			case 3:
				h.Forget(g)
				delete(joined, g)
			case 4:
				h.Restart()
			case 5:
				h.ask(general(time.Duration(arg) * 10 * time.Millisecond))
			case 6:
				h.ask(specific(g, querier()))
			case 7:
				h.ask(specific(g))
			case 8:
				h.ask(generalV1(time.Duration(arg) * 10 * time.Millisecond))
			case 9:
				h.run(t, time.Duration(arg)*time.Duration(arg)*time.Millisecond)
			}
		}
		h.run(t, time.Hour) // also brings version 2 back
		if _, ok := h.Deadline(); ok {
			t.Fatal("does not come to rest")
		}
		h.ask(general(time.Second))
		got := told(h.run(t, 2*time.Second), mld.IsExclude)
		if !slices.Equal(sorted(got), sorted(joined)) {
			t.Errorf("told %v, joined %v", sorted(got), sorted(joined))
		}
	})
}
