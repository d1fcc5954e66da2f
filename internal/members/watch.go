// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package members

import (
	"context"
	"maps"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/clarion-lb/clarion/internal/watch"
)

// watching is the host of a watch.Machine: it carries its messages and pings by the gossip.
// All of it is guarded by Members.mu.
type watching struct {
	machine *watch.Machine
	turns   int            // of the standing that the machine has seen
	fit     bool           // as the machine was told
	todo    []watch.Action // for serveWatch
	wake    chan struct{}
}

func (w *watching) init(self string) {
	// The serial goes on where an earlier life of this node has stopped: nobody sends a
	// message each nanosecond.
	w.machine = watch.New(watch.Config{Self: self, Serial: uint64(time.Now().UnixNano())})
	w.wake = make(chan struct{}, 1)
	w.machine.SetFit(false)
	w.turns = -1
}

const (
	// WatchSilence is how long a session must wait for its peer before it is silent.
	WatchSilence = 200 * time.Millisecond
	// WatchPackets is how many packets of the peer are missed in that time.
	WatchPackets = 4

	// Unnoticed is how long a node may stand still at most without the risk that others find it
	// gone, in clusters of every size. Its sessions expire WatchSilence after the last packet, which
	// had left up to a packet's interval before it froze; then a ping must fail, which ends by
	// memberlist's timeout or by PingTime:
	//
	//	200 ms - 200 ms / 4 + min(32 ms, 40 ms) = 182 ms
	//
	// Who may have stood still for longer has to ask its peers before it speaks.
	Unnoticed = WatchSilence - WatchSilence/WatchPackets + min(fastestProbe, watch.PingTime)
)

// Watches says whether sessions with other members are of use.
func (m *Members) Watches() bool { return m.config.Watch && !m.off() && m.fixed == nil }

// earliest is the shortest time after which others may count a node out that stands still. It
// is called with mu held.
func (m *Members) earliest() time.Duration {
	e := m.parameters().Earliest(m.standing.count())
	if m.Watches() {
		e = min(e, Unnoticed)
	}
	return e
}

// SetSessions hands over what the sessions with other members say.
func (m *Members) SetSessions(sessions []watch.Session) {
	m.stepWatch(func(w *watch.Machine, now time.Duration) []watch.Action { return w.SetSessions(sessions, now) })
}

// Addrs returns where the other members are.
func (m *Members) Addrs() map[string]netip.Addr {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make(map[string]netip.Addr, len(m.standing.alive))
	for node, at := range m.standing.alive {
		out[node] = at.Addr()
	}
	return out
}

// hearWatch takes a message of another watcher. It is called by memberlist and does not block.
func (m *Members) hearWatch(b []byte) {
	msg, err := watch.Parse(b)
	if err != nil {
		m.log.Debug("drop message", "err", err)
		return
	}
	m.stepWatch(func(w *watch.Machine, now time.Duration) []watch.Action { return w.Receive(msg, now) })
}

// stepWatch lets the machine do something, takes over what it found, and has done what it asks.
func (m *Members) stepWatch(f func(*watch.Machine, time.Duration) []watch.Action) {
	m.change(func(s *standing) {
		m.doWatch(s, f(m.watch.machine, clock()))
	})
}

// doWatch queues actions and takes over the machine's findings. It is called with mu held.
func (m *Members) doWatch(s *standing, actions []watch.Action) {
	for _, a := range actions {
		if a.Op == watch.Fence {
			if s.accuse(clock()) {
				m.counts.Accused++
			}
			kick(m.wake)
			continue
		}
		m.watch.todo = append(m.watch.todo, a)
	}
	if found := m.watch.machine.Doubted(); !slices.Equal(found, s.doubted) {
		m.counts.Found += uint64(len(without(found, s.doubted)))
		s.doubted = found
		s.turns++
	}
	kick(m.watch.wake)
}

func without(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(n string) bool { return slices.Contains(b, n) })
}

// followWatch tells the machine who is a member and that this node has proved its place. It is
// called with mu held, at each change of the standing.
func (m *Members) followWatch(proof bool) {
	s, w := m.standing, &m.watch
	if w.turns != s.turns {
		w.machine.SetMembers(slices.Collect(maps.Keys(s.alive)), m.forget())
		m.doWatch(s, nil)
		w.turns = s.turns
	}
	if fit := s.claims(); fit != w.fit {
		w.fit = fit
		w.machine.SetFit(fit)
		m.doWatch(s, nil)
	}
	if proof && w.machine.Accused() {
		m.doWatch(s, w.machine.Restored(clock()))
	}
}

// forget is how long a finding holds that the gossip does not confirm: what the gossip itself
// needs for a death that goes badly.
func (m *Members) forget() time.Duration {
	p := m.parameters()
	return 3*p.Earliest(m.standing.count()) + 2*p.ProbeInterval
}

// serveWatch does what the machine asks for, until ctx ends.
func (m *Members) serveWatch(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var shown findings
	for ctx.Err() == nil {
		m.mu.Lock()
		s, todo := m.session, m.watch.todo
		m.watch.todo = nil
		next, due := m.watch.machine.Next()
		now := findings{m.standing.doubted, m.watch.machine.Accused()}
		var at map[string]netip.AddrPort
		if len(todo) > 0 {
			at = maps.Clone(m.standing.alive)
		}
		m.mu.Unlock()
		m.logFindings(shown, now)
		shown = now
		if s != nil {
			m.perform(s, at, todo)
		}
		wait := time.Hour
		if due {
			wait = max(next-clock(), 0)
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
		case <-m.watch.wake:
		case <-timer.C:
			m.stepWatch(func(w *watch.Machine, now time.Duration) []watch.Action { return w.Tick(now) })
		}
	}
}

// findings are what the machine holds for true. The list is never written to.
type findings struct {
	doubted []string
	accused bool
}

func (m *Members) logFindings(before, now findings) {
	for _, node := range without(now.doubted, before.doubted) {
		m.log.Info("speaker fell silent and does not count", "peer", node)
	}
	for _, node := range without(before.doubted, now.doubted) {
		m.log.Info("speaker is judged by the gossip again", "peer", node)
	}
	if now.accused && !before.accused {
		m.log.Warn("the others did not hear this speaker; it asks its peers before it goes on")
	}
}

// perform sends messages and starts pings, to where the members are. The list's own idea of
// that must not be read: the gossip changes it under a lock that only its callbacks hold.
func (m *Members) perform(s *session, at map[string]netip.AddrPort, actions []watch.Action) {
	for _, a := range actions {
		to, known := at[a.To]
		switch {
		case a.Op == watch.Ping:
			go m.pingFor(s, a.To, to) // ends within PingTime
		case known:
			// Every memberlist of this day checks the sum that this protocol version adds.
			n := &memberlist.Node{Name: a.To, Addr: to.Addr().AsSlice(), Port: to.Port(), PMax: memberlist.ProtocolVersionMax}
			b := a.Message.Append([]byte{markWatch})
			if err := s.list.SendBestEffort(n, b); err != nil {
				m.log.Debug("send message", "peer", a.To, "err", err)
			}
		}
	}
}

// pingFor pings a member for the machine; one whose address is not valid is none.
func (m *Members) pingFor(s *session, node string, at netip.AddrPort) {
	ok := at.IsValid() && s.ping(node, at)
	m.stepWatch(func(w *watch.Machine, now time.Duration) []watch.Action { return w.Pinged(node, ok, now) })
}

// ping says whether a member answers within watch.PingTime, however long the gossip waits.
func (s *session) ping(node string, at netip.AddrPort) bool {
	answer := make(chan bool, 1)
	go func() { // ends after the gossip's ProbeTimeout
		_, err := s.list.Ping(node, net.UDPAddrFromAddrPort(at))
		answer <- err == nil
	}()
	timer := time.NewTimer(watch.PingTime)
	defer timer.Stop()
	select {
	case ok := <-answer:
		return ok
	case <-timer.C:
		return false
	}
}
