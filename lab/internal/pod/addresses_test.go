// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"fmt"
	"net/netip"
	"testing"
)

func dual() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("10.244.1.0/24"), netip.MustParsePrefix("fd00:244:0:1::/64")}
}

func TestAddressesAreUniqueStableAndRunOut(t *testing.T) {
	a := NewAddresses(dual())
	seen := map[netip.Addr]string{}
	for i := range lastPod - firstPod + 1 {
		uid := fmt.Sprint("pod", i)
		got, err := a.Get(uid)
		if err != nil {
			t.Fatal(err)
		}
		for j, addr := range got {
			if !dual()[j].Contains(addr) {
				t.Fatalf("%s is outside %s", addr, dual()[j])
			}
			if other, dup := seen[addr]; dup {
				t.Fatalf("%s and %s share %s", uid, other, addr)
			}
			seen[addr] = uid
		}
		again, err := a.Get(uid)
		if err != nil || again[0] != got[0] {
			t.Fatalf("second Get(%s) = %v, %v, want %v", uid, again, err, got)
		}
	}
	if _, err := a.Get("one too many"); err == nil {
		t.Error("want an error when all addresses are taken")
	}
	a.Release("pod7")
	if got, err := a.Get("later"); err != nil || seen[got[0]] != "pod7" {
		t.Errorf("Get after Release = %v, %v, want pod7's address", got, err)
	}
}

func TestAReleasedAddressIsNotUsedAgainAtOnce(t *testing.T) {
	a := NewAddresses(dual()[:1])
	first, _ := a.Get("a")
	a.Release("a")
	if second, _ := a.Get("b"); second[0] == first[0] {
		t.Errorf("%s was given out twice in a row", first[0])
	}
}

func TestClaim(t *testing.T) {
	a := NewAddresses(dual())
	taken, _ := a.Get("owner")
	for _, tc := range []struct {
		name, uid string
		addr      string
		want      bool
	}{
		{"someone else's address", "x", taken[0].String(), false},
		{"its own address again", "owner", taken[0].String(), true},
		{"a free address", "y", "10.244.1.77", true},
		{"a second address for one pod", "y", "10.244.1.78", false},
		{"a reserved address", "z", "10.244.1.1", false},
		{"another node's address", "z", "10.244.2.77", false},
		{"by its IPv6 address", "w", "fd00:244:0:1::50", true},
	} {
		if got := a.Claim(tc.uid, netip.MustParseAddr(tc.addr)); got != tc.want {
			t.Errorf("%s: Claim = %v, want %v", tc.name, got, tc.want)
		}
	}
	if got, _ := a.Get("w"); got[0].String() != "10.244.1.80" {
		t.Errorf("the IPv4 address beside fd00:244:0:1::50 is %s, want 10.244.1.80", got[0])
	}
}
