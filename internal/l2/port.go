// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"container/heap"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/clarion-lb/clarion/internal/lb"
)

// port is one family on one link, the unit that the host opens sockets for. It exists
// while at least one address sits on it.
type port struct {
	index  int
	family lb.Family
	name   string
	mac    MAC
	up     bool // carrier

	open     bool // the host was asked to open it and did not report a failure since
	backoff  time.Duration
	retryAt  time.Time
	failedAt time.Time

	seats  int
	groups map[netip.Addr]int // solicited-node groups by number of addresses
	queue  seatQueue
	bucket bucket
}

// seat is one address on one port.
type seat struct {
	entry *entry
	port  *port
	schedule
}

// live says whether frames can leave through the port.
func (p *port) live() bool { return p.open && p.up }

// seatOn returns the seat of the address on a link, nil if it has none.
func (e *entry) seatOn(link int) *seat {
	for _, s := range e.seats {
		if s.port.index == link {
			return s
		}
	}
	return nil
}

// place moves an entry to the links where it belongs. A leaving entry only loses links.
func (m *Machine) place(e *entry, now time.Time) {
	chosen := m.choose(e)
	if !e.leaving {
		for _, l := range chosen {
			if s := e.seatOn(l.Index); s == nil {
				m.seat(e, l, now)
			} else if !s.queued() {
				m.resume(s, now)
			}
		}
	}
	for _, s := range slices.Clone(e.seats) {
		if !slices.ContainsFunc(chosen, func(l *link) bool { return l.Index == s.port.index }) {
			m.unseat(s)
		}
	}
	if e.leaving && len(e.seats) == 0 {
		m.finish(e)
	}
}

// seat puts an address on a link and announces it there.
func (m *Machine) seat(e *entry, l *link, now time.Time) {
	p := m.port(l, e.family, now)
	s := &seat{entry: e, port: p, schedule: schedule{pos: -1}}
	e.seats = append(e.seats, s)
	p.seats++
	if !p.open && p.retryAt.IsZero() {
		m.openPort(p)
	}
	if e.family == lb.IPv6 {
		p.groups[e.group]++
		if p.groups[e.group] == 1 && p.open {
			m.emit(Action{Op: Join, Family: p.family, Link: p.index, Name: p.name, Group: e.group})
		}
	}
	m.announce(s, now)
}

// unseat takes an address off a link. The last one to go closes the port.
func (m *Machine) unseat(s *seat) {
	e, p := s.entry, s.port
	s.unqueue()
	delete(m.rivals, s)
	e.seats = slices.DeleteFunc(e.seats, func(o *seat) bool { return o == s })
	if e.family == lb.IPv6 {
		p.groups[e.group]--
		if p.groups[e.group] == 0 {
			delete(p.groups, e.group)
			if p.open {
				m.emit(Action{Op: Leave, Family: p.family, Link: p.index, Name: p.name, Group: e.group})
			}
		}
	}
	p.seats--
	if p.seats > 0 {
		return
	}
	if p.open {
		m.emit(Action{Op: Close, Family: p.family, Link: p.index, Name: p.name})
	}
	m.ports = slices.DeleteFunc(m.ports, func(o *port) bool { return o == p })
}

// drop forgets an entry and silences it everywhere.
func (m *Machine) drop(e *entry) {
	for _, s := range slices.Clone(e.seats) {
		m.unseat(s)
	}
	delete(m.entries, e.addr)
	m.turns.Dropped++
}

// port finds or makes the port of a link and family.
func (m *Machine) port(l *link, f lb.Family, now time.Time) *port {
	p := &port{index: l.Index, family: f}
	at, found := slices.BinarySearchFunc(m.ports, p, comparePorts)
	if found {
		return m.ports[at]
	}
	p.name, p.mac, p.up = l.Name, MAC(l.HardwareAddr), l.Carrier
	p.groups = make(map[netip.Addr]int)
	p.bucket = newBucket(m.cfg.Rate, m.cfg.Depth, now)
	m.ports = slices.Insert(m.ports, at, p)
	return p
}

func (m *Machine) openPort(p *port) {
	p.open, p.retryAt = true, time.Time{}
	m.emit(Action{Op: Open, Family: p.family, Link: p.index, Name: p.name, MAC: p.mac})
}

// updatePorts copies what the new snapshot says of each port's link, and returns the ports
// whose addresses must be announced again: the link came back or changed its address.
func (m *Machine) updatePorts() map[*port]bool {
	restart := make(map[*port]bool)
	for _, p := range m.ports {
		l := m.links[p.index]
		if l == nil {
			continue // place takes the addresses off it
		}
		mac := MAC(l.HardwareAddr)
		if l.Carrier && (!p.up || mac != p.mac) {
			restart[p] = true
		}
		p.name, p.mac, p.up = l.Name, mac, l.Carrier
		if !p.up {
			p.queue.empty()
		}
	}
	return restart
}

// The pauses before a failed port is opened again: doubling, and from the start once it
// held for a minute.
const (
	firstBackoff = time.Second
	maxBackoff   = 30 * time.Second
	calmAfter    = time.Minute
)

// Failed reports that the host could not open a port, or lost it. It is closed, and opened
// again after a pause that doubles from 1 s to 30 s; its addresses are then announced anew.
func (m *Machine) Failed(link int, f lb.Family, now time.Time) []Action {
	m.begin()
	at, found := slices.BinarySearchFunc(m.ports, &port{index: link, family: f}, comparePorts)
	if !found || !m.ports[at].open {
		return m.out
	}
	p := m.ports[at]
	if p.backoff == 0 || now.Sub(p.failedAt) > p.backoff+calmAfter {
		p.backoff = firstBackoff
	} else {
		p.backoff = min(2*p.backoff, maxBackoff)
	}
	p.open, p.failedAt, p.retryAt = false, now, now.Add(p.backoff)
	p.queue.empty()
	m.emit(Action{Op: Close, Family: p.family, Link: p.index, Name: p.name})
	return m.out
}

// retry opens a failed port again when its pause is over.
func (m *Machine) retry(p *port, now time.Time) {
	if p.retryAt.IsZero() || now.Before(p.retryAt) {
		return
	}
	m.openPort(p)
	for _, g := range slices.SortedFunc(maps.Keys(p.groups), netip.Addr.Compare) {
		m.emit(Action{Op: Join, Family: p.family, Link: p.index, Name: p.name, Group: g})
	}
	for _, e := range m.sorted() {
		if s := e.seatOn(p.index); s != nil && s.port == p && !e.leaving {
			m.announce(s, now)
		}
	}
}

// seatQueue orders the seats of a port by what is to be sent next.
type seatQueue []*seat

func (q seatQueue) Len() int { return len(q) }

// Less puts first announcements before all repeats, so that a mass takeover is heard
// before anything is said twice.
func (q seatQueue) Less(i, j int) bool {
	a, b := q[i], q[j]
	if a.first() != b.first() {
		return a.first()
	}
	if !a.due.Equal(b.due) {
		return a.due.Before(b.due)
	}
	return a.entry.addr.Less(b.entry.addr)
}

func (q seatQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].pos, q[j].pos = i, j
}

// Push is for container/heap.
func (q *seatQueue) Push(x any) {
	s := x.(*seat)
	s.pos = len(*q)
	*q = append(*q, s)
}

// Pop is for container/heap.
func (q *seatQueue) Pop() any {
	old := *q
	s := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	s.pos = -1
	return s
}

// empty takes every seat out of the queue.
func (q *seatQueue) empty() {
	for _, s := range *q {
		s.pos = -1
	}
	*q = nil
}

func (s *seat) queued() bool { return s.pos >= 0 }

// enqueue puts the seat where its schedule says.
func (s *seat) enqueue() {
	if s.queued() {
		heap.Fix(&s.port.queue, s.pos)
		return
	}
	heap.Push(&s.port.queue, s)
}

func (s *seat) unqueue() {
	if s.queued() {
		heap.Remove(&s.port.queue, s.pos)
	}
}
