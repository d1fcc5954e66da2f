// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"net/netip"
	"slices"
	"time"

	"github.com/clarion-lb/clarion/internal/lb"
)

// departure is one release. It is stale once its entry was taken back or has gone.
type departure struct {
	entry *entry
	at    time.Time
}

func (d departure) current() bool { return d.entry.leaving && d.entry.leaveAt.Equal(d.at) }

// Release begins a planned move of the addresses given, or of all when addrs is nil. This
// node goes on answering for each until it hears the new owner announce it, or Config.Linger
// has passed, and says nothing unasked meanwhile. A Set without them does not cut that
// short; a Set that wants one again takes it back. Each ends with a Released action.
//
// Addresses that are given by name are asked for once: when a partition has healed, the new
// owner had them all along, says nothing unasked, and so ends the wait with its answer.
func (m *Machine) Release(addrs []netip.Addr, now time.Time) []Action {
	m.begin()
	for _, e := range m.selected(addrs) {
		if e.leaving {
			continue
		}
		e.leaving, e.leaveAt = true, now.Add(m.cfg.Linger)
		for _, s := range e.seats {
			s.unqueue()
		}
		if !slices.ContainsFunc(e.seats, func(s *seat) bool { return s.phase == talking }) {
			m.finish(e) // nobody hears us: nothing to hand over
			continue
		}
		for _, s := range e.seats {
			if addrs != nil && s.port.live() {
				m.sendProbe(s)
			}
		}
		m.leaving = append(m.leaving, departure{e, e.leaveAt})
	}
	m.advance(now)
	return m.out
}

// Leaving returns the number of released addresses that are still answered for.
func (m *Machine) Leaving() int {
	n := 0
	for _, d := range m.leaving {
		if d.current() {
			n++
		}
	}
	return n
}

// expire ends the releases whose linger is over.
func (m *Machine) expire(now time.Time) {
	for len(m.leaving) > 0 {
		d := m.leaving[0]
		if d.current() && d.at.After(now) {
			return
		}
		m.leaving = m.leaving[1:]
		if d.current() {
			m.finish(d.entry)
		}
	}
}

// finish silences a released address for good.
func (m *Machine) finish(e *entry) {
	m.drop(e)
	e.leaving = false
	m.emit(Action{Op: Released, Family: lb.FamilyOf(e.addr), Addr: e.addr})
}
