// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package members

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// reclaim is how long a dead node keeps its address from a new node of its name. It must
// exceed the time that news of the death still wander about.
const reclaim = 5 * time.Second

// session is one run of the gossip with fixed parameters.
type session struct {
	list *memberlist.Memberlist
	told int // the turn of this node's interfaces that the peers know

	mu     sync.Mutex // orders leave and close: memberlist panics if left after its end
	closed bool
}

// events receives memberlist's callbacks. They come with its lock held, so they must not
// block or call back.
type events struct {
	m      *Members
	serial int
}

func (e events) NotifyJoin(n *memberlist.Node) {
	peer, ok := peerOf(n)
	if !ok {
		return
	}
	e.m.gossip.learn(peer.Node, n.Meta)
	e.change(peer.Node, func(s *standing) {
		s.join(peer)
		e.m.counts.Joined++
	})
}

func (e events) NotifyUpdate(n *memberlist.Node) {
	if peer, ok := peerOf(n); ok {
		e.m.gossip.learn(peer.Node, n.Meta)
		e.change(peer.Node, func(s *standing) { s.join(peer) })
	}
}

func (e events) NotifyLeave(n *memberlist.Node) {
	e.change(n.Name, func(s *standing) {
		s.leave(n.Name)
		e.m.counts.Gone++
	})
}

// refuted takes the news that others had this node as dead, and that they hear its denial.
func (e events) refuted() {
	e.m.update(func(s *standing) {
		if e.serial == e.m.serial && s.accuse(clock()) {
			e.m.counts.Refuted++
		}
	})
}

func (e events) change(node string, f func(*standing)) {
	if node == e.m.config.Node {
		return
	}
	e.m.update(func(s *standing) {
		if e.serial == e.m.serial {
			f(s)
		}
	})
}

func peerOf(n *memberlist.Node) (Peer, bool) {
	addr, ok := netip.AddrFromSlice(n.Addr)
	return Peer{Node: n.Name, Addr: netip.AddrPortFrom(addr.Unmap(), n.Port)}, ok
}

// openSession binds the sockets and starts the gossip.
func (m *Members) openSession(p Parameters, serial int) (*session, error) {
	c := memberlist.DefaultLANConfig()
	c.Name = m.config.Node
	c.Label = m.config.Label
	c.BindAddr, c.BindPort = m.config.Bind.Addr().String(), int(m.config.Bind.Port())
	c.AdvertisePort = c.BindPort
	c.DeadNodeReclaimTime = reclaim
	c.Events = events{m: m, serial: serial}
	c.Delegate = delegate{m.gossip, m}
	told := m.gossip.told()
	c.Logger = newLogger(m.log, clock, events{m: m, serial: serial}.refuted)
	if m.keys != nil {
		c.Keyring = m.keys.installed
	}

	c.TCPTimeout = p.TCPTimeout
	c.IndirectChecks = p.IndirectChecks
	c.RetransmitMult = p.RetransmitMult
	c.SuspicionMult = p.SuspicionMult
	c.SuspicionMaxTimeoutMult = p.SuspicionMaxTimeoutMult
	c.PushPullInterval = p.PushPullInterval
	c.ProbeTimeout = p.ProbeTimeout
	c.ProbeInterval = p.ProbeInterval
	c.DisableTcpPings = p.DisableTCPPings
	c.AwarenessMaxMultiplier = p.AwarenessMaxMultiplier
	c.GossipNodes = p.GossipNodes
	c.GossipInterval = p.GossipInterval
	c.GossipToTheDeadTime = p.GossipToTheDeadTime
	c.GossipVerifyIncoming = p.GossipVerifyIncoming
	c.GossipVerifyOutgoing = p.GossipVerifyOutgoing
	c.EnableCompression = p.EnableCompression
	c.HandoffQueueDepth = p.HandoffQueueDepth
	c.UDPBufferSize = p.UDPBufferSize
	c.QueueCheckInterval = p.QueueCheckInterval

	list, err := memberlist.Create(c)
	if err != nil {
		return nil, fmt.Errorf("start gossip on %s: %w", m.config.Bind, err)
	}
	return &session{list: list, told: told}, nil
}

// update tells the peers of new meta data. It does not wait until that was sent, which it is
// with the next packets to anybody, and not having waited is the only error there is.
func (s *session) update() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		_ = s.list.UpdateNode(time.Nanosecond)
	}
}

// reach makes a try. It takes up to ProbeTimeout if a ping is not answered and up to
// TCPTimeout for each step of a join.
func (s *session) reach(t try) error {
	if !t.join {
		// Without a name, because whoever answers there is worth joining.
		if _, err := s.list.Ping("", net.UDPAddrFromAddrPort(t.peer.Addr)); err != nil {
			return fmt.Errorf("ping %s: %w", t.peer.Addr, err)
		}
	}
	if _, err := s.list.Join([]string{t.peer.Addr.String()}); err != nil {
		return fmt.Errorf("join %s: %w", t.peer.Addr, err)
	}
	return nil
}

// leave says goodbye to the peers.
func (s *session) leave(ctx context.Context) error {
	timeout := time.Second
	if deadline, ok := ctx.Deadline(); ok {
		timeout = max(time.Until(deadline), time.Millisecond)
	}
	done := make(chan error, 1)
	go func() { // ends by its own timeout
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.closed {
			done <- errors.New("the gossip has ended")
			return
		}
		done <- s.list.Leave(timeout)
	}()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("leave the other speakers: %w", err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("leave the other speakers: %w", ctx.Err())
	}
}

// close frees the sockets. Tries under way end by their own timeouts.
func (s *session) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if err := s.list.Shutdown(); err != nil {
		return fmt.Errorf("stop gossip: %w", err)
	}
	return nil
}
