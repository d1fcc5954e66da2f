// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/clarion-lb/clarion/internal/bfd"
	"github.com/clarion-lb/clarion/internal/bfd/udp"
	"github.com/clarion-lb/clarion/internal/bgp"
	"github.com/clarion-lb/clarion/internal/bgp/gobgp"
	"github.com/clarion-lb/clarion/internal/daemon"
	"github.com/clarion-lb/clarion/internal/l2/wire"
	"github.com/clarion-lb/clarion/internal/lb"
)

const (
	// lookEvery is how often the sessions are looked at although nothing kicked: why a peer
	// cannot be connected to changes without a kick.
	lookEvery = 5 * time.Second
	// shutdownWarning is how long the peers have, between GRACEFUL_SHUTDOWN and the withdrawal
	// of the routes, to turn to other paths (RFC 8326 2.2). FRR takes some tens of milliseconds.
	shutdownWarning = 400 * time.Millisecond
	// shutdownTimeout bounds the whole end of the sessions, so that it fits into what kubelet
	// grants.
	shutdownTimeout = 1500 * time.Millisecond
)

// neighbours watches neighbours by BFD.
type neighbours interface {
	Set(want []bfd.Target)
	Observe() []udp.Status
}

// advertiser keeps the BGP sessions of this node. It has a loop of its own, so that what BFD
// or a session tells does not wait for a pass over the cluster.
type advertiser struct {
	log *slog.Logger
	// open makes a router with so many sessions in sight. Without peers there is none: it is not
	// free.
	open     func(peers int) (bgp.Router, error)
	bfd      *udp.Manager
	watch    neighbours // bfd
	links    func() (links []lb.Link, known bool)
	observed func(observedBGP) // gets what was seen after each look
	kick     chan struct{}

	mu      sync.Mutex // guards the fields below, and is never held over a call to the router
	want    bgp.Want
	looks   *lookout // of Run, when it has begun
	ending  bool     // Run looks no more; the peers are told to turn to other paths
	restart bool     // of what is ending
	router  bgp.Router
	state   observedBGP
	refused string // what the router refused last
	kept    bool   // routes were left to peers at the end
}

// lookout is the part of Run that Leave ends.
type lookout struct {
	end  context.CancelFunc
	done chan struct{} // closed when it has looked for the last time
}

// observedBGP is what is known of the sessions.
type observedBGP struct {
	Sessions []bgp.Session
	BFD      []udp.Status
	Watched  map[string]bgp.Watched // by the name of the peer; peers can share a session
}

// running are the BFD sessions as the gate takes them.
func (o observedBGP) running() []bgp.Watched {
	out := make([]bgp.Watched, 0, len(o.BFD))
	for _, s := range o.BFD {
		out = append(out, bgp.Watched{Target: s.Target, Status: s.Session, Problem: s.Problem})
	}
	return out
}

// gobgpRouter opens the engine.
func gobgpRouter(log *slog.Logger, routerID netip.Addr, kick func()) func(int) (bgp.Router, error) {
	return func(peers int) (bgp.Router, error) {
		return gobgp.New(gobgp.Options{Log: log, RouterID: routerID, Kick: kick, Discover: wire.Routers, Ready: peers})
	}
}

// kicked says that something changed.
func (a *advertiser) kicked() {
	select {
	case a.kick <- struct{}{}:
	default:
	}
}

// Set hands over everything that is wanted. It returns at once.
func (a *advertiser) Set(want bgp.Want) {
	a.mu.Lock()
	a.want = want
	a.mu.Unlock()
	a.kicked()
}

// Observe returns what the last look has seen, without waiting.
func (a *advertiser) Observe() observedBGP {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.state
}

// Run keeps the sessions what is wanted until Leave ends them. It returns when ctx ends.
func (a *advertiser) Run(ctx context.Context) error {
	if until, ok := a.begin(ctx); ok {
		a.keep(until)
		close(a.looks.done)
	}
	<-ctx.Done()
	return nil
}

// begin returns the context of the looks of Run, and false when there shall be none any more.
func (a *advertiser) begin(ctx context.Context) (context.Context, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ending {
		return nil, false
	}
	ctx, end := context.WithCancel(ctx)
	a.looks = &lookout{end, make(chan struct{})}
	return ctx, true
}

// keep looks when kicked, and now and then, until ctx ends.
func (a *advertiser) keep(ctx context.Context) {
	timer := time.NewTimer(lookEvery)
	defer timer.Stop()
	for ctx.Err() == nil {
		timer.Reset(a.look(ctx, time.Now()))
		select {
		case <-ctx.Done():
		case <-a.kick:
		case <-timer.C:
		}
	}
}

// look joins the wish with what BFD and the links say, hands it to the router, and says when to
// look again although nothing kicks.
func (a *advertiser) look(ctx context.Context, now time.Time) time.Duration {
	want, router := a.wish()
	if router == nil {
		return lookEvery
	}
	links, known := a.links()
	if known {
		want = bgp.OnLinks(want, links)
	}
	state, err := router.Observe(ctx)
	if err != nil {
		a.log.Warn("observe BGP sessions", "error", err)
		return lookEvery
	}
	seen := observedBGP{Sessions: state.Sessions, BFD: a.watch.Observe()}
	gated := bgp.Gate(want, bgp.Seen{State: state, BFD: seen.running(), Links: links, Known: known}, now)
	seen.Watched = gated.Watched
	a.watch.Set(gated.Targets)
	a.note(router.Set(ctx, gated.Want), seen)
	next := lookEvery
	if !gated.Again.IsZero() {
		next = min(next, max(gated.Again.Sub(now), time.Millisecond))
	}
	return next
}

// wish returns what is wanted now, and the router; nil while none has been needed.
func (a *advertiser) wish() (bgp.Want, bgp.Router) {
	a.mu.Lock()
	want, router, ending, restart := a.want, a.router, a.ending, a.restart
	a.mu.Unlock()
	if ending {
		return bgp.ShuttingDown(want, restart), router
	}
	if router != nil || len(want.Peers) == 0 {
		return want, router
	}
	router, err := a.open(len(want.Peers))
	if err != nil {
		a.log.Error("start BGP; trying again", "error", err)
		return want, nil
	}
	a.mu.Lock()
	a.router = router
	a.mu.Unlock()
	return want, router
}

// note remembers what was seen, and logs what the router newly refuses.
func (a *advertiser) note(err error, seen observedBGP) {
	refused := ""
	if err != nil {
		refused = err.Error()
	}
	a.mu.Lock()
	news := refused != a.refused
	a.refused, a.state = refused, seen
	a.mu.Unlock()
	if news && err != nil {
		a.log.Warn("peers that cannot be served as configured", "error", err)
	}
	a.observed(seen)
}

// Leave ends the sessions, after the looks of Run: one more would open again what is closed here, or
// find a router that has stopped. With restart, peers that keep the routes of a restarting neighbour
// are left to do so. The others are asked to turn to other paths first; then the routes are
// withdrawn, and the sessions end.
func (a *advertiser) Leave(ctx context.Context, restart bool) {
	ctx, cancel := context.WithTimeout(ctx, shutdownTimeout)
	defer cancel()
	a.mu.Lock()
	looks := a.looks
	a.ending, a.restart = true, restart
	a.mu.Unlock()
	if looks != nil {
		looks.end()
		select {
		case <-looks.done:
		case <-ctx.Done():
		}
	}
	a.mu.Lock() // only now: the last look of Run may have opened the router
	router, want := a.router, a.want
	a.mu.Unlock()
	if router == nil {
		return
	}
	withdraws, kept := bgp.Ending(want, restart)
	if withdraws {
		a.look(ctx, time.Now())
		_ = daemon.Sleep(ctx, shutdownWarning) // ends early when the time is up
	}
	if err := router.Stop(ctx, restart); err != nil {
		a.log.Warn("end BGP sessions", "error", err)
	}
	a.mu.Lock()
	a.kept = kept
	a.mu.Unlock()
}

// watchNeighbours runs BFD until ctx ends. It ends in silence when routes were left to peers, which
// would drop them at a goodbye.
func (a *advertiser) watchNeighbours(ctx context.Context) error {
	run, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	defer context.AfterFunc(ctx, func() { cancel(a.goodbye()) })()
	return a.bfd.Run(run)
}

func (a *advertiser) goodbye() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.kept {
		return udp.ErrRestart
	}
	return nil
}
