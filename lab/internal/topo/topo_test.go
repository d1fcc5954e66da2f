// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package topo

import (
	"net/netip"
	"testing"
)

func TestValidate(t *testing.T) {
	for _, tc := range []struct {
		name string
		lab  Lab
		ok   bool
	}{
		{"default", Lab{"clarion", 3, IPv4}, true},
		{"one node, dual", Lab{"x", 1, Dual}, true},
		{"no node", Lab{"x", 0, IPv4}, false},
		{"too many nodes", Lab{"x", MaxNodes + 1, IPv4}, false},
		{"unknown family", Lab{"x", 1, "ipv5"}, false},
		{"dash would make prefixes ambiguous", Lab{"a-b", 1, IPv4}, false},
		{"name longer than an interface name allows", Lab{"abcdefghijk", 1, IPv4}, false},
		{"empty name", Lab{"", 1, IPv4}, false},
	} {
		if err := tc.lab.Validate(); (err == nil) != tc.ok {
			t.Errorf("%s: Validate() = %v, want ok = %v", tc.name, err, tc.ok)
		}
	}
}

func TestEveryAddressIsUniqueAndInsideItsPrefix(t *testing.T) {
	l := Lab{"x", MaxNodes, Dual}
	seen := map[netip.Addr]string{}
	macs := map[string]string{}
	for _, h := range l.Hosts() {
		addrs, err := l.Addrs(h)
		if err != nil {
			t.Fatal(err)
		}
		if len(addrs) != 2 || !addrs[0].Addr().Is4() || !addrs[1].Addr().Is6() {
			t.Fatalf("%s: addresses %v, want IPv4 then IPv6", h, addrs)
		}
		for _, a := range addrs {
			if other, dup := seen[a.Addr()]; dup {
				t.Errorf("%s and %s share %s", h, other, a)
			}
			seen[a.Addr()] = h
			first, _ := l.Addrs(Router)
			if !first[0].Contains(a.Addr()) && !first[1].Contains(a.Addr()) {
				t.Errorf("%s: %s is not on the LAN", h, a)
			}
		}
		mac, err := l.MAC(h)
		if err != nil {
			t.Fatal(err)
		}
		if other, dup := macs[mac.String()]; dup {
			t.Errorf("%s and %s share %s", h, other, mac)
		}
		macs[mac.String()] = h
		if got := l.HostOf(mac); got != h {
			t.Errorf("HostOf(%s) = %q, want %q", mac, got, h)
		}
	}
	pool := netip.MustParseAddr("192.168.100.100")
	for a, h := range seen {
		if a.Is4() && !a.Less(pool) {
			t.Errorf("%s of %s is inside the range kept for pools", a, h)
		}
	}
}

func TestPodPrefixesAreDisjointAndInTheClusterPrefix(t *testing.T) {
	l := Lab{"x", MaxNodes, Dual}
	var all []netip.Prefix
	for n := 1; n <= l.Nodes; n++ {
		for i, p := range l.PodCIDRs(n) {
			if !l.ClusterCIDRs()[i].Contains(p.Addr()) {
				t.Errorf("pod prefix %s is outside %s", p, l.ClusterCIDRs()[i])
			}
			for _, q := range all {
				if p.Overlaps(q) {
					t.Errorf("pod prefixes %s and %s overlap", p, q)
				}
			}
			all = append(all, p)
		}
	}
}

func TestFamilyPicksPrefixes(t *testing.T) {
	for f, want := range map[Family]string{
		IPv4: "[10.244.2.0/24]",
		IPv6: "[fd00:244:0:2::/64]",
		Dual: "[10.244.2.0/24 fd00:244:0:2::/64]",
	} {
		if got := fmtPrefixes(Lab{"x", 3, f}.PodCIDRs(2)); got != want {
			t.Errorf("%s: pod prefixes %s, want %s", f, got, want)
		}
	}
}

func TestNodeNumber(t *testing.T) {
	l := Lab{"x", 3, IPv4}
	for name, want := range map[string]int{"n1": 1, "p3": 3, "n4": 0, "n0": 0, "n01": 0, "client": 0, "n": 0, "": 0, "n-1": 0} {
		got, ok := l.NodeNumber(name)
		if ok != (want != 0) || got != want {
			t.Errorf("NodeNumber(%q) = %d, %v, want %d", name, got, ok, want)
		}
	}
	if l.IsNode("p1") {
		t.Error("p1 is a pod namespace, not a node")
	}
	if _, err := l.Addrs("n4"); err == nil {
		t.Error("Addrs(n4) of a lab with 3 nodes: want an error")
	}
}

func TestReservedPodAddresses(t *testing.T) {
	p := netip.MustParsePrefix("10.244.7.0/24")
	if g, h := Gateway(p), PodHostAddr(p); g.String() != "10.244.7.1" || h.String() != "10.244.7.2" {
		t.Errorf("reserved addresses %s and %s, want .1 and .2", g, h)
	}
}

func fmtPrefixes(ps []netip.Prefix) string {
	s := "["
	for i, p := range ps {
		if i > 0 {
			s += " "
		}
		s += p.String()
	}
	return s + "]"
}
