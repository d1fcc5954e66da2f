// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package bgp

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarion-lb/clarion/internal/bfd"
	"github.com/clarion-lb/clarion/internal/lb"
)

func TestUnreachable(t *testing.T) {
	t0 := time.Unix(1_000_000, 0)
	sec := func(s float64) time.Time { return t0.Add(time.Duration(s * float64(time.Second))) }
	down := bfd.Status{State: bfd.Down, Remote: bfd.Down, EverUp: true, Diagnostic: bfd.DetectionTimeExpired, Since: sec(10)}
	edit := func(f func(*bfd.Status)) bfd.Status { s := down; f(&s); return s }
	signaled := edit(func(s *bfd.Status) { s.Diagnostic = bfd.NeighborSignaledDown })
	for _, tc := range []struct {
		name        string
		status      bfd.Status
		established time.Time
		now         time.Time
		hold        bool
		again       time.Time
	}{
		{"never up", edit(func(s *bfd.Status) { s.EverUp = false }), time.Time{}, sec(10), false, time.Time{}},
		{"up", edit(func(s *bfd.Status) { s.State = bfd.Up }), sec(1), sec(10), false, time.Time{}},
		{"down", down, sec(1), sec(10), true, sec(40)},
		{"down, no session", down, time.Time{}, sec(10), true, sec(40)},
		{"on its way up", edit(func(s *bfd.Status) { s.State = bfd.Init }), time.Time{}, sec(10), true, sec(40)},
		{"peer is administratively down", edit(func(s *bfd.Status) { s.Remote = bfd.AdminDown }), sec(1), sec(10), false, time.Time{}},
		{"we are administratively down", edit(func(s *bfd.Status) { s.State = bfd.AdminDown }), sec(1), sec(10), false, time.Time{}},
		{"signaled right after the session came up", signaled, sec(9.9), sec(10.1), false, sec(11)},
		{"signaled and lasting", signaled, sec(9.9), sec(11), true, sec(40)},
		{"signaled long after", signaled, sec(8), sec(10), true, sec(40)},
		{"signaled before the session came up", signaled, sec(10.5), sec(10.6), true, sec(40)},
		{"silence right after the session came up", down, sec(9.9), sec(10.1), true, sec(40)},
		{"BFD does not come back", down, time.Time{}, sec(40), false, time.Time{}},
	} {
		hold, again := Unreachable(tc.status, tc.established, tc.now)
		if hold != tc.hold || !again.Equal(tc.again) {
			t.Errorf("%s: %v, again at %v; want %v, %v", tc.name, hold, again, tc.hold, tc.again)
		}
	}
}

func TestGate(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	profile := lb.DefaultBFDProfile("p")
	addr := netip.MustParseAddr("192.0.2.1")
	linkLocal := netip.MustParseAddr("fe80::1")
	w := func(name string, edit func(*PeerWant)) PeerWant {
		p := PeerWant{Peer: lb.Peer{Name: name, MyASN: 1, PeerASN: 2, Address: addr, BFD: &profile}}
		if edit != nil {
			edit(&p)
		}
		return p
	}
	want := Want{Peers: []PeerWant{
		w("down", nil),
		w("down-otherwise", func(p *PeerWant) { p.Hold = LinkDown }),
		w("new", nil),
		w("none", func(p *PeerWant) { p.Peer.BFD = nil }),
		w("unnumbered", func(p *PeerWant) { p.Peer.Address, p.Peer.Interface = netip.Addr{}, "eth1" }),
		w("up", func(p *PeerWant) { p.Peer.MyASN, p.Peer.MultiHop, p.Peer.Source = 3, true, addr }),
	}}
	state := State{Sessions: []Session{
		{Name: "down", Ups: 1, Address: addr, Phase: Established, Since: now.Add(-time.Hour)},
		{Name: "down-otherwise", Ups: 1, Address: addr, Phase: Held},
		{Name: "new", Address: addr, Phase: Connecting},
		{Name: "none", Ups: 1, Address: addr, Phase: Established},
		{Name: "unnumbered", Address: linkLocal, Phase: Established},
		{Name: "up", Ups: 1, Address: addr, Phase: Established},
	}}
	failed := bfd.Status{State: bfd.Down, Remote: bfd.Down, EverUp: true, Diagnostic: bfd.DetectionTimeExpired, Since: now.Add(-time.Second)}
	before := fmt.Sprintf("%+v", want)
	got := Gate(want, state, map[string]bfd.Status{"down": failed, "down-otherwise": failed, "new": failed, "none": failed, "up": {State: bfd.Up, EverUp: true}}, now)
	var holds []string
	for _, p := range got.Want.Peers {
		holds = append(holds, p.Peer.Name+":"+string(p.Hold))
	}
	wantHolds := []string{"down:bfdDown", "down-otherwise:linkDown", "new:", "none:", "unnumbered:", "up:"}
	if diff := cmp.Diff(wantHolds, holds); diff != "" {
		t.Errorf("holds (-want +got):\n%s", diff)
	}
	params, far := bfd.ParamsOf(profile, false), bfd.ParamsOf(profile, true)
	wantTargets := []bfd.Target{
		{Name: "down", Peer: addr, MinimumTTL: 254, Params: params},
		{Name: "down-otherwise", Peer: addr, MinimumTTL: 254, Params: params},
		{Name: "unnumbered", Peer: linkLocal.WithZone("eth1"), Link: "eth1", MinimumTTL: 254, Params: params},
		{Name: "up", Peer: addr, Local: addr, MultiHop: true, MinimumTTL: 254, Params: far},
	}
	if diff := cmp.Diff(wantTargets, got.Targets, opts); diff != "" {
		t.Errorf("targets (-want +got):\n%s", diff)
	}
	if end := now.Add(29 * time.Second); !got.Again.Equal(end) {
		t.Errorf("again at %v, want %v", got.Again, end)
	}
	if after := fmt.Sprintf("%+v", want); after != before {
		t.Errorf("the wish was changed: %s", after)
	}
}
