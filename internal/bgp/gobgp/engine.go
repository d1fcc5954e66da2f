// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	api "github.com/osrg/gobgp/v3/api"
	"github.com/osrg/gobgp/v3/pkg/server"

	"github.com/clarion-lb/clarion/internal/bgp"
	"github.com/clarion-lb/clarion/internal/lb"
)

// chunk is how many routes are handed over before a newer wish is looked at.
const chunk = 500

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
		s.failure = s.acquire(want)
		s.complain("start engine", s.failure)
		if s.failure != nil {
			return
		}
	}
	for len(steps) > 0 {
		n := min(len(steps), chunk)
		err := s.execute(steps[:n])
		s.complain("change engine", err)
		if err != nil {
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
	e.log.use(s.log, func(event, detail string) {
		if ctx.Err() == nil { // afterwards it speaks of a session that is no longer ours
			s.said(event, detail)
		}
	})
	err = s.pool.ask(e, func(context.Context) error {
		return e.server.WatchEvent(ctx, &api.WatchEventRequest{Peer: &api.WatchEventRequest_Peer{}}, func(*api.WatchEventResponse) { s.kick() })
	})
	if err != nil {
		cancel()
		if !errors.Is(err, errStuck) {
			s.pool.put(e, false)
		}
		return fmt.Errorf("watch sessions: %w", err)
	}
	s.engine, s.unwatch, s.localAS = e, cancel, want.Peer.LocalAS()
	return nil
}

// release gives the engine back.
func (s *slot) release() {
	if s.engine == nil {
		return
	}
	s.unwatch()
	clean := !s.have.Added && len(s.have.Routes) == 0
	if !clean {
		s.log.Error("engine keeps a peer or routes, stopping it", "routes", len(s.have.Routes))
	}
	s.pool.put(s.engine, clean)
	s.engine, s.have = nil, bgp.Have{}
}

// abandon leaves an engine that does not answer. It is stopped when it does (pool.ask), which
// ends the session that it may have; nobody waits for that.
func (s *slot) abandon() {
	s.log.Error("engine does not answer, leaving it behind", "addr", s.address)
	s.unwatch()
	s.keepCounters()
	s.engine, s.have = nil, bgp.Have{}
}

// drop ends the session and keeps the routes; the next steps add the peer again.
func (s *slot) drop() {
	err := s.execute([]bgp.Step{{Op: bgp.DeletePeer, Peer: s.have.Peer}})
	s.complain("end session", err)
	if errors.Is(err, errStuck) {
		s.abandon()
	}
}

// execute makes the calls of some steps and notes what was done.
func (s *slot) execute(steps []bgp.Step) error {
	c := caller{server: s.engine.server, address: s.address, localAS: s.localAS, hops: s.hops}
	err := s.pool.ask(s.engine, func(ctx context.Context) error {
		for _, step := range steps {
			if ctx.Err() != nil {
				return ctx.Err() // another engine has the peer now
			}
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
