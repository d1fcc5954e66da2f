// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"github.com/clarion-lb/clarion/internal/bfd"
	"github.com/clarion-lb/clarion/internal/bfd/udp"
	"github.com/clarion-lb/clarion/internal/members"
	"github.com/clarion-lb/clarion/internal/watch"
)

// nodeWatch holds the BFD sessions between speakers: those that would inherit the addresses of a
// node watch it directly, so that its death is known as soon in a large cluster as in a small
// one. A session only raises a suspicion; package watch judges.
type nodeWatch struct {
	members *members.Members
	local   netip.Addr
	manager *udp.Manager
	changed chan struct{}
	wanted  map[string]time.Time // by node: when it was wanted last
}

// Four packets of a session may be missed or late: on an overloaded node whoever sends them may
// wait 50 to 100 ms for a processor, so fewer or faster ones would be alarms.
const (
	watchMultiplier = members.WatchPackets
	watchInterval   = members.WatchSilence / watchMultiplier
	// watchLinger is how long a session outlives its use, so that one whose peer is wanted again
	// soon need not start anew: that takes a second.
	watchLinger = 10 * time.Second
)

// newNodeWatch returns nil when there is nothing to watch with.
func newNodeWatch(m *members.Members, local netip.Addr, port uint16, log *slog.Logger) (*nodeWatch, error) {
	if port == 0 || !m.Watches() {
		return nil, nil
	}
	w := &nodeWatch{members: m, local: local, changed: make(chan struct{}, 1), wanted: map[string]time.Time{}}
	var err error
	w.manager, err = udp.New(udp.Options{Log: log.With("session", "between speakers"), Port: port, Kick: func() {
		select {
		case w.changed <- struct{}{}:
		default:
		}
	}})
	return w, err
}

// set hands over the nodes to hold sessions with.
func (w *nodeWatch) set(nodes []string, now time.Time) {
	for _, n := range nodes {
		w.wanted[n] = now
	}
	addrs := w.members.Addrs()
	var targets []bfd.Target
	for n, last := range w.wanted {
		if now.Sub(last) > watchLinger {
			delete(w.wanted, n)
			continue
		}
		if addr, ok := addrs[n]; ok && addr.Is4() == w.local.Is4() {
			targets = append(targets, watchTarget(n, w.local, addr))
		}
	}
	w.manager.Set(targets)
}

// watchTarget is a session with a node, which may be in another subnet.
func watchTarget(node string, local, peer netip.Addr) bfd.Target {
	if local.IsUnspecified() {
		local = netip.Addr{}
	}
	return bfd.Target{
		Name: node, Peer: peer, Local: local, MultiHop: true, MinimumTTL: 1,
		Params: bfd.Params{TransmitInterval: watchInterval, ReceiveInterval: watchInterval, Multiplier: watchMultiplier},
	}
}

// Run hands what the sessions say to the membership.
func (w *nodeWatch) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.changed:
		}
		var sessions []watch.Session
		for _, s := range w.manager.Observe() {
			sessions = append(sessions, watch.Session{Node: s.Target.Name, Silent: silent(s.Session)})
		}
		w.members.SetSessions(sessions)
	}
}

// silent says whether a session was up and its peer is no longer heard. A peer that ended the
// session, or says that it does not hear us, is alive.
func silent(s bfd.Status) bool {
	return s.EverUp && s.State != bfd.Up && s.Diagnostic == bfd.DetectionTimeExpired
}
