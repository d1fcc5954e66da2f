// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	api "github.com/osrg/gobgp/v3/api"

	"github.com/clarion-lb/clarion/internal/bgp"
	"github.com/clarion-lb/clarion/internal/lb"
)

// list asks the engine for its peer; nil when it has none. After errStuck the engine must be
// abandoned.
func (s *slot) list() (*api.Peer, error) {
	srv, address := s.engine.server, s.address.String()
	var peer *api.Peer
	err := s.pool.ask(s.engine, func(context.Context) error {
		var p *api.Peer
		if err := srv.ListPeer(context.Background(), &api.ListPeerRequest{Address: address}, func(x *api.Peer) { p = x }); err != nil {
			return err
		}
		peer = p
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look at the session: %w", err) // the calls may still run, so peer is theirs
	}
	return peer, nil
}

// poll fills in what the engine knows of the session; it is true when that is established.
func (s *slot) poll(sess *bgp.Session) bool {
	peer, err := s.list()
	if errors.Is(err, errStuck) {
		s.abandon()
		sess.Reason, sess.Detail = bgp.SessionFailed, err.Error()
	}
	sess.Messages = add(s.base, s.current)
	if peer == nil || peer.State == nil {
		return false
	}
	s.current = messagesOf(peer.State.Messages)
	sess.Messages = add(s.base, s.current)
	if peer.State.SessionState != api.PeerState_ESTABLISHED {
		return false
	}
	sess.Received = receivedOf(peer)
	sess.ASN = peer.State.PeerAsn
	sess.RouterID, _ = netip.ParseAddr(peer.State.RouterId)
	if t := peer.Timers; t != nil && t.State != nil {
		sess.HoldTime = time.Duration(t.State.NegotiatedHoldTime) * time.Second
	}
	if peer.Transport != nil {
		local, _ := netip.ParseAddr(peer.Transport.LocalAddress)
		sess.Local = local.WithZone("")
	}
	return true
}

// maxReceived is how many prefixes a peer may send. The engine keeps every one, at some 600 bytes,
// although nothing uses them; this bounds the memory. Our own routes, which come back from a
// router that has other nodes as neighbours, must fit in. The engine's own limit is not used: it
// counts all prefixes anew at every UPDATE.
const maxReceived = 250_000

// receivedOf is how many prefixes the engine keeps of those that the peer has sent.
func receivedOf(peer *api.Peer) int {
	n := uint64(0)
	for _, f := range peer.AfiSafis {
		n += f.GetState().GetReceived()
	}
	return int(n)
}

func messagesOf(m *api.Messages) bgp.Messages {
	sent, received := m.GetSent(), m.GetReceived()
	return bgp.Messages{
		OpensSent: sent.GetOpen(), OpensReceived: received.GetOpen(),
		UpdatesSent: sent.GetUpdate(), UpdatesReceived: received.GetUpdate(),
		NotificationsSent: sent.GetNotification(), NotificationsReceived: received.GetNotification(),
		KeepalivesSent: sent.GetKeepalive(), KeepalivesReceived: received.GetKeepalive(),
		RefreshesSent: sent.GetRefresh(), RefreshesReceived: received.GetRefresh(),
		TotalSent: sent.GetTotal(), TotalReceived: received.GetTotal(),
	}
}

// add sums counters, so that they only grow although the engine starts at 0 with every session.
func add(a, b bgp.Messages) bgp.Messages {
	return bgp.Messages{
		OpensSent: a.OpensSent + b.OpensSent, OpensReceived: a.OpensReceived + b.OpensReceived,
		UpdatesSent: a.UpdatesSent + b.UpdatesSent, UpdatesReceived: a.UpdatesReceived + b.UpdatesReceived,
		NotificationsSent: a.NotificationsSent + b.NotificationsSent, NotificationsReceived: a.NotificationsReceived + b.NotificationsReceived,
		KeepalivesSent: a.KeepalivesSent + b.KeepalivesSent, KeepalivesReceived: a.KeepalivesReceived + b.KeepalivesReceived,
		RefreshesSent: a.RefreshesSent + b.RefreshesSent, RefreshesReceived: a.RefreshesReceived + b.RefreshesReceived,
		TotalSent: a.TotalSent + b.TotalSent, TotalReceived: a.TotalReceived + b.TotalReceived,
	}
}

// keepCounters moves the counters of a session that ends into the sum.
func (s *slot) keepCounters() {
	s.base = add(s.base, s.current)
	s.current = bgp.Messages{}
}

// finding is the search for the router of an unnumbered peer.
type finding struct {
	link string
	stop context.CancelFunc
}

func (f *finding) end() {
	if f.stop != nil {
		f.stop()
	}
	*f = finding{}
}

// findNeighbor makes the search that of the peer: on its link, or none.
func (s *slot) findNeighbor(ctx context.Context, p lb.Peer) {
	link := ""
	if p.Unnumbered() && s.opts.Discover != nil {
		link = p.Interface
	}
	if link == s.finding.link {
		return
	}
	s.finding.end()
	s.mu.Lock()
	s.found = netip.Addr{}
	s.mu.Unlock()
	if link == "" {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	s.finding = finding{link, cancel}
	go s.search(ctx, link)
}

// search runs the discovery until ctx ends; a link may be missing for a while.
func (s *slot) search(ctx context.Context, link string) {
	for ctx.Err() == nil {
		err := s.opts.Discover(ctx, link, func(a netip.Addr) { s.heard(ctx, a) })
		if ctx.Err() != nil {
			return
		}
		s.log.Debug("search neighbor", "link", link, "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(pollEvery):
		}
	}
}

// heard takes the address of a router on the link. A session that works is not moved to another.
func (s *slot) heard(ctx context.Context, a netip.Addr) {
	s.mu.Lock()
	use := ctx.Err() == nil && a != s.found && (!s.found.IsValid() || s.session.Phase != bgp.Established)
	if use {
		s.found = a
	}
	s.mu.Unlock()
	if use {
		s.kick()
	}
}
