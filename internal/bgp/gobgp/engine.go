// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	api "github.com/osrg/gobgp/v3/api"
	"github.com/osrg/gobgp/v3/pkg/server"

	"github.com/clarion-lb/clarion/internal/bgp"
	"github.com/clarion-lb/clarion/internal/lb"
)

const (
	// chunk is how many routes are handed over before a newer wish is looked at.
	chunk = 500
	// patience is how long the engine may take for one chunk. It waits for the last write of a
	// session, and a peer that reads nothing can make that last as long as the hold time; such an
	// engine is left behind, and the peer gets another one.
	patience = 5 * time.Second
)

var errStuck = errors.New("engine does not answer")

// reach does the steps from what the engine has to want; nil wants nothing.
func (s *slot) reach(want *bgp.PeerWant) {
	if want != nil && s.engine != nil {
		if s.baseOf(want.Peer) != s.engine.base || want.Peer.LocalAS() != s.localAS {
			s.reach(nil) // the paths themselves, or their server, become others
			s.release()
		}
	}
	steps := bgp.Steps(s.have, want)
	if len(steps) == 0 {
		return
	}
	if s.engine == nil {
		if s.failure = s.acquire(want); s.failure != nil {
			s.log.Error("start engine", "err", s.failure)
			return
		}
	}
	for len(steps) > 0 {
		n := min(len(steps), chunk)
		if err := s.execute(steps[:n]); err != nil {
			s.log.Warn("change engine", "err", err)
			if errors.Is(err, errStuck) {
				s.abandon()
			}
			return // the next pass tries again, from what was done
		}
		steps = steps[n:]
		if len(steps) > 0 && want != nil && s.newWish() {
			return // run passes again at once, because the wish has kicked
		}
	}
}

// baseOf is what the peer's engine is started with.
func (s *slot) baseOf(p lb.Peer) base {
	b := base{routerID: p.RouterID}
	if !b.routerID.IsValid() {
		b.routerID = s.opts.RouterID
	}
	if p.Passive() {
		address := p.Source
		if !address.IsValid() {
			address = unspecified(lb.FamilyOf(p.Address))
		}
		b.listen, b.device = netip.AddrPortFrom(address, p.ListenPort), p.VRF
	}
	return b
}

// acquire takes an engine and listens to it.
func (s *slot) acquire(want *bgp.PeerWant) error {
	e, err := s.pool.take(s.baseOf(want.Peer))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	e.log.use(s.log, s.said)
	err = e.server.WatchEvent(ctx, &api.WatchEventRequest{Peer: &api.WatchEventRequest_Peer{}}, func(*api.WatchEventResponse) { s.kick() })
	if err != nil {
		cancel()
		return fmt.Errorf("watch sessions: %w", err)
	}
	s.engine, s.unwatch, s.localAS = e, cancel, want.Peer.LocalAS()
	return nil
}

// release gives the engine back, unless something is left in it.
func (s *slot) release() {
	if s.engine == nil {
		return
	}
	s.unwatch()
	if s.have.Added || len(s.have.Routes) > 0 {
		s.log.Error("engine keeps a peer or routes, leaving it behind", "routes", len(s.have.Routes))
	} else {
		s.pool.put(s.engine)
	}
	s.engine, s.have = nil, bgp.Have{}
}

// abandon leaves an engine that does not answer to itself. Its goroutine ends its call some day;
// nobody waits for it.
func (s *slot) abandon() {
	s.log.Error("engine does not answer, leaving it behind", "addr", s.address)
	s.unwatch()
	s.engine.log.use(s.log, nil)
	s.keepCounters()
	s.engine, s.have = nil, bgp.Have{}
}

// drop ends the session and keeps the routes; the next steps add the peer again.
func (s *slot) drop() {
	if err := s.execute([]bgp.Step{{Op: bgp.DeletePeer, Peer: s.have.Peer}}); err != nil {
		s.log.Warn("end session", "err", err)
		if errors.Is(err, errStuck) {
			s.abandon()
		}
	}
}

// execute makes the calls of some steps and notes what was done.
func (s *slot) execute(steps []bgp.Step) error {
	c := caller{server: s.engine.server, address: s.address, localAS: s.localAS, hops: s.hops}
	err := guard(func() error {
		for _, step := range steps {
			if err := c.call(step); err != nil {
				return err
			}
			c.done++
		}
		return nil
	})
	if errors.Is(err, errStuck) {
		return err // c still belongs to the calls
	}
	s.note(steps[:c.done])
	return err
}

// guard runs calls to the engine but does not wait for ever. After errStuck the calls still run,
// and the engine that they were made to must be abandoned.
func guard(calls func() error) error {
	ch := make(chan error, 1)
	go func() { ch <- calls() }()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case err := <-ch:
		return err
	case <-timer.C:
		return errStuck
	}
}

// caller makes calls beside the slot's goroutine, so it has its own copy of what they need.
type caller struct {
	server  *server.BgpServer
	address netip.Addr
	localAS uint32
	hops    hops
	done    int
}

func (c *caller) call(step bgp.Step) error {
	ctx := context.Background()
	switch step.Op {
	case bgp.DeletePeer:
		if err := c.server.DeletePeer(ctx, &api.DeletePeerRequest{Address: c.address.String()}); err != nil {
			return fmt.Errorf("delete peer %s: %w", c.address, err)
		}
	case bgp.AddPeer:
		// Every session of ours is a restart to a peer that has kept our routes; to one that has
		// not, the mark means nothing.
		peer := peerOf(step.Peer, c.address, true)
		if err := c.server.AddPeer(ctx, &api.AddPeerRequest{Peer: peer}); err != nil {
			return fmt.Errorf("add peer %s: %w", c.address, err)
		}
	case bgp.AddPath:
		path, err := pathOf(c.localAS, step.Route, c.hops.of(lb.FamilyOf(step.Route.Prefix.Addr())))
		if err != nil {
			return err
		}
		if _, err := c.server.AddPath(ctx, &api.AddPathRequest{Path: path}); err != nil {
			return fmt.Errorf("announce %s: %w", step.Route.Prefix, err)
		}
	case bgp.DeletePath:
		path, err := pathOf(c.localAS, lb.Route{Prefix: step.Route.Prefix}, unspecified(lb.FamilyOf(step.Route.Prefix.Addr())))
		if err != nil {
			return err
		}
		if err := c.server.DeletePath(ctx, &api.DeletePathRequest{Path: path}); err != nil {
			return fmt.Errorf("withdraw %s: %w", step.Route.Prefix, err)
		}
	}
	return nil
}

// unspecified is the next hop of a withdrawal, which has none, and where a passive peer without
// source address may connect to.
func unspecified(f lb.Family) netip.Addr {
	if f == lb.IPv4 {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// note brings have up to date with the steps that were done.
func (s *slot) note(steps []bgp.Step) {
	changed := map[netip.Prefix]*lb.Route{}
	for _, step := range steps {
		switch step.Op {
		case bgp.DeletePeer:
			s.have.Added, s.have.Peer = false, lb.Peer{}
			s.wasUp = false
			s.keepCounters()
		case bgp.AddPeer:
			s.have.Added, s.have.Peer = true, step.Peer
		case bgp.AddPath:
			changed[step.Route.Prefix] = &step.Route
		case bgp.DeletePath:
			changed[step.Route.Prefix] = nil
		}
	}
	if len(changed) == 0 {
		return
	}
	kept := make([]lb.Route, 0, len(s.have.Routes)+len(changed))
	for _, r := range s.have.Routes {
		if _, touched := changed[r.Prefix]; !touched {
			kept = append(kept, r)
		}
	}
	for _, r := range changed {
		if r != nil {
			kept = append(kept, *r)
		}
	}
	slices.SortFunc(kept, func(a, b lb.Route) int { return a.Prefix.Compare(b.Prefix) })
	s.have.Routes = kept
}
