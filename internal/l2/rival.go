// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// Rival is somebody else who uses an address that is announced here.
type Rival struct {
	Addr  netip.Addr
	Link  string
	MAC   MAC
	First time.Time // of this hardware address
	Last  time.Time
	Count int // frames seen of this hardware address

	told time.Time
}

// How long a rival counts after its last frame, and how often it is reported while its
// frames go on.
const (
	rivalMemory = time.Minute
	rivalReport = time.Second
)

// claim looks at a frame whose sender says that it has the address. For an address being
// released that is the new owner, and ours falls silent; for one announced here it is a
// rival, and the caller decides by rank who steps back.
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

// contend notes that somebody else has, or wants, the address of a seat.
func (m *Machine) contend(s *seat, q *Query, mac MAC, now time.Time) {
	a := s.entry.addr
	if s.phase == probing {
		m.hold(s, now)
	}
	r := m.rivals[s]
	if r == nil || r.MAC != mac {
		r = &Rival{Addr: a, MAC: mac, First: now}
		m.rivals[s] = r
	}
	r.Link, r.Last = s.port.name, now
	r.Count++
	if !r.told.IsZero() && now.Sub(r.told) < rivalReport {
		return
	}
	r.told = now
	m.emit(Action{
		Op: Conflict, Family: s.entry.family, Link: q.Link, Name: s.port.name, Addr: a, MAC: mac, At: now,
	})
}

// Conflicts lists the rivals seen within the last minute, sorted by address and link.
func (m *Machine) Conflicts(now time.Time) []Rival {
	var out []Rival
	for s, r := range m.rivals {
		if now.Sub(r.Last) > rivalMemory {
			delete(m.rivals, s)
			continue
		}
		out = append(out, *r)
	}
	slices.SortFunc(out, func(a, b Rival) int {
		return cmp.Or(a.Addr.Compare(b.Addr), cmp.Compare(a.Link, b.Link))
	})
	return out
}
