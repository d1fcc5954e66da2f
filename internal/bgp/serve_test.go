// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package bgp

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarion-lb/clarion/internal/lb"
)

func TestServe(t *testing.T) {
	a := netip.MustParseAddr
	day := func(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }
	peer := func(name string, age int, edit func(*lb.Peer)) lb.Peer {
		p := lb.Peer{Name: name, Created: day(age), MyASN: 1, PeerASN: 2, Address: a("192.0.2.1"), Port: 179}
		if edit != nil {
			edit(&p)
		}
		return p
	}
	source := func(text string) func(*lb.Peer) { return func(p *lb.Peer) { p.Source = a(text) } }
	listens := func(peer, source string) func(*lb.Peer) {
		return func(p *lb.Peer) {
			p.Address, p.ListenPort = a(peer), 1790
			if source != "" {
				p.Source = a(source)
			}
		}
	}
	own := lb.NodeBGP{Source4: a("192.0.2.7")}
	for name, c := range map[string]struct {
		bgp    lb.NodeBGP
		peers  []lb.Peer
		served []string
		left   []Left
	}{
		"the older of two with the same session": {peers: []lb.Peer{peer("a", 2, nil), peer("b", 1, nil)},
			served: []string{"b"}, left: []Left{{"a", "b", SameEnds}}},
		"the first by name of two as old": {peers: []lb.Peer{peer("b", 1, nil), peer("a", 1, nil)},
			served: []string{"a"}, left: []Left{{"b", "a", SameEnds}}},
		"both with other ports": {peers: []lb.Peer{peer("a", 1, nil), peer("b", 1, func(p *lb.Peer) { p.Port = 1179 })}, served: []string{"a", "b"}},
		"both with other sources": {peers: []lb.Peer{peer("a", 1, source("192.0.2.8")), peer("b", 1, source("192.0.2.9"))},
			served: []string{"a", "b"}},
		"not where the node gives both its own source": {bgp: own, peers: []lb.Peer{peer("a", 2, source("192.0.2.8")), peer("b", 1, source("192.0.2.9"))},
			served: []string{"b"}, left: []Left{{"a", "b", SameEnds}}},
		"not those of other nodes": {peers: []lb.Peer{peer("a", 1, func(p *lb.Peer) { p.Nodes = lb.Selectors{{{Key: "x", Op: lb.Exists}}} }), peer("b", 2, nil)},
			served: []string{"b"}},
		"one for each socket": {peers: []lb.Peer{peer("a", 1, listens("192.0.2.1", "")), peer("b", 2, listens("192.0.2.2", "192.0.2.8"))},
			served: []string{"a"}, left: []Left{{"b", "a", SameSocket}}},
		"both with a socket of each": {peers: []lb.Peer{peer("a", 1, listens("192.0.2.1", "192.0.2.8")), peer("b", 2, listens("192.0.2.2", "192.0.2.9"))},
			served: []string{"a", "b"}},
		"not those whose sockets the node makes one": {bgp: own, peers: []lb.Peer{peer("a", 1, listens("192.0.2.1", "192.0.2.8")), peer("b", 2, listens("192.0.2.2", "192.0.2.9"))},
			served: []string{"a"}, left: []Left{{"b", "a", SameSocket}}},
		"one that clashes only with one that is left": {
			peers:  []lb.Peer{peer("a", 1, listens("192.0.2.1", "192.0.2.8")), peer("b", 2, listens("192.0.2.2", "")), peer("c", 3, listens("192.0.2.3", "192.0.2.9"))},
			served: []string{"a", "c"}, left: []Left{{"b", "a", SameSocket}}},
	} {
		t.Run(name, func(t *testing.T) {
			served, left := Serve(&lb.Node{Name: "n", BGP: c.bgp}, c.peers)
			var names []string
			for _, p := range served {
				names = append(names, p.Name)
			}
			if diff := cmp.Diff(c.served, names); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(c.left, left); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Of the peers of a node, those that it serves do not clash, and each that it leaves clashes with
// an older one that it serves; peers that could clash nowhere are never left.
func TestServeLeavesNoMoreThanItMust(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	addr := func(n int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(n)}) }
	leftOut := 0
	for range 2000 {
		node := lb.Node{Labels: map[string]string{"rack": fmt.Sprint(r.IntN(3))}}
		if r.IntN(2) == 0 {
			node.BGP.Source4 = addr(7)
		}
		peers := randomPeers(r, addr)
		served, left := Serve(&node, peers)
		byName := map[string]lb.Peer{}
		for i := range peers {
			byName[peers[i].Name] = node.BGP.Apply(peers[i])
		}
		for i := range served {
			for k := range served[:i] {
				if clashOf(&served[i], &served[k]) != NoClash {
					t.Fatalf("serves %+v and %+v", served[k], served[i])
				}
			}
		}
		for _, l := range left {
			leftOut++
			p, o := byName[l.Name], byName[l.Older]
			if clashOf(&o, &p) != l.Clash || l.Clash == NoClash || p.Created.Before(o.Created) || !MayClash(p, o) {
				t.Fatalf("leaves %+v for %+v: %d", p, o, l.Clash)
			}
		}
		mine := 0
		for i := range peers {
			if len(peers[i].Nodes) == 0 || peers[i].Nodes.MatchesAny(node.Labels) {
				mine++
			}
		}
		if mine != len(served)+len(left) {
			t.Fatalf("of %d peers %d are served and %d left", mine, len(served), len(left))
		}
	}
	if leftOut == 0 {
		t.Error("no peer was ever left")
	}
}

func randomPeers(r *rand.Rand, addr func(int) netip.Addr) (out []lb.Peer) {
	for i := range 1 + r.IntN(5) {
		p := lb.Peer{Name: fmt.Sprint("p", i), Created: time.Unix(int64(r.IntN(3)), 0), Address: addr(1 + r.IntN(2)), Port: uint16(179 + r.IntN(2))}
		if r.IntN(2) == 0 {
			p.Source = addr(8 + r.IntN(2))
		}
		if r.IntN(2) == 0 {
			p.ListenPort = uint16(1790 + r.IntN(2))
		}
		if r.IntN(2) == 0 {
			p.Nodes = lb.Selectors{{{Key: "rack", Values: []string{fmt.Sprint(r.IntN(3))}}}}
		}
		out = append(out, p)
	}
	return out
}
