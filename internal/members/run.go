// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package members

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	// beatPeriod is a ninth of the shortest limit, Unnoticed: a busy processor may delay a beat by
	// 160 ms before that counts as a standstill.
	beatPeriod = 20 * time.Millisecond
	tickPeriod = 50 * time.Millisecond // at least this often peers that are due are tried
	openPeriod = 200 * time.Millisecond
	keyPeriod  = 10 * time.Second
	// settlePeriod bounds the time between a change of size and the switch to its
	// parameters; each node has its own moment in it.
	settlePeriod = 10 * time.Second
)

// Run gossips until ctx ends. It says no goodbye: call Leave before. If the address cannot
// be bound, because it is not there yet or a predecessor still holds it, Run tries again
// and the view stays unknown.
func (m *Members) Run(ctx context.Context) error {
	if m.off() {
		<-ctx.Done()
		return nil
	}
	m.beat.Store(int64(clock()))
	var beats sync.WaitGroup
	beats.Go(func() { m.beats(ctx) })
	beats.Go(func() { m.serveWatch(ctx) })
	defer beats.Wait()
	for ctx.Err() == nil {
		s := m.open()
		if s == nil {
			wait(ctx, openPeriod)
			continue
		}
		m.serve(ctx, s)
		m.close(s)
		if ctx.Err() == nil {
			m.mu.Lock()
			m.counts.Resizes++
			m.mu.Unlock()
		}
	}
	return nil
}

// beats keeps the process known as running. It shares no goroutine with anything that
// could block.
func (m *Members) beats(ctx context.Context) {
	tick := time.NewTicker(beatPeriod)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			m.pulse(clock())
		}
	}
}

// open starts a session for the present size of the cluster, or notes why it could not.
func (m *Members) open() *session {
	m.mu.Lock()
	m.size = SizeOf(m.standing.count(), m.size)
	m.serial++
	serial, params := m.serial, m.parameters()
	m.mu.Unlock()

	s, err := m.openSession(params, serial)
	if err != nil {
		news := false
		m.update(func(st *standing) {
			news = m.broken != err.Error()
			m.broken = err.Error()
			st.fence(clock())
		})
		if news {
			m.log.Warn("gossip is not running and is tried again", "err", err)
		}
		return nil
	}
	m.update(func(st *standing) {
		m.session, m.broken = s, ""
		st.begin(clock())
	})
	m.log.Info("gossip is running", "addr", m.config.Bind, "size", m.size, "encrypted", m.keys != nil,
		"probe", params.ProbeInterval, "suspicionMult", params.SuspicionMult)
	return s
}

func (m *Members) close(s *session) {
	m.update(func(st *standing) {
		m.session = nil
		m.serial++ // whatever the old session still reports is about itself
		st.end(clock())
	})
	if err := s.close(); err != nil {
		m.log.Warn("gossip did not stop cleanly", "err", err)
	}
}

// serve looks after a session until ctx ends or the size of the cluster asks for another.
func (m *Members) serve(ctx context.Context, s *session) {
	tick := time.NewTicker(tickPeriod)
	defer tick.Stop()
	var shown roll
	keysRead, resizeAt := clock(), time.Duration(0)
	for {
		now := clock()
		m.tryPeers(s, now)
		m.tellInterfaces(s)
		shown = m.logMembers(shown)
		if now-keysRead >= keyPeriod {
			keysRead = now
			m.followKeys(now)
		}
		if resizeAt = m.resize(now, resizeAt); resizeAt != 0 && now >= resizeAt {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-m.wake:
		}
	}
}

// tryPeers starts the tries that are due. Being asked each tick, it also notices that the
// grace time has passed, which nothing else announces.
func (m *Members) tryPeers(s *session, now time.Duration) {
	var due []try
	m.change(func(st *standing) {
		if st.link && !st.left {
			due = st.book.due(now, st.proof != proven, st.isAlive)
		}
	})
	for _, t := range due {
		go m.try(s, t, now) // ends by the timeouts of reach
	}
}

func (m *Members) try(s *session, t try, began time.Duration) {
	err := s.reach(t)
	if err != nil {
		m.log.Debug("a peer does not answer", "peer", t.peer.Node, "err", err)
	}
	m.update(func(st *standing) {
		if m.session != s {
			return
		}
		st.book.done(t, began, err == nil)
		m.counts.Tries++
		if err == nil {
			m.counts.Answers++
		}
	})
}

// resize returns when the session has to end because the cluster has another size, or 0.
func (m *Members) resize(now, at time.Duration) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fixed != nil || SizeOf(m.standing.count(), m.size) == m.size {
		return 0
	}
	switch {
	case m.standing.proof != proven:
		return now // nobody relies on this session yet
	case at == 0:
		return now + spread(m.config.Node, settlePeriod)
	default:
		return at
	}
}

func (m *Members) followKeys(now time.Duration) {
	if m.keys == nil {
		return
	}
	changed, err := m.keys.follow(now)
	if err != nil {
		m.log.Warn("the memberlist secret cannot be followed", "err", err)
	}
	if changed {
		m.log.Info("gossip keys changed", "accepted", m.keys.count.Load())
	}
}

// roll is a list of the other members, and the turn of the standing that it shows.
type roll struct {
	alive map[string]netip.AddrPort
	turns int
}

// logMembers tells the difference between those shown before and those alive now.
func (m *Members) logMembers(shown roll) roll {
	m.mu.Lock()
	if m.standing.turns == shown.turns {
		m.mu.Unlock()
		return shown
	}
	alive, turns := maps.Clone(m.standing.alive), m.standing.turns
	m.mu.Unlock()
	for _, node := range slices.Sorted(maps.Keys(alive)) {
		if _, before := shown.alive[node]; !before {
			m.log.Info("speaker is alive", "peer", node)
		}
	}
	for _, node := range slices.Sorted(maps.Keys(shown.alive)) {
		if _, still := alive[node]; !still {
			m.log.Info("speaker is gone", "peer", node)
		}
	}
	return roll{alive, turns}
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
