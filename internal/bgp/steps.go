// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package bgp

import (
	"hash/crc32"
	"reflect"
	"time"

	"github.com/clarion-lb/clarion/internal/lb"
)

// Op is one call to the engine.
type Op uint8

// The calls, each for the peer whose steps these are.
const (
	DeletePeer Op = iota // end the session, keep the routes
	AddPeer              // start a session with Peer
	AddPath              // announce Route, replacing another of the same prefix
	DeletePath           // withdraw Route.Prefix
)

// Step is a call with its argument.
type Step struct {
	Op    Op
	Peer  lb.Peer
	Route lb.Route
}

// Have is what the engine holds for one peer. The zero Have is an engine without anything.
type Have struct {
	Peer   lb.Peer
	Added  bool       // a session exists or is being tried with Peer
	Routes []lb.Route // sorted by prefix
}

// Steps returns what leads from have to want, in order; nothing when they agree. want nil
// removes everything.
//
// Routes come before the session that is to carry them, so that a peer that kept our routes over
// a restart sees no gap (RFC 4724 4.1). On a running session new routes go out before old ones
// are withdrawn. A route whose attributes change is announced again and not withdrawn.
func Steps(have Have, want *PeerWant) []Step {
	var steps []Step
	var routes []lb.Route
	keep := want != nil && want.Hold == "" && have.Added && SameSession(have.Peer, want.Peer)
	if have.Added && !keep {
		steps = append(steps, Step{Op: DeletePeer, Peer: have.Peer})
	}
	if want != nil {
		routes = want.Routes
	}
	steps = append(steps, routeSteps(have.Routes, routes)...)
	if want != nil && want.Hold == "" && !keep {
		steps = append(steps, Step{Op: AddPeer, Peer: want.Peer})
	}
	return steps
}

// routeSteps compares two sorted lists of routes: first all additions, then all withdrawals.
func routeSteps(have, want []lb.Route) []Step {
	var add, del []Step
	for len(have) > 0 || len(want) > 0 {
		order := 0
		switch {
		case len(have) == 0:
			order = 1
		case len(want) == 0:
			order = -1
		default:
			order = have[0].Prefix.Compare(want[0].Prefix)
		}
		switch {
		case order < 0:
			del = append(del, Step{Op: DeletePath, Route: have[0]})
			have = have[1:]
		case order > 0:
			add = append(add, Step{Op: AddPath, Route: want[0]})
			want = want[1:]
		default:
			if !have[0].Equal(want[0]) {
				add = append(add, Step{Op: AddPath, Route: want[0]})
			}
			have, want = have[1:], want[1:]
		}
	}
	return append(add, del...)
}

// SameSession says whether two configurations of a peer can be served by one session: all but
// its age, the node selectors and the BFD profile, which the session does not know.
func SameSession(a, b lb.Peer) bool {
	a.Created, b.Created = time.Time{}, time.Time{}
	a.Nodes, b.Nodes = nil, nil
	a.BFD, b.BFD = nil, nil
	return reflect.DeepEqual(a, b)
}

func checksum(s string) uint32 { return crc32.ChecksumIEEE([]byte(s)) }
