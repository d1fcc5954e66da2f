// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package bgp

import (
	"net/netip"
	"testing"

	"github.com/clarion-lb/clarion/internal/lb"
)

func TestSessionsAreHeldWhileTheirLinkIsDown(t *testing.T) {
	up := func(name string, prefixes ...string) lb.Link { return linkOf(name, true, prefixes) }
	down := func(name string, prefixes ...string) lb.Link { return linkOf(name, false, prefixes) }
	numbered := lb.Peer{Address: netip.MustParseAddr("192.0.2.1")}
	inRed := lb.Peer{Address: numbered.Address, VRF: "red"}
	red := lb.Link{Index: 4, Name: "red", Carrier: true}
	bridge := lb.Link{Index: 5, Name: "br0", Carrier: true, Broadcast: true, ARP: true}
	in := func(master, l lb.Link) lb.Link { l.Master = master.Index; return l }
	for name, c := range map[string]struct {
		peer  lb.Peer
		links []lb.Link
		want  lb.Reason
	}{
		"connected, with carrier":              {numbered, []lb.Link{up("eth0", "192.0.2.9/24")}, ""},
		"connected, without carrier":           {numbered, []lb.Link{down("eth0", "192.0.2.9/24")}, LinkDown},
		"connected twice, one with carrier":    {numbered, []lb.Link{down("eth0", "192.0.2.9/24"), up("eth1", "192.0.2.8/24")}, ""},
		"not connected":                        {numbered, []lb.Link{down("eth0", "198.51.100.9/24")}, ""},
		"unnumbered, with carrier":             {lb.Peer{Interface: "eth0"}, []lb.Link{up("eth0")}, ""},
		"unnumbered, without carrier":          {lb.Peer{Interface: "eth0"}, []lb.Link{down("eth0")}, LinkDown},
		"unnumbered, link is gone":             {lb.Peer{Interface: "eth0"}, []lb.Link{up("eth1")}, LinkDown},
		"in a VRF that is down":                {inRed, []lb.Link{down("red"), up("eth0", "192.0.2.9/24")}, LinkDown},
		"in a VRF, the address elsewhere down": {inRed, []lb.Link{red, down("eth0", "192.0.2.9/24")}, ""},
		"in a VRF, the address elsewhere up":   {inRed, []lb.Link{red, up("eth0", "192.0.2.9/24"), in(red, down("eth1", "192.0.2.8/24"))}, LinkDown},
		"in a VRF, its link up":                {inRed, []lb.Link{red, down("eth0", "192.0.2.9/24"), in(red, up("eth1", "192.0.2.8/24"))}, ""},
		"bound to a link without carrier":      {lb.Peer{Address: numbered.Address, VRF: "eth0"}, []lb.Link{down("eth0", "192.0.2.9/24")}, LinkDown},
		"in no VRF, the address in one down":   {numbered, []lb.Link{red, in(red, down("eth1", "192.0.2.8/24"))}, ""},
		"in no VRF, the address in one up":     {numbered, []lb.Link{red, down("eth0", "192.0.2.9/24"), in(red, up("eth1", "192.0.2.8/24"))}, LinkDown},
		"on a bridge without carrier":          {numbered, []lb.Link{down("br0", "192.0.2.9/24"), in(bridge, up("eth0"))}, LinkDown},
		"on the port of a bridge":              {numbered, []lb.Link{bridge, in(bridge, down("eth0", "192.0.2.9/24"))}, LinkDown},
		"on a bridge in a VRF":                 {inRed, []lb.Link{red, in(red, down("br0", "192.0.2.9/24"))}, LinkDown},
		"enslaved to what is not listed":       {numbered, []lb.Link{in(red, down("eth1", "192.0.2.8/24"))}, LinkDown},
	} {
		t.Run(name, func(t *testing.T) {
			in := Want{Peers: []PeerWant{{Peer: c.peer}}}
			if got := OnLinks(in, c.links).Peers[0].Hold; got != c.want {
				t.Errorf("hold %q, want %q", got, c.want)
			}
			if in.Peers[0].Hold != "" {
				t.Error("the argument was changed")
			}
		})
	}
}

func linkOf(name string, carrier bool, prefixes []string) lb.Link {
	l := lb.Link{Name: name, Carrier: carrier}
	for _, p := range prefixes {
		l.Prefixes = append(l.Prefixes, netip.MustParsePrefix(p))
	}
	return l
}

func TestLastResort(t *testing.T) {
	own := lb.Route{Prefix: netip.MustParsePrefix("10.0.0.1/32"), LocalPref: 200, Communities: []lb.Community{{A: 70, B: 1}}}
	external := PeerWant{Peer: lb.Peer{MyASN: 1, PeerASN: 2}, Routes: []lb.Route{own}}
	internal := PeerWant{Peer: lb.Peer{MyASN: 1, PeerASN: 1}, Routes: []lb.Route{own}}
	want := own
	want.Communities = []lb.Community{{A: 70, B: 1}, lb.GracefulShutdown()}
	if got := LastResort(external)[0]; !got.Equal(want) {
		t.Errorf("to an external peer: %+v, want %+v", got, want)
	}
	want.LocalPref = leastPref
	if got := LastResort(internal)[0]; !got.Equal(want) {
		t.Errorf("to an internal peer: %+v, want %+v", got, want)
	}
	if before := external.Routes[0]; before.LocalPref != 200 || len(before.Communities) != 1 {
		t.Errorf("the routes themselves are now %+v", before)
	}
}

func TestOnlyPeersThatLoseRoutesAreWarned(t *testing.T) {
	route := lb.Route{Prefix: netip.MustParsePrefix("192.0.2.1/32")}
	want := Want{Peers: []PeerWant{
		{Peer: lb.Peer{Name: "keeps", GracefulRestart: true}, Routes: []lb.Route{route}},
		{Peer: lb.Peer{Name: "loses"}, Routes: []lb.Route{route}},
	}}
	warned := func(restart bool) (out []string) {
		for _, p := range ShuttingDown(want, restart).Peers {
			if len(p.Routes[0].Communities) == 1 && p.Routes[0].Communities[0] == lb.GracefulShutdown() {
				out = append(out, p.Peer.Name)
			}
		}
		return out
	}
	if got := warned(true); len(got) != 1 || got[0] != "loses" {
		t.Errorf("restart warns %v", got)
	}
	if got := warned(false); len(got) != 2 {
		t.Errorf("the end warns %v", got)
	}
	if withdraws, leaves := Ending(want, true); !withdraws || !leaves {
		t.Errorf("restart: withdraws %v, leaves %v", withdraws, leaves)
	}
	if withdraws, leaves := Ending(want, false); !withdraws || leaves {
		t.Errorf("end: withdraws %v, leaves %v", withdraws, leaves)
	}
	want.Peers = want.Peers[:1]
	if withdraws, leaves := Ending(want, true); withdraws || !leaves {
		t.Errorf("restart with patient peers: withdraws %v, leaves %v", withdraws, leaves)
	}
}
