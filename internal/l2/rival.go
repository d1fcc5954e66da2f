// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/clarion-lb/clarion/internal/lb"
)

// Rival is somebody else who uses an address that is wanted here.
type Rival struct {
	Addr netip.Addr
	Link string
	MAC  MAC
	// Node is the node of the speaker that sends from MAC, "" for a foreign host.
	Node  string
	First time.Time // of this hardware address
	Last  time.Time
	Count int // frames seen of this hardware address
	// Withheld is true while this node does not answer for the address because of it.
	Withheld bool

	told time.Time
}

const (
	// How long a rival counts after its last frame, and how often it is reported while its
	// frames go on. A foreign host is heard again with each refresh, which asks for it.
	rivalMemory = 3 * time.Minute
	rivalReport = time.Second
	// defendInterval is RFC 5227's DEFEND_INTERVAL: two hosts that both insist on an address
	// say so no more often.
	defendInterval = 10 * time.Second
	// healInterval spaces the bursts with which an owner answers the probes of a speaker that
	// thought it owned the address.
	healInterval = time.Minute
)

// Know says from which hardware addresses the other speakers send. Everybody else who claims
// an address is a foreign host.
func (m *Machine) Know(speakers map[MAC]string, now time.Time) []Action {
	m.begin()
	m.speakers = speakers
	for s, r := range m.rivals {
		// Taken for a foreign host until now, and withheld from it.
		if _, ours := speakers[r.MAC]; ours && s.phase != talking && !m.yields(s) {
			m.trust(s, now)
		}
	}
	m.advance(now)
	return m.out
}

// claim looks at a frame whose sender says that it has the address. For an address being
// released that is the new owner, and ours falls silent; for one announced here it is a
// rival.
func (m *Machine) claim(q *Query, a netip.Addr, mac MAC, now time.Time) {
	s := m.lookup(a, q.Link)
	if s == nil || mac == s.port.mac {
		return
	}
	if _, own := m.own[mac]; own {
		return
	}
	if s.entry.leaving {
		m.unseat(s)
		if len(s.entry.seats) == 0 {
			m.finish(s.entry)
		}
		return
	}
	m.contend(s, q, mac, now)
}

// contend notes that somebody else has, or wants, the address of a seat. What follows from a
// foreign host is decided here, by the policy of the address. Between speakers the rank
// decides, which the caller knows: it answers with Yield or Reannounce.
func (m *Machine) contend(s *seat, q *Query, mac MAC, now time.Time) {
	m.note(s, q, mac, now)
	_, ours := m.speakers[mac]
	switch {
	case ours && m.yields(s):
		if s.phase == probing {
			m.hold(s, now) // it is still there
		}
	case ours:
		if s.phase != talking {
			m.trust(s, now) // the cluster has the address already, so no stranger can
		}
	case s.phase == probing, s.phase == talking && s.entry.withhold:
		s.entry.unproven = true
		m.hold(s, now)
	case s.phase == talking:
		m.defend(s, now)
	}
}

// note remembers a rival and reports it.
func (m *Machine) note(s *seat, q *Query, mac MAC, now time.Time) {
	r := m.rivals[s]
	if r == nil || r.MAC != mac {
		r = &Rival{Addr: s.entry.addr, MAC: mac, First: now}
		m.rivals[s] = r
	}
	r.Link, r.Last = s.port.name, now
	r.Count++
	s.entry.count.Conflicts++
	if !r.told.IsZero() && now.Sub(r.told) < rivalReport {
		return
	}
	r.told = now
	m.emit(Action{
		Op: Conflict, Family: s.entry.family, Link: q.Link, Name: s.port.name, Addr: s.entry.addr, MAC: mac, At: now,
	})
}

// defend says once that the address is ours (RFC 5227 2.4 c).
func (m *Machine) defend(s *seat, now time.Time) {
	if !s.port.live() || !s.defended.IsZero() && now.Sub(s.defended) < defendInterval {
		return
	}
	s.defended = now
	if s.entry.family == lb.IPv6 {
		m.advertise(s)
		return
	}
	m.gratuitous(s, true)
}

// trust ends the wait of a seat and announces it.
func (m *Machine) trust(s *seat, now time.Time) {
	s.entry.unproven, s.tries = false, 0
	m.announce(s, now)
}

// Conflicts lists the rivals seen within the last minutes, sorted by address and link. One
// that an address is withheld from stays until the address was found to be free.
func (m *Machine) Conflicts(now time.Time) []Rival {
	var out []Rival
	for s, r := range m.rivals {
		if now.Sub(r.Last) > rivalMemory && s.phase == talking {
			delete(m.rivals, s)
			continue
		}
		one := *r
		one.Node, one.Withheld = m.speakers[r.MAC], s.phase != talking
		out = append(out, one)
	}
	slices.SortFunc(out, func(a, b Rival) int {
		return cmp.Or(a.Addr.Compare(b.Addr), cmp.Compare(a.Link, b.Link))
	})
	return out
}
