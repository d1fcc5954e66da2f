// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"net"
	"net/netip"
	"slices"
	"testing"
)

// One list must tell what package net tells link by link, in the same order.
func TestAddressesAreThoseOfAllLinks(t *testing.T) {
	links, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	own := addresses()
	for i := range links {
		addrs, err := links[i].Addrs()
		if err != nil {
			t.Fatal(err)
		}
		var want, got []netip.Addr
		for _, a := range addrs {
			p := netip.MustParsePrefix(a.String())
			want = append(want, p.Addr())
		}
		for _, a := range own {
			if a.link == links[i].Index {
				got = append(got, a.addr)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s has %v, want %v", links[i].Name, got, want)
		}
	}
	if len(own) == 0 {
		t.Error("not even the loopback address was found")
	}
}

func TestSiblingsAreOfTheSameLink(t *testing.T) {
	loopback := netip.MustParseAddr("127.0.0.1")
	if four, six := siblings(loopback); four != loopback || six.IsValid() && !six.IsLoopback() {
		t.Errorf("beside the loopback address: %s, %s", four, six)
	}
	for _, stranger := range []netip.Addr{{}, netip.MustParseAddr("192.0.2.200")} {
		if four, six := siblings(stranger); four.IsValid() || six.IsValid() {
			t.Errorf("beside %s: %s, %s", stranger, four, six)
		}
	}
}
