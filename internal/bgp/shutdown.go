// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package bgp

import (
	"slices"

	"github.com/clarion-lb/clarion/internal/lb"
)

// ShuttingDown returns the wish with the community GRACEFUL_SHUTDOWN on all routes (RFC 8326),
// except those of peers that keep routes over a restart.
func ShuttingDown(want Want, restart bool) Want {
	out := Want{Peers: slices.Clone(want.Peers)}
	for i := range out.Peers {
		if w := &out.Peers[i]; !restart || !w.Peer.GracefulRestart {
			w.Routes = WithCommunity(w.Routes, lb.GracefulShutdown())
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
