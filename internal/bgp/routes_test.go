// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package bgp

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/clarion-lb/clarion/internal/lb"
)

var opts = cmp.Options{cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}), cmpopts.EquateEmpty()}

func community(t testing.TB, s string) lb.Community {
	t.Helper()
	c, err := lb.ParseCommunity(s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// ad returns an advertisement of pool p with default aggregation.
func ad(name string, edit func(*lb.BGPAdvertisement)) lb.BGPAdvertisement {
	a := lb.BGPAdvertisement{Name: name, Pools: []string{"p"}, AggregationLength: 32, AggregationLengthV6: 128}
	if edit != nil {
		edit(&a)
	}
	return a
}

func announced(service string, addrs ...string) []Announced {
	var out []Announced
	for _, a := range addrs {
		out = append(out, Announced{Service: lb.Key{Namespace: "d", Name: service}, Addr: netip.MustParseAddr(a), Pool: "p", Labels: map[string]string{"app": service}, Endpoints: 1})
	}
	return out
}

// text is a compact form of the routes of a selection.
func text(s Selection) []string {
	var out []string
	for _, p := range s.Peers {
		for _, r := range p.Routes {
			line := fmt.Sprintf("%s %s", p.Peer.Name, r.Prefix)
			if r.LocalPref != 0 {
				line += fmt.Sprintf(" lp=%d", r.LocalPref)
			}
			if r.MED != 0 {
				line += fmt.Sprintf(" med=%d", r.MED)
			}
			if r.Prepend != 0 {
				line += fmt.Sprintf(" prepend=%d", r.Prepend)
			}
			if r.Bandwidth != 0 {
				line += fmt.Sprintf(" bw=%d", r.Bandwidth)
			}
			for _, c := range r.Communities {
				line += " " + c.String()
			}
			out = append(out, line)
		}
	}
	return out
}

func TestSelect(t *testing.T) {
	node := lb.Node{Name: "n1", Labels: map[string]string{"rack": "a"}}
	rackB := lb.Selectors{{{Key: "rack", Values: []string{"b"}}}}
	ebgp := lb.Peer{Name: "tor", MyASN: 1, PeerASN: 2, Address: netip.MustParseAddr("192.0.2.1")}
	ibgp := lb.Peer{Name: "rr", MyASN: 1, PeerASN: 1, Address: netip.MustParseAddr("192.0.2.2")}
	six := lb.Peer{Name: "six", MyASN: 1, PeerASN: 2, Address: netip.MustParseAddr("2001:db8::1")}
	c1, c2 := community(t, "1:1"), community(t, "large:1:2:3")
	for _, tc := range []struct {
		name  string
		peers []lb.Peer
		ads   []lb.BGPAdvertisement
		addrs []Announced
		want  []string
		why   []lb.Reason
	}{
		{name: "one route for an address", peers: []lb.Peer{ebgp}, ads: []lb.BGPAdvertisement{ad("a", nil)},
			addrs: announced("web", "10.0.0.1"), want: []string{"tor 10.0.0.1/32"}, why: []lb.Reason{""}},
		{name: "no advertisement", peers: []lb.Peer{ebgp}, addrs: announced("web", "10.0.0.1"), why: []lb.Reason{lb.NoMatchingAdvertisement}},
		{name: "families follow the session", peers: []lb.Peer{ebgp, six}, ads: []lb.BGPAdvertisement{ad("a", nil)},
			addrs: announced("web", "10.0.0.1", "fd00::1"), want: []string{"six fd00::1/128", "tor 10.0.0.1/32"}, why: []lb.Reason{"", ""}},
		{name: "dual stack carries both", peers: []lb.Peer{{Name: "d", MyASN: 1, PeerASN: 2, Address: ebgp.Address, DualStack: true}},
			ads: []lb.BGPAdvertisement{ad("a", nil)}, addrs: announced("web", "10.0.0.1", "fd00::1"),
			want: []string{"d 10.0.0.1/32", "d fd00::1/128"}, why: []lb.Reason{"", ""}},
		{name: "no peer carries the family", peers: []lb.Peer{ebgp}, ads: []lb.BGPAdvertisement{ad("a", nil)},
			addrs: announced("web", "fd00::1"), why: []lb.Reason{lb.NoMatchingAdvertisement}},
		{name: "peer of other nodes", peers: []lb.Peer{{Name: "x", Nodes: rackB, MyASN: 1, PeerASN: 2, Address: ebgp.Address}},
			ads: []lb.BGPAdvertisement{ad("a", nil)}, addrs: announced("web", "10.0.0.1"), why: []lb.Reason{lb.NoMatchingAdvertisement}},
		{name: "advertisement of other nodes", peers: []lb.Peer{ebgp}, ads: []lb.BGPAdvertisement{ad("a", func(a *lb.BGPAdvertisement) { a.Nodes = rackB })},
			addrs: announced("web", "10.0.0.1"), why: []lb.Reason{lb.NoMatchingAdvertisement}},
		{name: "advertisement for one peer", peers: []lb.Peer{ebgp, ibgp}, ads: []lb.BGPAdvertisement{ad("a", func(a *lb.BGPAdvertisement) { a.Peers = []string{"rr", "unknown"} })},
			addrs: announced("web", "10.0.0.1"), want: []string{"rr 10.0.0.1/32"}, why: []lb.Reason{""}},
		{name: "advertisement for some Services", peers: []lb.Peer{ebgp},
			ads:   []lb.BGPAdvertisement{ad("a", func(a *lb.BGPAdvertisement) { a.Services = lb.Selectors{{{Key: "app", Values: []string{"db"}}}} })},
			addrs: slices.Concat(announced("web", "10.0.0.1"), announced("db", "10.0.0.2")), want: []string{"tor 10.0.0.2/32"}, why: []lb.Reason{lb.NoMatchingAdvertisement, ""}},
		{name: "local preference for internal peers, prepend for external ones", peers: []lb.Peer{ebgp, ibgp},
			ads:   []lb.BGPAdvertisement{ad("a", func(a *lb.BGPAdvertisement) { a.LocalPref, a.Prepend, a.MED = 150, 2, 7 })},
			addrs: announced("web", "10.0.0.1"), want: []string{"rr 10.0.0.1/32 lp=150 med=7", "tor 10.0.0.1/32 med=7 prepend=2"}, why: []lb.Reason{""}},
		{name: "aggregation makes one route of several addresses", peers: []lb.Peer{ebgp},
			ads:   []lb.BGPAdvertisement{ad("a", func(a *lb.BGPAdvertisement) { a.AggregationLength = 24 })},
			addrs: announced("web", "10.0.0.1", "10.0.0.2", "10.0.1.1"), want: []string{"tor 10.0.0.0/24", "tor 10.0.1.0/24"}, why: []lb.Reason{"", "", ""}},
		{name: "a specific and an aggregated route", peers: []lb.Peer{ibgp},
			ads: []lb.BGPAdvertisement{ad("a", func(a *lb.BGPAdvertisement) { a.LocalPref, a.Communities = 100, []lb.Community{c1} }),
				ad("b", func(a *lb.BGPAdvertisement) { a.AggregationLength, a.LocalPref = 24, 50 })},
			addrs: announced("web", "10.0.0.1"), want: []string{"rr 10.0.0.0/24 lp=50", "rr 10.0.0.1/32 lp=100 1:1"}, why: []lb.Reason{""}},
		{name: "overlapping advertisements join their communities", peers: []lb.Peer{ebgp},
			ads: []lb.BGPAdvertisement{ad("a", func(a *lb.BGPAdvertisement) { a.Communities = []lb.Community{c2} }),
				ad("b", func(a *lb.BGPAdvertisement) { a.Communities = []lb.Community{c1, c2} })},
			addrs: announced("web", "10.0.0.1"), want: []string{"tor 10.0.0.1/32 1:1 large:1:2:3"}, why: []lb.Reason{""}},
		{name: "of contradicting local preferences that of the older", peers: []lb.Peer{ibgp, ebgp},
			ads: []lb.BGPAdvertisement{ad("a", func(a *lb.BGPAdvertisement) { a.Created, a.LocalPref, a.MED = time.Unix(2, 0), 100, 7 }),
				ad("b", func(a *lb.BGPAdvertisement) { a.Created, a.LocalPref = time.Unix(1, 0), 200 })},
			addrs: announced("web", "10.0.0.1"), want: []string{"rr 10.0.0.1/32 lp=200", "tor 10.0.0.1/32 med=7"}, why: []lb.Reason{""}},
		{name: "of contradicting local preferences on other nodes both", peers: []lb.Peer{ibgp},
			ads: []lb.BGPAdvertisement{ad("a", func(a *lb.BGPAdvertisement) { a.Created, a.LocalPref = time.Unix(2, 0), 100 }),
				ad("b", func(a *lb.BGPAdvertisement) { a.Created, a.LocalPref, a.Nodes = time.Unix(1, 0), 200, rackB })},
			addrs: announced("web", "10.0.0.1"), want: []string{"rr 10.0.0.1/32 lp=100"}, why: []lb.Reason{""}},
		{name: "neither of contradicting local preferences that the label of a Service decides", peers: []lb.Peer{ibgp, ebgp},
			ads: []lb.BGPAdvertisement{ad("a", func(a *lb.BGPAdvertisement) { a.LocalPref = 100 }),
				ad("b", func(a *lb.BGPAdvertisement) {
					a.LocalPref, a.Services = 200, lb.Selectors{{{Key: "app", Values: []string{"web"}}}}
				})},
			addrs: slices.Concat(announced("web", "10.0.0.1"), announced("db", "10.0.0.2")),
			want:  []string{"rr 10.0.0.2/32 lp=100", "tor 10.0.0.1/32", "tor 10.0.0.2/32"}, why: []lb.Reason{ConflictingAdvertisements, ""}},
		{name: "bandwidth by endpoints, of the larger Service of a shared address", peers: []lb.Peer{ebgp},
			ads: []lb.BGPAdvertisement{ad("a", func(a *lb.BGPAdvertisement) { a.LinkBandwidth = 1000 })},
			addrs: []Announced{{Addr: netip.MustParseAddr("10.0.0.1"), Pool: "p", Endpoints: 3},
				{Addr: netip.MustParseAddr("10.0.0.1"), Pool: "p", Endpoints: 2}},
			want: []string{"tor 10.0.0.1/32 bw=3000"}, why: []lb.Reason{"", ""}},
		{name: "smallest MED given", peers: []lb.Peer{ebgp},
			ads:   []lb.BGPAdvertisement{ad("a", func(a *lb.BGPAdvertisement) { a.MED = 9 }), ad("b", nil), ad("c", func(a *lb.BGPAdvertisement) { a.MED = 4 })},
			addrs: announced("web", "10.0.0.1"), want: []string{"tor 10.0.0.1/32 med=4"}, why: []lb.Reason{""}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := Select(node, tc.peers, tc.ads, tc.addrs)
			if diff := cmp.Diff(tc.want, text(got), opts); diff != "" {
				t.Errorf("routes (-want +got):\n%s", diff)
			}
			for i, v := range got.Services {
				if v.Reason != tc.why[i] {
					t.Errorf("address %s: reason %q, want %q", v.Addr, v.Reason, tc.why[i])
				}
				if (v.Reason == "" && len(v.Peers) == 0) || v.Reason == lb.NoMatchingAdvertisement && len(v.Peers) != 0 {
					t.Errorf("address %s: reason %q with peers %v", v.Addr, v.Reason, v.Peers)
				}
			}
		})
	}
}

// The order of peers, advertisements and addresses must not show in the routes (I3).
func TestSelectDoesNotDependOnOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	node := lb.Node{Name: "n"}
	for range 200 {
		var peers []lb.Peer
		for i := range 1 + r.IntN(4) {
			peers = append(peers, lb.Peer{
				Name: fmt.Sprint("p", i), Created: time.Unix(int64(r.IntN(2)), 0), MyASN: 1, PeerASN: uint32(1 + r.IntN(2)),
				Address: netip.MustParseAddr(fmt.Sprintf("192.0.2.%d", r.IntN(4))),
			})
		}
		var ads []lb.BGPAdvertisement
		for i := range 1 + r.IntN(5) {
			ads = append(ads, ad(fmt.Sprint("a", i), func(a *lb.BGPAdvertisement) {
				a.AggregationLength = 30 + r.IntN(3)
				a.Created = time.Unix(int64(r.IntN(2)), 0)
				a.LocalPref, a.MED, a.Prepend = uint32(r.IntN(3)*100), uint32(r.IntN(3)), uint8(r.IntN(3))
				for range r.IntN(3) {
					a.Communities = lb.SortedCommunities(append(a.Communities, lb.Community{A: 1, B: uint32(r.IntN(4))}))
				}
			}))
		}
		var addrs []Announced
		for i := range 1 + r.IntN(8) {
			addrs = append(addrs, announced(fmt.Sprint("s", i), fmt.Sprintf("10.0.0.%d", r.IntN(12)))...)
		}
		want := text(Select(node, peers, ads, addrs))
		r.Shuffle(len(peers), func(i, j int) { peers[i], peers[j] = peers[j], peers[i] })
		r.Shuffle(len(ads), func(i, j int) { ads[i], ads[j] = ads[j], ads[i] })
		r.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })
		if diff := cmp.Diff(want, text(Select(node, peers, ads, addrs))); diff != "" {
			t.Fatalf("shuffled input, other routes (-before +after):\n%s", diff)
		}
	}
}

func TestRouterID(t *testing.T) {
	a := netip.MustParseAddr
	if got := RouterID("n", []netip.Addr{a("0.0.0.0"), a("::ffff:0.0.0.0"), a("::1"), a("127.0.0.1"), a("169.254.0.1"), a("10.0.0.9")}); got != a("10.0.0.9") {
		t.Errorf("node with an IPv4 address: %s", got)
	}
	six := []netip.Addr{a("fd00::1")}
	if one, two := RouterID("n1", six), RouterID("n2", six); one == two || !one.Is4() || one.IsUnspecified() {
		t.Errorf("nodes without IPv4: %s and %s", one, two)
	}
}

func BenchmarkSelect(b *testing.B) {
	var addrs []Announced
	for i := range 10_000 {
		addrs = append(addrs, announced("web", netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}).String())...)
	}
	peers := []lb.Peer{{Name: "a", MyASN: 1, PeerASN: 2, Address: addrs[0].Addr}, {Name: "b", MyASN: 1, PeerASN: 2, Address: addrs[1].Addr}}
	ads := []lb.BGPAdvertisement{ad("a", func(a *lb.BGPAdvertisement) { a.Communities = []lb.Community{{A: 1, B: 1}} })}
	b.ReportAllocs()
	for b.Loop() {
		Select(lb.Node{}, peers, ads, addrs)
	}
}
