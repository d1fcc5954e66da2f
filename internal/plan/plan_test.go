// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/lb"
)

// By hash the order for 192.0.2.1 is c e a d b, for 192.0.2.2 it is b e c a d, for 192.0.2.3
// c e a d b, and for 2001:db8::1 d b a c e (see the golden orders of package elect).
func TestWhoAnnounces(t *testing.T) {
	shared := func(name string, addrs ...string) lb.Service {
		s := newService(name, addrs...)
		s.SharingKey = "k"
		return s
	}
	local := func(s lb.Service, nodes ...string) lb.Service {
		s.LocalOnly = true
		s.Endpoints.Local = map[string]int{}
		for _, n := range nodes {
			s.Endpoints.Local[n] = 1
		}
		return s
	}
	younger := func(s lb.Service) lb.Service {
		s.Created = epoch.Add(time.Second)
		return s
	}
	tests := []struct {
		rule     string
		services []lb.Service
		change   func(*lb.Snapshot)
		view     *lb.View
		want     string // "addr owner; addr owner", "-" for none
	}{
		{rule: "the lowest hash among all members owns", services: []lb.Service{newService("a", "192.0.2.1"), newService("b", "192.0.2.2")},
			want: "192.0.2.1 node-c; 192.0.2.2 node-b"},
		{rule: "dead nodes do not count", services: []lb.Service{newService("a", "192.0.2.1")},
			view: &lb.View{Known: true, Members: []string{"node-a", "node-b"}}, want: "192.0.2.1 node-a"},
		{rule: "without membership every node counts", services: []lb.Service{newService("a", "192.0.2.1")},
			view: &lb.View{Known: true, All: true}, want: "192.0.2.1 node-c"},
		{rule: "a member that is no node of the cluster does not count", services: []lb.Service{newService("a", "192.0.2.1")},
			change: func(s *lb.Snapshot) { s.Nodes = append(s.Nodes[:2], s.Nodes[3:]...) }, want: "192.0.2.1 node-e"},
		{rule: "a node without network does not count", services: []lb.Service{newService("a", "192.0.2.1")},
			change: func(s *lb.Snapshot) { s.Nodes[2].NetworkUnavailable = true }, want: "192.0.2.1 node-e"},
		{rule: "an excluded node does not count", services: []lb.Service{newService("a", "192.0.2.1")},
			change: func(s *lb.Snapshot) { s.Nodes[2].ExcludedFromLB, s.Nodes[4].ExcludedFromLB = true, true }, want: "192.0.2.1 node-a"},
		{rule: "the second address of a dual-stack Service follows the first", services: []lb.Service{newService("a", "192.0.2.1", "2001:db8::1")},
			want: "192.0.2.1 node-c; 2001:db8::1 node-c"},
		{rule: "the first address is the first of the status, not IPv4", services: []lb.Service{newService("a", "2001:db8::1", "192.0.2.1")},
			want: "192.0.2.1 node-d; 2001:db8::1 node-d"},
		{rule: "an advertisement limits the nodes", services: []lb.Service{newService("a", "192.0.2.1")},
			change: func(s *lb.Snapshot) { s.L2[0].Nodes = onNodes("node-b", "node-d") }, want: "192.0.2.1 node-d"},
		{rule: "several advertisements add their nodes", services: []lb.Service{newService("a", "192.0.2.1")},
			change: func(s *lb.Snapshot) {
				s.L2 = []lb.L2Advertisement{{Name: "x", Pools: []string{"p"}, Nodes: onNodes("node-b")}, {Name: "y", Pools: []string{"p"}, Nodes: onNodes("node-a")}}
			}, want: "192.0.2.1 node-a"},
		{rule: "an advertisement of another pool does not count", services: []lb.Service{newService("a", "192.0.2.1")},
			change: func(s *lb.Snapshot) { s.L2[0].Pools = []string{"q"} }, want: "192.0.2.1 -"},
		{rule: "an address outside every pool is not announced", services: []lb.Service{newService("a", "203.0.113.1"), newService("b", "192.0.1.255"), newService("c", "192.0.3.0")},
			want: "203.0.113.1 -; 192.0.1.255 -; 192.0.3.0 -"},
		{rule: "the pool's edges are in it, and an address that it would not hand out today stays", services: []lb.Service{newService("a", "192.0.2.255"), newService("b", "2001:db8::ff")},
			change: func(s *lb.Snapshot) { s.Pools[0].AvoidBuggyIPs, s.L2[0].Nodes = true, onNodes("node-b") }, want: "192.0.2.255 node-b; 2001:db8::ff node-b"},
		{rule: "serviceSelectors choose the Services", services: []lb.Service{newService("a", "192.0.2.1"), newService("b", "192.0.2.2")},
			change: func(s *lb.Snapshot) { s.L2[0].Services = onNodes("b") }, want: "192.0.2.1 -; 192.0.2.2 node-b"},
		{rule: "without endpoints nobody announces", services: []lb.Service{{Key: lb.Key{Name: "a"}, Assigned: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, Endpoints: lb.Endpoints{Known: true}}},
			want: "192.0.2.1 -"},
		{rule: "externalTrafficPolicy Local needs an endpoint on the node", services: []lb.Service{local(newService("a", "192.0.2.1"), "node-d", "node-b")},
			want: "192.0.2.1 node-d"},
		{rule: "zero endpoints on a node are none", services: []lb.Service{func() lb.Service {
			s := local(newService("a", "192.0.2.1"), "node-d")
			s.Endpoints.Local["node-c"] = 0
			return s
		}()}, want: "192.0.2.1 node-d"},
		{rule: "endpoints without a node do not count for Local", services: []lb.Service{local(newService("a", "192.0.2.1"))}, want: "192.0.2.1 -"},
		{rule: "endpoints on a dead node do not count for Local", services: []lb.Service{local(newService("a", "192.0.2.1"), "node-c", "node-b")},
			view: &lb.View{Known: true, Members: []string{"node-a", "node-b"}}, want: "192.0.2.1 node-b"},
		{rule: "the preferred node goes first", services: []lb.Service{newService("a", "192.0.2.1")},
			change: func(s *lb.Snapshot) {
				s.L2[0].Preferred = []lb.PreferredNodes{{Weight: 10, Nodes: onNodes("node-d")[0]}, {Weight: 4, Nodes: onNodes("node-a", "node-b")[0]}, {Weight: 7, Nodes: onNodes("node-b")[0]}}
			}, want: "192.0.2.1 node-b"},
		{rule: "weights of several advertisements add up", services: []lb.Service{newService("a", "192.0.2.1")},
			change: func(s *lb.Snapshot) {
				p := []lb.PreferredNodes{{Weight: 10, Nodes: onNodes("node-d")[0]}}
				q := []lb.PreferredNodes{{Weight: 19, Nodes: onNodes("node-b")[0]}}
				s.L2 = []lb.L2Advertisement{{Name: "x", Pools: []string{"p"}, Preferred: p}, {Name: "y", Pools: []string{"p"}, Preferred: p}, {Name: "z", Pools: []string{"p"}, Preferred: q}}
			}, want: "192.0.2.1 node-d"},
		{rule: "a weight counts only where the same advertisement allows the node", services: []lb.Service{newService("a", "192.0.2.1")},
			change: func(s *lb.Snapshot) {
				q := []lb.PreferredNodes{{Weight: 99, Nodes: onNodes("node-b")[0]}}
				s.L2 = []lb.L2Advertisement{{Name: "x", Pools: []string{"p"}}, {Name: "y", Pools: []string{"p"}, Nodes: onNodes("node-a"), Preferred: q}}
			}, want: "192.0.2.1 node-c"},
		{rule: "a sharing Service is not announced through serviceSelectors", services: []lb.Service{shared("a", "192.0.2.1"), newService("b", "192.0.2.2")},
			change: func(s *lb.Snapshot) {
				s.L2 = append(s.L2, lb.L2Advertisement{Name: "z", Pools: []string{"p"}, Services: onNodes("a", "b")})
			}, want: "192.0.2.1 -; 192.0.2.2 node-b"},
		{rule: "serviceSelectors that do not match a sharing Service do not matter", services: []lb.Service{shared("a", "192.0.2.1")},
			change: func(s *lb.Snapshot) {
				s.L2 = append(s.L2, lb.L2Advertisement{Name: "z", Pools: []string{"p"}, Services: onNodes("b")})
			}, want: "192.0.2.1 node-c"},
		{rule: "a shared address has one owner, able to serve all", services: []lb.Service{local(shared("a", "192.0.2.1"), "node-a", "node-c", "node-d"), local(shared("b", "192.0.2.1"), "node-d", "node-b")},
			want: "192.0.2.1 node-d"},
		{rule: "when no node can serve all, one that serves most", services: []lb.Service{local(shared("a", "192.0.2.1"), "node-b", "node-d"), local(shared("b", "192.0.2.1"), "node-b"), local(shared("c", "192.0.2.1"), "node-c")},
			want: "192.0.2.1 node-b"},
		{rule: "a sharing Service without endpoints does not hold the others back", services: []lb.Service{shared("a", "192.0.2.1"), func() lb.Service {
			s := shared("b", "192.0.2.1")
			s.Endpoints.Usable = 0
			return s
		}()}, want: "192.0.2.1 node-c"},
		{rule: "the oldest Service names the address that is hashed", services: []lb.Service{younger(shared("a", "2001:db8::1")), shared("b", "192.0.2.1", "2001:db8::1")},
			want: "192.0.2.1 node-c; 2001:db8::1 node-c"},
		{rule: "a younger sharer moves nothing", services: []lb.Service{younger(shared("a", "192.0.2.1", "2001:db8::1")), shared("b", "2001:db8::1")},
			want: "192.0.2.1 node-c; 2001:db8::1 node-d"},
		{rule: "a node that was told to leave owns nothing that another can", services: []lb.Service{newService("a", "192.0.2.1"), local(newService("b", "192.0.2.2"), "node-c")},
			change: func(s *lb.Snapshot) { s.Nodes[2].Leaving = true }, want: "192.0.2.1 node-e; 192.0.2.2 node-c"},
		{rule: "a member that is about to go owns nothing that another can", services: []lb.Service{newService("a", "192.0.2.1")},
			view: &lb.View{Known: true, Members: everyone().Members, Leaving: []string{"node-c", "node-e"}}, want: "192.0.2.1 node-a"},
		{rule: "the record of owners is not asked without an option", services: []lb.Service{newService("a", "192.0.2.1")},
			view: &lb.View{Known: true, Members: everyone().Members, Owners: map[netip.Addr]string{netip.MustParseAddr("192.0.2.1"): "node-b"}}, want: "192.0.2.1 node-c"},
		{rule: "a sticky address stays with its recorded owner", services: []lb.Service{newService("a", "192.0.2.1")},
			change: func(s *lb.Snapshot) { s.L2[0].Elects, s.L2[0].Election.Sticky = true, true },
			view:   &lb.View{Known: true, Members: everyone().Members, Owners: map[netip.Addr]string{netip.MustParseAddr("192.0.2.1"): "node-b"}}, want: "192.0.2.1 node-b"},
		{rule: "a sticky address leaves an owner that may not own it", services: []lb.Service{newService("a", "192.0.2.1")},
			change: func(s *lb.Snapshot) {
				s.L2[0].Elects, s.L2[0].Election.Sticky, s.Nodes[1].ExcludedFromLB = true, true, true
			},
			view: &lb.View{Known: true, Members: everyone().Members, Owners: map[netip.Addr]string{netip.MustParseAddr("192.0.2.1"): "node-b"}}, want: "192.0.2.1 node-c"},
		{rule: "balanced addresses are spread evenly", services: []lb.Service{newService("a", "192.0.2.1"), newService("b", "192.0.2.3")}, // both of c by hash
			change: func(s *lb.Snapshot) {
				s.L2[0].Elects, s.L2[0].Election.Balanced, s.L2[0].Nodes = true, true, onNodes("node-c", "node-e")
			},
			want: "192.0.2.1 node-e; 192.0.2.3 node-c"},
		{rule: "an advertisement that does not say how to elect goes along with one that does", services: []lb.Service{newService("a", "192.0.2.1")},
			change: func(s *lb.Snapshot) {
				s.L2 = append(s.L2, lb.L2Advertisement{Name: "z", Pools: []string{"p"}, Elects: true, Election: lb.Election{Sticky: true}})
			},
			view: &lb.View{Known: true, Members: everyone().Members, Owners: map[netip.Addr]string{netip.MustParseAddr("192.0.2.1"): "node-b"}}, want: "192.0.2.1 node-b"},
		{rule: "of advertisements that say how to elect the first by name counts", services: []lb.Service{newService("a", "192.0.2.1")},
			change: func(s *lb.Snapshot) {
				s.L2[0].Name = "z"
				s.L2[0].Elects, s.L2[0].Election.Sticky = true, true
				s.L2 = append(s.L2, lb.L2Advertisement{Name: "b", Pools: []string{"p"}, Elects: true})
			},
			view: &lb.View{Known: true, Members: everyone().Members, Owners: map[netip.Addr]string{netip.MustParseAddr("192.0.2.1"): "node-b"}}, want: "192.0.2.1 node-c"},
		{rule: "without membership, and so without a record, options do not count", services: []lb.Service{newService("a", "192.0.2.1")},
			change: func(s *lb.Snapshot) { s.L2[0].Elects, s.L2[0].Election.Sticky = true, true },
			view:   &lb.View{Known: true, All: true, Owners: map[netip.Addr]string{netip.MustParseAddr("192.0.2.1"): "node-b"}}, want: "192.0.2.1 node-c"},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			s, v := newCluster(tt.services...), everyone()
			if tt.change != nil {
				tt.change(&s)
			}
			if tt.view != nil {
				v = *tt.view
			}
			got := owners(s, v)
			for _, line := range strings.Split(tt.want, "; ") {
				addr, owner, _ := strings.Cut(line, " ")
				have := strings.Join(got[netip.MustParseAddr(addr)], " ")
				if have == "" {
					have = "-"
				}
				if have != owner {
					t.Errorf("%s is announced by %s, want %s", addr, have, owner)
				}
				delete(got, netip.MustParseAddr(addr))
			}
			if len(got) > 0 {
				t.Errorf("also announced: %v", got)
			}
		})
	}
}

func TestInterfacesAreTheUnionUnlessOneAdvertisementNamesNone(t *testing.T) {
	ad := func(name string, interfaces ...string) lb.L2Advertisement {
		return lb.L2Advertisement{Name: name, Pools: []string{"p"}, Interfaces: interfaces}
	}
	elsewhere := ad("other")
	elsewhere.Nodes = onNodes("node-e")
	tests := []struct {
		name string
		ads  []lb.L2Advertisement
		want string
	}{
		{"union", []lb.L2Advertisement{ad("x", "eth1", "eth0"), ad("y", "eth1", "eth2")}, "192.0.2.1 a on eth0,eth1,eth2"},
		{"one without", []lb.L2Advertisement{ad("x", "eth1"), ad("y")}, "192.0.2.1 a"},
		{"advertisements for other nodes do not count", []lb.L2Advertisement{ad("x", "eth1"), elsewhere}, "192.0.2.1 a on eth1"},
	}
	for _, tt := range tests {
		s := newCluster(newService("a", "192.0.2.1"))
		s.L2 = tt.ads
		if got := show(ForNode("node-c", s, everyone())); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestSharedAddressIsOneAnnouncementOfTheServicesServedHere(t *testing.T) {
	a, b, c := newService("a", "192.0.2.1"), newService("b", "192.0.2.1"), newService("c", "192.0.2.1")
	for _, s := range []*lb.Service{&a, &b, &c} {
		s.SharingKey = "k"
	}
	b.Endpoints = lb.Endpoints{Known: true}
	d := ForNode("node-c", newCluster(a, b, c), everyone())
	if got, want := show(d), "192.0.2.1 a,c"; got != want {
		t.Errorf("announced %q, want %q", got, want)
	}
	if got, want := showWhy(d, "b"), "192.0.2.1 node-c noEndpoints"; got != want {
		t.Errorf("b: %q, want %q", got, want)
	}
}

func TestTheSharerWithoutLocalEndpointIsNotCalledAnnounced(t *testing.T) {
	a, b := newService("a", "192.0.2.1"), newService("b", "192.0.2.1")
	for i, s := range []*lb.Service{&a, &b} {
		s.SharingKey, s.LocalOnly = "k", true
		s.Endpoints.Local = map[string]int{[]string{"node-a", "node-b"}[i]: 1}
	}
	s := newCluster(a, b) // a beats b by hash
	d := ForNode("node-a", s, everyone())
	if got, want := show(d), "192.0.2.1 a"; got != want {
		t.Errorf("node-a announces %q, want %q", got, want)
	}
	if got, want := showWhy(d, "b"), "192.0.2.1 node-a noLocalEndpoints"; got != want {
		t.Errorf("b: %q, want %q", got, want)
	}
}

func TestBalanceIsRestoredByTheTakerAndOnlyOnceSettled(t *testing.T) {
	s := newCluster(newService("a", "192.0.2.1"), newService("b", "192.0.2.2"))
	s.L2[0].Elects, s.L2[0].Election.Balanced = true, true
	v := alive("node-a", "node-b")
	v.Owners = map[netip.Addr]string{netip.MustParseAddr("192.0.2.1"): "node-a", netip.MustParseAddr("192.0.2.2"): "node-a"}
	check := func(when, node, announced string, claims int) {
		t.Helper()
		if d := ForNode(node, s, v); show(d) != announced || len(d.Claims) != claims {
			t.Errorf("%s: %s announces %q and claims %v, want %q and %d claims", when, node, show(d), d.Claims, announced, claims)
		}
	}
	check("not settled", "node-a", "192.0.2.1 a; 192.0.2.2 b", 0)
	check("not settled", "node-b", "", 0)
	v.Settled = true
	check("settled", "node-a", "192.0.2.1 a; 192.0.2.2 b", 0)
	check("settled", "node-b", "", 1)
	v.Owners[ForNode("node-b", s, v).Claims[0]] = "node-b"
	check("claimed", "node-a", "192.0.2.1 a", 0)
	check("claimed", "node-b", "192.0.2.2 b", 0)
}
