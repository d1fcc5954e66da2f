// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/clarion-lb/clarion/internal/bgp"
	"github.com/clarion-lb/clarion/internal/lb"
)

// Discover watches a link for the router of an unnumbered peer: it sends router advertisements,
// which the peer needs to find us, and calls found with the link-local address, without zone, of
// every router that it hears. It returns when ctx ends.
type Discover func(ctx context.Context, link string, found func(netip.Addr)) error

// Options are what a Router needs.
type Options struct {
	Log *slog.Logger
	// RouterID is the BGP identifier of peers that name none: an IPv4 address.
	RouterID netip.Addr
	// Kick is called, without locks held, when a session comes up or goes down. It must not block.
	Kick func()
	// Discover finds unnumbered peers; without it they are rejected.
	Discover Discover
	// Ready is how many servers to start in advance, for as many peers; more are started as
	// they are needed.
	Ready int
}

// Router is a bgp.Router. Its methods are safe for concurrent use.
type Router struct {
	opts   Options
	pool   *pool
	ctx    context.Context // ends the slots
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex // held for bookkeeping only, never over a call to the engine
	slots   map[string]*slot
	leaving map[*slot]bool
	stopped bool
}

var _ bgp.Router = (*Router)(nil)

// New starts the servers in advance and no session.
func New(o Options) (*Router, error) {
	if !o.RouterID.Is4() {
		return nil, fmt.Errorf("start router: router ID %s is no IPv4 address", o.RouterID)
	}
	p, err := newPool(o.Log, o.RouterID, o.Ready)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Router{opts: o, pool: p, ctx: ctx, cancel: cancel, slots: map[string]*slot{}, leaving: map[*slot]bool{}}, nil
}

// Set implements bgp.Router.
func (r *Router) Set(_ context.Context, want bgp.Want) error {
	var errs []error
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return errors.New("set routes: router is stopped")
	}
	keep := map[string]bool{}
	for _, w := range want.Peers {
		keep[w.Peer.Name] = true
		problem := r.check(w.Peer)
		if problem != "" {
			errs = append(errs, fmt.Errorf("serve peer %s: %s", w.Peer.Name, problem))
		}
		s := r.slots[w.Peer.Name]
		if s == nil {
			s = newSlot(w.Peer.Name, r.opts, r.pool)
			r.slots[w.Peer.Name] = s
			r.wg.Go(func() { s.run(r.ctx) })
		}
		s.set(w, problem)
	}
	for name, s := range r.slots {
		if keep[name] {
			continue
		}
		delete(r.slots, name)
		r.leaving[s] = true
		s.remove(func() {
			r.mu.Lock()
			delete(r.leaving, s)
			r.mu.Unlock()
		})
	}
	return errors.Join(errs...)
}

// check adds to bgp.Check what this Router cannot do.
func (r *Router) check(p lb.Peer) string {
	if problem := bgp.Check(p); problem != "" {
		return problem
	}
	if p.Unnumbered() && r.opts.Discover == nil {
		return "unnumbered peers cannot be found here"
	}
	return ""
}

// Observe implements bgp.Router.
func (r *Router) Observe(context.Context) (bgp.State, error) {
	r.mu.Lock()
	out := bgp.State{Sessions: make([]bgp.Session, 0, len(r.slots))}
	for _, s := range r.slots {
		out.Sessions = append(out.Sessions, s.observe())
	}
	r.mu.Unlock()
	slices.SortFunc(out.Sessions, func(a, b bgp.Session) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

// stopTime bounds Stop when its context does not.
const stopTime = 5 * time.Second

// Stop implements bgp.Router. A restart leaves the connections of gracefully restarting peers open,
// for the end of the process to break: that, and not a Cease, is what makes a peer keep the
// routes (RFC 4724 4.2).
func (r *Router) Stop(ctx context.Context, restart bool) error {
	r.mu.Lock()
	if r.stopped {
		r.mu.Unlock()
		return nil
	}
	r.stopped = true
	slots := make([]*slot, 0, len(r.slots)+len(r.leaving))
	for _, s := range r.slots {
		slots = append(slots, s)
	}
	for s := range r.leaving {
		slots = append(slots, s)
	}
	r.mu.Unlock()

	r.cancel()
	ctx, cancel := context.WithTimeout(ctx, stopTime)
	defer cancel()
	errs := make(chan error, len(slots))
	for _, s := range slots {
		go func() { errs <- s.stop(ctx, restart) }()
	}
	var all []error
	for range slots {
		all = append(all, <-errs)
	}
	return errors.Join(all...)
}
