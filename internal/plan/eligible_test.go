// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/clarion-lb/clarion/internal/lb"
)

// node-c owns 192.0.2.1 by hash, node-e comes next, then node-a (see TestWhoAnnounces). Each row
// takes one thing away from node-c, or something that must not matter, and says who owns the
// address then and what is said of node-c.
func TestWhatKeepsANodeFromOwning(t *testing.T) {
	interfaces := func(c ...string) func(*lb.Snapshot, *lb.View) {
		return func(s *lb.Snapshot, v *lb.View) {
			s.L2[0].Interfaces = []string{"eth1"}
			v.Interfaces = map[string]lb.Usable{"node-c": both(c...), "node-e": both("eth1")}
		}
	}
	tests := []struct {
		rule   string
		change func(*lb.Snapshot, *lb.View)
		owner  string
		c      lb.Reason
	}{
		{"nothing", func(*lb.Snapshot, *lb.View) {}, "node-c", lb.NodeAssigned},
		{"no live speaker", func(_ *lb.Snapshot, v *lb.View) { v.Members = []string{"node-a", "node-b", "node-d", "node-e"} }, "node-e", lb.NoSpeaker},
		{"the condition NetworkUnavailable", func(s *lb.Snapshot, _ *lb.View) { s.Nodes[2].NetworkUnavailable = true }, "node-e", lb.NodeNetworkUnavailable},
		{"the label that excludes", func(s *lb.Snapshot, _ *lb.View) { s.Nodes[2].ExcludedFromLB = true }, "node-e", lb.NodeLabeledExcludeBalancers},
		{"node selectors", func(s *lb.Snapshot, _ *lb.View) { s.L2[0].Nodes = onNodes("node-a", "node-e") }, "node-e", lb.NoMatchingAdvertisement},
		{"an order to leave", func(s *lb.Snapshot, _ *lb.View) { s.Nodes[2].Leaving = true }, "node-e", lb.NotOwner},
		{"saying goodbye", func(_ *lb.Snapshot, v *lb.View) { v.Leaving = []string{"node-c"} }, "node-e", lb.NotOwner},
		{"no endpoint there with policy Local", func(s *lb.Snapshot, _ *lb.View) {
			s.Services[0].LocalOnly, s.Services[0].Endpoints.Local = true, map[string]int{"node-a": 1, "node-e": 1}
		}, "node-e", lb.NoLocalEndpoints},
		{"no endpoint there with policy Cluster", func(s *lb.Snapshot, _ *lb.View) {
			s.Services[0].Endpoints.Local = map[string]int{"node-a": 1}
		}, "node-c", lb.NodeAssigned},
		{"the named interface is absent or has no carrier", interfaces("eth0"), "node-e", lb.NoInterface},
		{"the named interface is there", interfaces("eth0", "eth1"), "node-c", lb.NodeAssigned},
		{"no interface has carrier", func(_ *lb.Snapshot, v *lb.View) { v.Interfaces = map[string]lb.Usable{"node-c": both()} }, "node-e", lb.NoInterface},
		{"no interface has a link-local address, which ARP does not need", func(_ *lb.Snapshot, v *lb.View) {
			v.Interfaces = map[string]lb.Usable{"node-c": {IPv4: []string{"eth0"}}}
		}, "node-c", lb.NodeAssigned},
		{"any interface will do", func(_ *lb.Snapshot, v *lb.View) { v.Interfaces = map[string]lb.Usable{"node-c": both("eth7")} }, "node-c", lb.NodeAssigned},
		{"one of two advertisements can announce", func(s *lb.Snapshot, v *lb.View) {
			interfaces("eth0")(s, v)
			s.L2 = append(s.L2, lb.L2Advertisement{Name: "other", Pools: []string{"p"}, Interfaces: []string{"eth0"}})
		}, "node-c", lb.NodeAssigned},
		{"an advertisement for other nodes can announce", func(s *lb.Snapshot, v *lb.View) {
			interfaces("eth0")(s, v)
			s.L2 = append(s.L2, lb.L2Advertisement{Name: "other", Pools: []string{"p"}, Interfaces: []string{"eth0"}, Nodes: onNodes("node-a")})
		}, "node-e", lb.NoInterface},
		{"interfaces that it has not told of", func(s *lb.Snapshot, v *lb.View) {
			s.L2[0].Interfaces = []string{"eth1"}
			v.Interfaces = map[string]lb.Usable{"node-e": both("eth1")}
		}, "node-c", lb.NodeAssigned},
		{"nobody has the interface, so its owner by hash reports it", func(s *lb.Snapshot, v *lb.View) {
			s.L2[0].Interfaces, v.Interfaces = []string{"eth1"}, map[string]lb.Usable{}
			for _, n := range v.Members {
				v.Interfaces[n] = both("eth0")
			}
		}, "node-c", lb.NodeAssigned},
		{"with policy Local only nodes with an endpoint are asked for the interface", func(s *lb.Snapshot, v *lb.View) {
			interfaces("eth0")(s, v)
			s.Services[0].LocalOnly, s.Services[0].Endpoints.Local = true, map[string]int{"node-c": 1}
		}, "node-c", lb.NodeAssigned},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			s, v := newCluster(newService("a", "192.0.2.1")), everyone()
			tt.change(&s, &v)
			if got := strings.Join(owners(s, v)[netip.MustParseAddr("192.0.2.1")], " "); got != tt.owner {
				t.Errorf("owned by %q, want %q", got, tt.owner)
			}
			for _, n := range Explain("node-a", s, v, lb.Key{Namespace: "ns", Name: "a"})[0].Nodes {
				if n.Node == "node-c" && n.Reason != tt.c {
					t.Errorf("of node-c it is said %q, want %q", n.Reason, tt.c)
				}
			}
		})
	}
}

// A sharer's interface counts for the address, whichever of the Services it is for.
func TestSharersLookForInterfacesTogether(t *testing.T) {
	a, b := newService("a", "192.0.2.1"), newService("b", "192.0.2.1")
	a.SharingKey, b.SharingKey = "k", "k"
	s, v := newCluster(a, b), everyone()
	s.L2[0].Interfaces = []string{"eth1"}
	v.Interfaces = map[string]lb.Usable{"node-c": both("eth0"), "node-e": both("eth1")}
	if got := owners(s, v)[netip.MustParseAddr("192.0.2.1")]; len(got) != 1 || got[0] != "node-e" {
		t.Errorf("owned by %v, want node-e", got)
	}
}

// both are interfaces that can announce addresses of both families.
func both(names ...string) lb.Usable { return lb.Usable{IPv4: names, IPv6: names} }

func TestANodeWithoutIPv6OnItsInterfacesOwnsNoIPv6Address(t *testing.T) {
	s, v := newCluster(newService("a", "2001:db8::1")), everyone()
	before := ForNode("node-a", s, v).Why[0].Owner
	v.Interfaces = map[string]lb.Usable{before: {IPv4: []string{"eth0"}}}
	d := ForNode(before, s, v)
	if e := d.Why[0]; e.Owner == before || e.Owner == "" || len(d.L2) > 0 {
		t.Errorf("%s has no link-local address, and %q owns the IPv6 address", before, e.Owner)
	}
}
