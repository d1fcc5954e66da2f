// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarion-lb/clarion/internal/bfd"
	"github.com/clarion-lb/clarion/internal/bgp"
	"github.com/clarion-lb/clarion/internal/lb"
)

// newBGPCluster is newCluster with a BGPAdvertisement in place of the L2Advertisement and two
// IPv4 peers on every node.
func newBGPCluster(services ...lb.Service) lb.Snapshot {
	s := newCluster(services...)
	s.L2 = nil
	s.BGP = []lb.BGPAdvertisement{{Name: "ad", Pools: []string{"p"}}}
	s.Peers = []lb.Peer{newPeer("east", "198.51.100.1"), newPeer("west", "198.51.100.2")}
	return s
}

func newPeer(name, addr string) lb.Peer {
	return lb.Peer{Name: name, MyASN: 64512, PeerASN: 64513, Address: netip.MustParseAddr(addr), DualStack: true}
}

// showBGP writes the routes of each peer and what the plan says of each address.
func showBGP(d BGP) string {
	var lines []string
	for _, p := range d.Peers {
		line := p.Peer.Name + ":"
		for _, r := range p.Routes {
			line += " " + r.Prefix.String()
			for _, c := range r.Communities {
				line += "+" + c.String()
			}
			if r.Bandwidth != 0 {
				line += fmt.Sprintf("@%d", r.Bandwidth)
			}
		}
		lines = append(lines, line)
	}
	for _, w := range d.Why {
		lines = append(lines, fmt.Sprintf("%s %s %s %s", w.Service.Name, w.Addr, w.Reason, strings.Join(w.Peers, ",")))
	}
	return strings.Join(lines, "\n")
}

func TestBGPAdvertisesWhereTheRulesAllow(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*lb.Snapshot)
		want   string
	}{
		"to all peers": {func(*lb.Snapshot) {},
			"east: 192.0.2.1/32\nwest: 192.0.2.1/32\na 192.0.2.1 nodeAssigned east,west"},
		"from a node without endpoints, policy Cluster": {func(s *lb.Snapshot) { s.Services[0].Endpoints.Local = map[string]int{"node-b": 3} },
			"east: 192.0.2.1/32\nwest: 192.0.2.1/32\na 192.0.2.1 nodeAssigned east,west"},
		"not from a node without endpoints, policy Local": {func(s *lb.Snapshot) {
			s.Services[0].LocalOnly, s.Services[0].Endpoints.Local = true, map[string]int{"node-b": 3}
		}, "east:\nwest:\na 192.0.2.1 noLocalEndpoints "},
		"from a node with endpoints, policy Local, by their number": {func(s *lb.Snapshot) {
			s.Services[0].LocalOnly, s.Services[0].Endpoints.Local = true, map[string]int{"node-a": 3}
			s.BGP[0].LinkBandwidth = 1000
		}, "east: 192.0.2.1/32@3000\nwest: 192.0.2.1/32@3000\na 192.0.2.1 nodeAssigned east,west"},
		"not without any endpoint":    {func(s *lb.Snapshot) { s.Services[0].Endpoints.Usable = 0 }, "east:\nwest:\na 192.0.2.1 noEndpoints "},
		"not without network":         {func(s *lb.Snapshot) { s.Nodes[0].NetworkUnavailable = true }, "east:\nwest:\na 192.0.2.1 nodeNetworkUnavailable "},
		"not from an excluded node":   {func(s *lb.Snapshot) { s.Nodes[0].ExcludedFromLB = true }, "east:\nwest:\na 192.0.2.1 nodeLabeledExcludeBalancers "},
		"not from a node of the past": {func(s *lb.Snapshot) { s.Nodes = s.Nodes[1:] }, "east:\nwest:\na 192.0.2.1 noSpeaker "},
		"not without a pool":          {func(s *lb.Snapshot) { s.Pools = nil }, "east:\nwest:\na 192.0.2.1 noPool "},
		"not without advertisement":   {func(s *lb.Snapshot) { s.BGP = nil }, "east:\nwest:\na 192.0.2.1 noMatchingAdvertisement "},
		"not for another node's advertisement": {func(s *lb.Snapshot) { s.BGP[0].Nodes = onNodes("node-b") },
			"east:\nwest:\na 192.0.2.1 noMatchingAdvertisement "},
		"to the peers named":                        {func(s *lb.Snapshot) { s.BGP[0].Peers = []string{"west"} }, "east:\nwest: 192.0.2.1/32\na 192.0.2.1 nodeAssigned west"},
		"not to peers that this node does not have": {func(s *lb.Snapshot) { s.Peers[0].Nodes, s.Peers[1].Nodes = onNodes("node-b"), onNodes("node-c") }, "a 192.0.2.1 noPeer "},
		"for the Services selected": {func(s *lb.Snapshot) {
			s.BGP[0].Services = lb.Selectors{{{Key: "name", Op: lb.In, Values: []string{"b"}}}}
		}, "east:\nwest:\na 192.0.2.1 noMatchingAdvertisement "},
		"with GRACEFUL_SHUTDOWN from a node that is to leave": {func(s *lb.Snapshot) { s.Nodes[0].Leaving = true },
			"east: 192.0.2.1/32+65535:0\nwest: 192.0.2.1/32+65535:0\na 192.0.2.1 nodeAssigned east,west"},
		"not when preferences contradict for a label of the Service": {func(s *lb.Snapshot) {
			for i := range s.Peers {
				s.Peers[i].PeerASN = s.Peers[i].MyASN
			}
			s.BGP[0].LocalPref = 100
			s.BGP = append(s.BGP, lb.BGPAdvertisement{
				Name: "other", Pools: []string{"p"}, LocalPref: 200, Services: lb.Selectors{{{Key: "name", Op: lb.Exists}}},
			})
		}, "east:\nwest:\na 192.0.2.1 conflictingAdvertisements "},
		"over the older of two peers that the source of the node makes one": {func(s *lb.Snapshot) {
			for i := range s.Peers {
				s.Peers[i].Address, s.Peers[i].Source = netip.MustParseAddr("198.51.100.1"), netip.AddrFrom4([4]byte{198, 51, 100, byte(8 + i)})
				s.Peers[i].Created = time.Unix(int64(9-i), 0)
			}
			s.Nodes[0].BGP.Source4 = netip.MustParseAddr("198.51.100.7")
		}, "west: 192.0.2.1/32\na 192.0.2.1 nodeAssigned west"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newBGPCluster(newService("a", "192.0.2.1"))
			c.change(&s)
			if diff := cmp.Diff(c.want, showBGP(BGPForNode("node-a", s))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestBGPJoinsServicesInOnePrefix(t *testing.T) {
	s := newBGPCluster(newService("a", "192.0.2.1"), newService("b", "192.0.2.2"), newService("c", "192.0.2.9"))
	s.BGP[0].AggregationLength = 29
	s.Peers = s.Peers[:1]
	s.Services[1].Endpoints.Usable = 0
	want := "east: 192.0.2.0/29 192.0.2.8/29\na 192.0.2.1 nodeAssigned east\nb 192.0.2.2 noEndpoints \nc 192.0.2.9 nodeAssigned east"
	if diff := cmp.Diff(want, showBGP(BGPForNode("node-a", s))); diff != "" {
		t.Error(diff)
	}
}

func TestBGPAndLayer2AnnounceOneServiceIndependently(t *testing.T) {
	s := newBGPCluster(newService("a", "192.0.2.1", "2001:db8::1"))
	s.L2 = []lb.L2Advertisement{{Name: "l2", Pools: []string{"p"}}}
	if got := BGPForNode("node-b", s); len(got.Peers) != 2 || len(got.Peers[0].Routes) != 2 {
		t.Errorf("by BGP: %s", showBGP(got))
	}
	if got := owners(s, everyone()); len(got) != 2 {
		t.Errorf("by layer 2: %v", got)
	}
}

func TestI7BGPWithoutKnowledgeIsNotEmpty(t *testing.T) {
	s := newBGPCluster(newService("a", "192.0.2.1"))
	s.Services[0].Endpoints.Known = false
	if got := BGPForNode("node-a", s); got.Known || got.Waiting != lb.ClusterUnknown {
		t.Errorf("endpoints unknown: %+v", got)
	}
	s = newBGPCluster(newService("a", "192.0.2.1"))
	s.Nodes = nil
	if got := BGPForNode("node-a", s); got.Known {
		t.Errorf("nodes unknown: %+v", got)
	}
}

func TestBGPTransitionsTellOnceForEachService(t *testing.T) {
	both := newBGPCluster(newService("a", "192.0.2.1", "2001:db8::1"), newService("b", "192.0.2.2"))
	before := BGPForNode("node-a", both)
	got := BGPTransitions(BGP{}, before)
	want := []Event{
		{Service: key("a"), Reason: lb.NodeAssigned, Message: `announcing from node "node-a" with protocol "bgp"`},
		{Service: key("b"), Reason: lb.NodeAssigned, Message: `announcing from node "node-a" with protocol "bgp"`},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	both.Services[1].Endpoints.Usable = 0
	after := BGPForNode("node-a", both)
	want = []Event{{Service: key("b"), Reason: lb.Withdrawn,
		Message: `no longer announcing from node "node-a" with protocol "bgp": the Service has no usable endpoint`}}
	if diff := cmp.Diff(want, BGPTransitions(before, after)); diff != "" {
		t.Error(diff)
	}
	if got := BGPTransitions(after, BGP{}); got != nil {
		t.Errorf("unknown next: %v", got)
	}
}

func TestBGPStatusNamesThePeersOfAllAddresses(t *testing.T) {
	s := newBGPCluster(newService("a", "192.0.2.1", "2001:db8::1"), newService("b", "192.0.2.2"))
	s.Peers[0].DualStack = false // IPv4 only
	s.Services[1].Endpoints.Usable = 0
	want := []BGPStatus{{Name: BGPStatusName("node-a", key("a")), Node: "node-a", Service: key("a"), Peers: []string{"east", "west"}}}
	if diff := cmp.Diff(want, BGPStatuses(BGPForNode("node-a", s))); diff != "" {
		t.Error(diff)
	}
}

// I3 for BGP: the order of the snapshot's lists changes nothing but the order of Why.
func TestI3BGPDoesNotDependOnOrder(t *testing.T) {
	eachSeed(t, func(t *testing.T, r *rand.Rand, s lb.Snapshot, _ lb.View) {
		s.BGP = []lb.BGPAdvertisement{
			{Name: "one", Pools: []string{"p"}, AggregationLength: 24 + r.IntN(9), MED: uint32(r.IntN(3))},
			{Name: "two", Pools: []string{"p", "q"}, Communities: []lb.Community{{A: 1, B: uint32(r.IntN(2))}}, Nodes: onNodes("n0")},
		}
		s.Peers = newBGPCluster().Peers
		want := BGPForNode("n0", s)
		shuffled := s
		shuffled.Services, shuffled.BGP, shuffled.Peers = slices.Clone(s.Services), slices.Clone(s.BGP), slices.Clone(s.Peers)
		r.Shuffle(len(s.Services), func(i, j int) {
			shuffled.Services[i], shuffled.Services[j] = shuffled.Services[j], shuffled.Services[i]
		})
		slices.Reverse(shuffled.BGP)
		slices.Reverse(shuffled.Peers)
		if diff := cmp.Diff(routesOf(want.Peers), routesOf(BGPForNode("n0", shuffled).Peers), byValue); diff != "" {
			t.Error(diff)
		}
		checkBGP(t, s, want)
	})
}

var byValue = cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })

func routesOf(peers []bgp.PeerWant) map[string][]lb.Route {
	out := map[string][]lb.Route{}
	for _, p := range peers {
		out[p.Peer.Name] = p.Routes
	}
	return out
}

// checkBGP checks what must hold for every plan: a route covers an address that is advertised,
// and an address that is advertised has a route; nothing is advertised without endpoints.
func checkBGP(t *testing.T, s lb.Snapshot, d BGP) {
	t.Helper()
	services := map[lb.Key]*lb.Service{}
	for i := range s.Services {
		services[s.Services[i].Key] = &s.Services[i]
	}
	for _, p := range d.Peers {
		for _, r := range p.Routes {
			if !slices.ContainsFunc(d.Why, func(w Advertised) bool { return slices.Contains(w.Peers, p.Peer.Name) && r.Prefix.Contains(w.Addr) }) {
				t.Errorf("%s gets %s for no address", p.Peer.Name, r.Prefix)
			}
		}
		for _, w := range d.Why {
			covered := slices.ContainsFunc(p.Routes, func(r lb.Route) bool { return r.Prefix.Contains(w.Addr) })
			if slices.Contains(w.Peers, p.Peer.Name) && !covered {
				t.Errorf("%s is told to %s and has no route", w.Addr, p.Peer.Name)
			}
		}
	}
	for _, w := range d.Why {
		if svc := services[w.Service]; len(w.Peers) > 0 && (svc.Endpoints.Usable == 0 || svc.LocalOnly && svc.Endpoints.Local[d.Self] == 0) {
			t.Errorf("%s is advertised without endpoints", w.Service)
		}
	}
}

func TestSessionStatesSayThatBFDDoesNotWatch(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	since := now.Add(-time.Hour)
	sessions := []bgp.Session{
		{Name: "a", Phase: bgp.Established, Since: since},
		{Name: "b", Phase: bgp.Established, Since: since},
		{Name: "c", Phase: bgp.Idle, Since: since, Reason: bgp.SessionFailed, Detail: "refused"},
		{Name: "d", Phase: bgp.Established, Since: since, Reason: bgp.NoNextHop, Detail: "2 routes wait"},
		{Name: "e", Phase: bgp.Established, Since: since, Reason: bgp.NoNextHop, Detail: "2 routes wait"},
	}
	down, up := bfd.Status{State: bfd.Down, Remote: bfd.Down}, bfd.Status{State: bfd.Up, EverUp: true}
	watched := map[string]bgp.Watched{"a": {Status: down}, "b": {Status: up}, "c": {Status: down}, "e": {Status: down}}
	var got []string
	for _, at := range []time.Time{now, now.Add(time.Hour)} { // time alone changes nothing
		got = nil
		for _, s := range SessionStates("n1", sessions, watched, at) {
			got = append(got, fmt.Sprintf("%s %s %s %q %s", s.BGPPeer, s.BFD, s.Reason, s.Message, s.Since.Sub(since)))
		}
		want := []string{
			`a Down bfdNotUp "BFD has not come up: no packet from the peer for a session on one network (UDP port 3784)" 0s`,
			`b Up  "" 0s`, `c Down sessionFailed "refused" 0s`, `d N/A noNextHop "2 routes wait" 0s`,
			`e Down bfdNotUp "BFD has not come up: no packet from the peer for a session on one network (UDP port 3784); 2 routes wait" 0s`,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}
