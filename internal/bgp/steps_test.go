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

	"github.com/clarion-lb/clarion/internal/lb"
)

func routes(list ...string) []lb.Route {
	var out []lb.Route
	for _, s := range list {
		out = append(out, lb.Route{Prefix: netip.MustParsePrefix(s)})
	}
	return out
}

func stepText(steps []Step) []string {
	var out []string
	for _, s := range steps {
		switch s.Op {
		case DeletePeer:
			out = append(out, "delete peer "+s.Peer.Name)
		case AddPeer:
			out = append(out, "add peer "+s.Peer.Name)
		case AddPath:
			out = append(out, "add "+s.Route.Prefix.String())
		case DeletePath:
			out = append(out, "delete "+s.Route.Prefix.String())
		}
	}
	return out
}

func TestSteps(t *testing.T) {
	p := lb.Peer{Name: "p", MyASN: 1, PeerASN: 2, Address: netip.MustParseAddr("192.0.2.1"), Port: 179}
	q := p
	q.Password = "secret"
	withBFD, nodes := p, p
	withBFD.BFD = &lb.BFDProfile{Name: "fast"}
	nodes.Nodes = lb.Selectors{{}}
	changed := routes("10.0.0.1/32", "10.0.0.2/32")
	changed[1].Communities = []lb.Community{{A: 1, B: 1}}
	two := routes("10.0.0.1/32", "10.0.0.2/32")
	for _, tc := range []struct {
		name string
		have Have
		want *PeerWant
		out  []string
	}{
		{"paths before a new peer", Have{}, &PeerWant{Peer: p, Routes: two}, []string{"add 10.0.0.1/32", "add 10.0.0.2/32", "add peer p"}},
		{"the same again", Have{p, true, two}, &PeerWant{Peer: p, Routes: two}, nil},
		{"one more route", Have{p, true, routes("10.0.0.1/32")}, &PeerWant{Peer: p, Routes: two}, []string{"add 10.0.0.2/32"}},
		{"add before delete", Have{p, true, routes("10.0.0.1/32")}, &PeerWant{Peer: p, Routes: routes("10.0.0.2/32")}, []string{"add 10.0.0.2/32", "delete 10.0.0.1/32"}},
		{"changed attributes are no withdraw", Have{p, true, two}, &PeerWant{Peer: p, Routes: changed}, []string{"add 10.0.0.2/32"}},
		{"changed session", Have{p, true, two}, &PeerWant{Peer: q, Routes: two}, []string{"delete peer p", "add peer p"}},
		{"changed BFD profile", Have{p, true, two}, &PeerWant{Peer: withBFD, Routes: two}, nil},
		{"changed node selector", Have{p, true, two}, &PeerWant{Peer: nodes, Routes: two}, nil},
		{"held", Have{p, true, two}, &PeerWant{Peer: p, Routes: two, Hold: BFDDown}, []string{"delete peer p"}},
		{"still held, routes go on", Have{p, false, two}, &PeerWant{Peer: p, Routes: routes("10.0.0.1/32"), Hold: BFDDown}, []string{"delete 10.0.0.2/32"}},
		{"released", Have{p, false, two}, &PeerWant{Peer: p, Routes: two}, []string{"add peer p"}},
		{"removed", Have{p, true, two}, nil, []string{"delete peer p", "delete 10.0.0.1/32", "delete 10.0.0.2/32"}},
		{"nothing to nothing", Have{}, nil, nil},
	} {
		if diff := cmp.Diff(tc.out, stepText(Steps(tc.have, tc.want)), opts); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}

// apply is the engine as Steps imagines it.
func apply(t *testing.T, h Have, steps []Step) Have {
	t.Helper()
	rib := map[netip.Prefix]lb.Route{}
	for _, r := range h.Routes {
		rib[r.Prefix] = r
	}
	for _, s := range steps {
		switch s.Op {
		case DeletePeer:
			if !h.Added {
				t.Fatal("deletes a peer that does not exist")
			}
			h.Added, h.Peer = false, lb.Peer{}
		case AddPeer:
			if h.Added {
				t.Fatal("adds a peer twice")
			}
			h.Added, h.Peer = true, s.Peer
		case AddPath:
			if old, ok := rib[s.Route.Prefix]; ok && old.Equal(s.Route) {
				t.Fatalf("announces %s again", s.Route.Prefix)
			}
			rib[s.Route.Prefix] = s.Route
		case DeletePath:
			if _, ok := rib[s.Route.Prefix]; !ok {
				t.Fatalf("withdraws %s, which is not announced", s.Route.Prefix)
			}
			delete(rib, s.Route.Prefix)
		}
	}
	h.Routes = nil
	for _, r := range rib {
		h.Routes = append(h.Routes, r)
	}
	slices.SortFunc(h.Routes, func(a, b lb.Route) int { return a.Prefix.Compare(b.Prefix) })
	return h
}

// Steps reach the wish from anywhere, touch nothing needlessly, and then are done (I6).
func TestStepsReachTheWishAndStop(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	random := func() *PeerWant {
		if r.IntN(8) == 0 {
			return nil
		}
		w := &PeerWant{Peer: lb.Peer{Name: "p", PeerASN: uint32(1 + r.IntN(2))}}
		if r.IntN(4) == 0 {
			w.Hold = BFDDown
		}
		for i := range 20 {
			if r.IntN(2) == 0 {
				w.Routes = append(w.Routes, lb.Route{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 32), LocalPref: uint32(r.IntN(2))})
			}
		}
		return w
	}
	var have Have
	for range 3000 {
		want := random()
		have = apply(t, have, Steps(have, want))
		if again := Steps(have, want); len(again) != 0 {
			t.Fatalf("second time for %+v: %v", want, stepText(again))
		}
		added, n := want != nil && want.Hold == "", 0
		if want != nil {
			n = len(want.Routes)
		}
		if have.Added != added || len(have.Routes) != n {
			t.Fatalf("reached %+v for %+v", have, want)
		}
	}
}

func TestEverySessionFieldMatters(t *testing.T) {
	base := lb.Peer{Name: "p"}
	a := netip.MustParseAddr("192.0.2.9")
	for i, edit := range []func(*lb.Peer){
		func(p *lb.Peer) { p.MyASN = 9 }, func(p *lb.Peer) { p.LocalASN = 9 }, func(p *lb.Peer) { p.PeerASN = 9 },
		func(p *lb.Peer) { p.Dynamic = lb.ExternalASN }, func(p *lb.Peer) { p.Address = a }, func(p *lb.Peer) { p.Interface = "e" },
		func(p *lb.Peer) { p.Source = a }, func(p *lb.Peer) { p.Port = 9 }, func(p *lb.Peer) { p.VRF = "v" }, func(p *lb.Peer) { p.RouterID = a },
		func(p *lb.Peer) { p.HoldTime = time.Minute }, func(p *lb.Peer) { p.KeepaliveTime = time.Second }, func(p *lb.Peer) { p.ConnectTime = time.Second },
		func(p *lb.Peer) { p.Password = "x" }, func(p *lb.Peer) { p.GracefulRestart = true }, func(p *lb.Peer) { p.MultiHop = true }, func(p *lb.Peer) { p.DualStack = true },
	} {
		p := base
		edit(&p)
		if SameSession(base, p) {
			t.Errorf("edit %d is not seen: %+v", i, p)
		}
	}
}

func BenchmarkSteps(b *testing.B) {
	var list []lb.Route
	for i := range 10_000 {
		list = append(list, lb.Route{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 32), Communities: []lb.Community{{A: 1, B: 1}}})
	}
	have := Have{Added: true, Routes: list}
	want := &PeerWant{Routes: slices.Clone(list)}
	want.Routes[5000].LocalPref = 7
	b.ReportAllocs()
	for b.Loop() {
		if n := len(Steps(have, want)); n != 1 {
			b.Fatal(fmt.Sprint(n, " steps"))
		}
	}
}
