// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package bgp

import (
	"fmt"
	"net/netip"
	"slices"
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
	seen := Seen{State: state, BFD: []Watched{
		{Target: bfd.Target{Name: "down", Peer: addr}, Status: failed},
		{Target: bfd.Target{Name: "up", Peer: addr, Local: addr, MultiHop: true}, Status: bfd.Status{State: bfd.Up, EverUp: true}},
		{Target: bfd.Target{Name: "unnumbered", Peer: addr}, Status: failed}, // where it was before
	}}
	got := Gate(want, seen, now)
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
		{Name: "unnumbered", Peer: linkLocal.WithZone("eth1"), Link: "eth1", MinimumTTL: 254, Params: params},
		{Name: "up", Peer: addr, Local: addr, MultiHop: true, MinimumTTL: 254, Params: far},
	}
	if diff := cmp.Diff(wantTargets, got.Targets, opts); diff != "" {
		t.Errorf("targets (-want +got):\n%s", diff)
	}
	var watched []string
	for name, w := range got.Watched {
		watched = append(watched, name+":"+w.Target.Name)
	}
	slices.Sort(watched)
	if diff := cmp.Diff([]string{"down-otherwise:down", "down:down", "up:up"}, watched); diff != "" {
		t.Errorf("watched (-want +got):\n%s", diff)
	}
	if end := now.Add(29 * time.Second); !got.Again.Equal(end) {
		t.Errorf("again at %v, want %v", got.Again, end)
	}
	if after := fmt.Sprintf("%+v", want); after != before {
		t.Errorf("the wish was changed: %s", after)
	}
}

// Peers that differ by their name or port are one neighbour to BFD, which is watched as the
// stricter of them asks.
func TestPeersShareABFDSession(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	slow, fast := lb.DefaultBFDProfile("slow"), lb.DefaultBFDProfile("fast")
	fast.TransmitInterval = 50 * time.Millisecond
	addr := netip.MustParseAddr("192.0.2.2")
	p := lb.Peer{MyASN: 1, PeerASN: 2, Address: addr}
	named := func(name string, edit func(*lb.Peer)) PeerWant {
		q := p
		q.Name = name
		edit(&q)
		return PeerWant{Peer: q}
	}
	want := Want{Peers: []PeerWant{
		named("a", func(p *lb.Peer) { p.BFD = &slow }),
		named("b", func(p *lb.Peer) { p.BFD, p.Port = &fast, 1179 }),
		named("c", func(p *lb.Peer) { p.BFD, p.Source = &slow, netip.MustParseAddr("192.0.2.1") }),
		named("d", func(p *lb.Peer) { p.BFD, p.VRF = &slow, "red" }),
	}}
	var state State
	for _, w := range want.Peers {
		state.Sessions = append(state.Sessions, Session{Name: w.Peer.Name, Ups: 1, Address: addr, Phase: Established})
	}
	seen := Seen{State: state, BFD: []Watched{{Target: bfd.Target{Name: "a", Peer: addr}, Status: bfd.Status{
		State: bfd.Down, Remote: bfd.Down, EverUp: true, Since: now, Diagnostic: bfd.DetectionTimeExpired,
	}}}}
	got := Gate(want, seen, now)
	var names, held []string
	for _, t := range got.Targets {
		names = append(names, t.Name)
	}
	for _, w := range got.Want.Peers {
		if w.Hold != "" {
			held = append(held, w.Peer.Name)
		}
	}
	if diff := cmp.Diff([]string{"a", "c", "d"}, names); diff != "" {
		t.Errorf("targets (-want +got):\n%s", diff)
	}
	if got.Targets[0].Params.TransmitInterval != fast.TransmitInterval {
		t.Errorf("the stricter profile is not used: %+v", got.Targets[0])
	}
	if diff := cmp.Diff([]string{"a", "b"}, held); diff != "" {
		t.Errorf("held (-want +got):\n%s", diff)
	}
}

func TestInternalPeersAreWatchedAcrossHopsWhenTheyAreNotNextToUs(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	profile := lb.DefaultBFDProfile("p")
	profile.EchoMode = true
	near, far := netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("198.51.100.2")
	near6, far6 := netip.MustParseAddr("2001:db8::2"), netip.MustParseAddr("2001:db8:1::2")
	links := []lb.Link{
		linkOf("eth0", true, []string{"192.0.2.1/24", "2001:db8::1/64"}),
		{Index: 4, Name: "red"},
		{Index: 5, Name: "eth1", Master: 4, Prefixes: []netip.Prefix{netip.MustParsePrefix("198.51.100.1/24")}},
	}
	internal := func(a netip.Addr) lb.Peer { return lb.Peer{MyASN: 1, PeerASN: 1, Address: a} }
	running := func(a netip.Addr, multiHop bool, state bfd.State, age time.Duration) []Watched {
		return []Watched{{Target: bfd.Target{Name: "p", Peer: a, MultiHop: multiHop}, Status: bfd.Status{State: state, EverUp: true, Since: now.Add(-age)}}}
	}
	for name, c := range map[string]struct {
		peer    lb.Peer
		links   []lb.Link
		unknown bool
		running []Watched
		want    string
	}{
		"on our network":                  {internal(near), links, false, nil, "one"},
		"on our network, IPv6":            {internal(near6), links, false, nil, "one"},
		"elsewhere":                       {internal(far), links[:1], false, nil, "many"},
		"elsewhere, IPv6":                 {internal(far6), links, false, nil, "many"},
		"external elsewhere":              {lb.Peer{MyASN: 1, PeerASN: 2, Address: far}, links[:1], false, nil, "one"},
		"external, multi-hop":             {lb.Peer{MyASN: 1, PeerASN: 2, Address: near, MultiHop: true}, links, false, nil, "many"},
		"dynamic internal elsewhere":      {lb.Peer{MyASN: 1, Dynamic: lb.InternalASN, Address: far}, links[:1], false, nil, "many"},
		"unnumbered internal":             {lb.Peer{MyASN: 1, PeerASN: 1, Interface: "eth0"}, links, false, nil, "one"},
		"on a network of its VRF":         {lb.Peer{MyASN: 1, PeerASN: 1, Address: far, VRF: "red"}, links, false, nil, "one"},
		"on a network of another's VRF":   {internal(far), links, false, nil, "many"},
		"on a network outside its VRF":    {lb.Peer{MyASN: 1, PeerASN: 1, Address: near, VRF: "red"}, links, false, nil, "many"},
		"bound to the link of its net":    {lb.Peer{MyASN: 1, PeerASN: 1, Address: near, VRF: "eth0"}, links, false, nil, "one"},
		"no links at all":                 {internal(near), nil, false, nil, "many"},
		"links not known yet":             {internal(near), nil, true, nil, "none"},
		"links not known yet, unnumbered": {lb.Peer{MyASN: 1, PeerASN: 1, Interface: "eth0"}, nil, true, nil, "one"},
		"links not known yet, external":   {lb.Peer{MyASN: 1, PeerASN: 2, Address: near}, nil, true, nil, "one"},
		"up, its network was lost":        {internal(near), nil, false, running(near, false, bfd.Up, time.Hour), "one"},
		"down, its network was lost":      {internal(near), nil, false, running(near, false, bfd.Down, time.Second), "one"},
		"down for long":                   {internal(near), nil, false, running(near, false, bfd.Down, time.Minute), "many"},
		"up across hops, a network came":  {internal(near), links, false, running(near, true, bfd.Up, time.Hour), "many"},
		"another neighbour's session":     {internal(near), nil, false, running(far, false, bfd.Up, time.Hour), "many"},
	} {
		c.peer.Name, c.peer.BFD = "p", &profile
		address := c.peer.Address
		if c.peer.Unnumbered() {
			address = netip.MustParseAddr("fe80::1")
		}
		got := Gate(Want{Peers: []PeerWant{{Peer: c.peer}}}, Seen{
			State: State{Sessions: []Session{{Name: "p", Ups: 1, Address: address}}}, BFD: c.running, Links: c.links, Known: !c.unknown,
		}, now)
		kind := "none"
		for _, x := range got.Targets {
			kind = map[bool]string{true: "many", false: "one"}[x.MultiHop]
			if echo := x.Params.EchoReceive + x.Params.EchoTransmit; x.MultiHop != (echo == 0) {
				t.Errorf("%s: echo packets at %s", name, echo)
			}
		}
		if kind != c.want {
			t.Errorf("%s: watched for %s hops, want %s", name, kind, c.want)
		}
	}
}

func TestUnwatchedSessionsSayWhy(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	old := Session{Phase: Established, Since: now.Add(-time.Hour)}
	never := Watched{Status: bfd.Status{State: bfd.Down, Remote: bfd.Down, Since: now}}
	edit := func(f func(*Watched)) Watched { w := never; f(&w); return w }
	for name, c := range map[string]struct {
		session Session
		watched Watched
		want    string
	}{
		"up":                    {old, edit(func(w *Watched) { w.Status.State, w.Status.EverUp = bfd.Up, true }), ""},
		"within its time":       {Session{Phase: Established, Since: now.Add(-time.Second)}, never, ""},
		"not established":       {Session{Phase: Held}, never, ""},
		"nothing heard":         {old, never, "BFD has not come up: no packet from the peer for a session on one network (UDP port 3784)"},
		"nothing heard far off": {old, edit(func(w *Watched) { w.Target.MultiHop = true }), "BFD has not come up: no packet from the peer for a session across hops (UDP port 4784)"},
		"one way":               {old, edit(func(w *Watched) { w.Status.State, w.Status.RemoteDisc = bfd.Init, 7 }), "BFD has not come up: the peer sends packets and does not hear ours"},
		"switched off":          {old, edit(func(w *Watched) { w.Status.Remote, w.Status.EverUp = bfd.AdminDown, true }), "the peer has switched BFD off"},
		"failed just now":       {old, edit(func(w *Watched) { w.Status.EverUp = true }), ""},
		"failed for long": {old, edit(func(w *Watched) {
			w.Status.EverUp, w.Status.Since, w.Status.Diagnostic = true, now.Add(-time.Hour), bfd.DetectionTimeExpired
		}), "BFD is down (detection time expired) and BGP goes on without it"},
		"broken": {old, edit(func(w *Watched) { w.Problem = "listen on UDP port 3784: address already in use" }),
			"BFD cannot work: listen on UDP port 3784: address already in use"},
	} {
		if got := Unwatched(&c.session, c.watched, now); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
