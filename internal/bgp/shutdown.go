// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package bgp

import (
	"slices"

	"github.com/clarion-lb/clarion/internal/lb"
)

// leastPref is the lowest local preference that is sent: 0, which RFC 8326 recommends, means none here.
const leastPref = 1

// LastResort returns the routes of a peer that it shall use only where nobody else has any: with the
// community GRACEFUL_SHUTDOWN (RFC 8326). External peers lower their preference because of it. Internal
// ones take the preference of whoever sends the route, so that is lowered as well.
func LastResort(w PeerWant) []lb.Route {
	out := slices.Clone(w.Routes)
	for i := range out {
		r := &out[i]
		r.Communities = lb.SortedCommunities(append(slices.Clone(r.Communities), lb.GracefulShutdown()))
		if w.Peer.Internal() {
			r.LocalPref = leastPref
		}
	}
	return out
}

// ShuttingDown returns the wish with all routes as a last resort, except those of peers that keep routes over a restart.
func ShuttingDown(want Want, restart bool) Want {
	out := Want{Peers: slices.Clone(want.Peers)}
	for i := range out.Peers {
		if w := &out.Peers[i]; !restart || !w.Peer.GracefulRestart {
			w.Routes = LastResort(*w)
		}
	}
	return out
}

// Ending says what Stop does to the peers of a wish: whether it withdraws routes from some, and
// whether it leaves routes to others.
func Ending(want Want, restart bool) (withdraws, leaves bool) {
	for i := range want.Peers {
		switch w := &want.Peers[i]; {
		case restart && w.Peer.GracefulRestart:
			leaves = true
		case len(w.Routes) > 0:
			withdraws = true
		}
	}
	return withdraws, leaves
}
