// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"net/netip"
	"testing"
	"time"
)

func TestSessionsAreTheSameWhenTheNeighbourCannotTellThemApart(t *testing.T) {
	base := Target{Name: "a", Peer: netip.MustParseAddr("192.0.2.2"), MinimumTTL: 254, Params: fast}
	for name, c := range map[string]struct {
		edit func(*Target)
		same bool
	}{
		"name":       {func(t *Target) { t.Name = "b" }, true},
		"parameters": {func(t *Target) { t.Params.Multiplier = 9 }, true},
		"least TTL":  {func(t *Target) { t.MinimumTTL = 1 }, true},
		"peer":       {func(t *Target) { t.Peer = netip.MustParseAddr("192.0.2.3") }, false},
		"source":     {func(t *Target) { t.Local = netip.MustParseAddr("192.0.2.1") }, false},
		"link":       {func(t *Target) { t.Link = "eth0" }, false},
		"VRF":        {func(t *Target) { t.VRF = "red" }, false},
		"hops":       {func(t *Target) { t.MultiHop = true }, false},
	} {
		o := base
		c.edit(&o)
		if base.SameSession(o) != c.same || o.SameSession(base) != c.same {
			t.Errorf("another %s: want the same session: %v", name, c.same)
		}
	}
}

func TestJoinedTargetsAreAsStrictAsTheStrictest(t *testing.T) {
	peer := netip.MustParseAddr("192.0.2.2")
	a := Target{Name: "a", Peer: peer, MinimumTTL: 250, Params: Params{
		TransmitInterval: ms(50), ReceiveInterval: ms(300), Multiplier: 5, Passive: true, EchoReceive: ms(50),
	}}
	b := Target{Name: "b", Peer: peer, MinimumTTL: 254, Params: Params{
		TransmitInterval: ms(300), ReceiveInterval: ms(100), Multiplier: 3, EchoTransmit: ms(80), EchoReceive: ms(20),
	}}
	want := Target{Name: "a", Peer: peer, MinimumTTL: 254, Params: Params{
		TransmitInterval: ms(50), ReceiveInterval: ms(100), Multiplier: 3, EchoTransmit: ms(80), EchoReceive: ms(20),
	}}
	if got := a.Join(b); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := b.Join(a); got != want {
		t.Errorf("the other way round: %+v, want %+v", got, want)
	}
	if a.Join(a) != a {
		t.Error("a target joined with itself is another")
	}
	if shorter(0, 0) != 0 || shorter(time.Second, 0) != time.Second {
		t.Error("no echo counts as a short interval")
	}
}
