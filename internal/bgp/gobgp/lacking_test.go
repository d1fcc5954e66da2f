// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"net/netip"
	"testing"

	"github.com/clarion-lb/clarion/internal/bgp"
	"github.com/clarion-lb/clarion/internal/lb"
)

// No route is left out in silence, be the session established or not.
func TestRoutesWithoutNextHopAreTold(t *testing.T) {
	ours, none := netip.MustParseAddr("192.0.2.7"), netip.Addr{}
	route := func(text string) lb.Route { return lb.Route{Prefix: netip.MustParsePrefix(text)} }
	four, six, seven := route("203.0.113.1/32"), route("2001:db8::6/128"), route("2001:db8::7/128")
	only4, only6 := hops{v4: netip.IPv4Unspecified()}, hops{v6: netip.IPv6Unspecified()}
	for name, c := range map[string]struct {
		hops     hops
		routes   []lb.Route
		local    netip.Addr
		want     string
		sendable int
	}{
		"all go":                         {hops: hops{v4: ours, v6: netip.IPv6Unspecified()}, routes: []lb.Route{four, six}, sendable: 2},
		"none is of the other family":    {hops: only4, routes: []lb.Route{four}, local: ours, sendable: 1},
		"two wait":                       {hops: only4, routes: []lb.Route{four, six, seven}, local: ours, sendable: 1, want: "no IPv6 address beside 192.0.2.7: 2 routes wait"},
		"one waits":                      {hops: only6, routes: []lb.Route{four, six}, local: netip.MustParseAddr("2001:db8::1"), sendable: 1, want: "no IPv4 address beside 2001:db8::1: 1 route waits"},
		"before our address is known":    {hops: only4, routes: []lb.Route{six}, local: none, want: "no IPv6 address for a next hop: 1 route waits"},
		"an interface without addresses": {routes: []lb.Route{four, six}, local: none, want: "no IPv4 address for a next hop: 1 route waits; no IPv6 address for a next hop: 1 route waits"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := len(c.hops.sendable(c.routes)); got != c.sendable {
				t.Errorf("%d are sendable, want %d", got, c.sendable)
			}
			for _, phase := range []bgp.Phase{bgp.Established, bgp.Connecting} {
				s := &slot{hops: c.hops, engine: &engine{}}
				sess := bgp.Session{Phase: phase, Local: c.local}
				s.explain(&sess, &wish{want: bgp.PeerWant{Routes: c.routes}})
				if sess.Detail != c.want || (sess.Reason == bgp.NoNextHop) != (c.want != "") {
					t.Errorf("%s: %s %q, want %q", phase, sess.Reason, sess.Detail, c.want)
				}
			}
		})
	}
}
