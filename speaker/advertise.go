// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/clarion-lb/clarion/internal/bfd/udp"
	"github.com/clarion-lb/clarion/internal/bgp"
	"github.com/clarion-lb/clarion/internal/cluster"
	"github.com/clarion-lb/clarion/internal/lb"
	"github.com/clarion-lb/clarion/internal/plan"
)

// newBGP makes the parts for BGP, which cost nothing until there is a peer.
func (l *loop) newBGP(o options) error {
	a := &advertiser{
		log: l.log, kick: make(chan struct{}, 1), observed: l.reportSessions,
		// The links are asked for at each look, after they have been made.
		links: func() ([]lb.Link, bool) { return l.links.Links() },
	}
	var err error
	a.bfd, err = udp.New(udp.Options{Log: l.log, Kick: a.kicked})
	if err != nil {
		return fmt.Errorf("prepare BFD: %w", err)
	}
	a.watch = a.bfd
	a.open = gobgpRouter(l.log, bgp.RouterID(o.node, o.addresses()), a.kicked)
	l.bgp = a
	return nil
}

// advertise hands a plan to the sessions and tells what changed.
func (l *loop) advertise(next plan.BGP, services []*cluster.Packed) {
	if !next.Known { // unknown is not empty (I7); layer 2 lacks the same, and says so
		return
	}
	var prev plan.BGP
	if p := l.lastBGP.Load(); p != nil {
		prev = *p
	}
	l.bgp.Set(bgp.Want{Peers: next.Peers})
	l.lastBGP.Store(&next)
	l.bgpStatuses.SetServices(next)
	l.tell(plan.BGPTransitions(prev, next), services)
}

// reportSessions hands on how the sessions are.
func (l *loop) reportSessions(seen observedBGP) {
	l.bgpStatuses.SetSessions(plan.SessionStates(l.node, seen.Sessions, seen.Watched, time.Now()))
}

// stopAdvertising ends the sessions. Peers that keep the routes of a restarting neighbour do so,
// unless this node was ordered to leave: then it is not about to return.
func (l *loop) stopAdvertising(ctx context.Context) {
	last := l.lastBGP.Load()
	l.bgp.Leave(ctx, last == nil || !last.Leaving)
}

// addresses are those of this node that it was told, for a router ID.
func (o options) addresses() []netip.Addr {
	var out []netip.Addr
	for _, text := range []string{o.host, o.mlBindAddr} {
		if addr, err := netip.ParseAddr(text); err == nil {
			out = append(out, addr)
		}
	}
	return out
}
