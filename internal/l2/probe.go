// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"net/netip"
	"time"

	"github.com/clarion-lb/clarion/internal/lb"
)

// phase is how far an address has come on a port.
type phase uint8

const (
	talking phase = iota // announced and answered for
	probing              // asking whether somebody has it already; not answered for
	held                 // somebody has it; asked again after a pause
)

// The pause before a held address is probed again: RFC 5227 2.1.1 allows one attempt a
// minute after ten conflicts.
const (
	probeHold     = 10 * time.Second
	probeHoldLong = time.Minute
	maxTries      = 10
)

// Probe gives the addresses that must be shown to be unused before they are announced for
// the first time (RFC 5227 2.1, RFC 4862 5.4). It applies to addresses that a later Set
// adds. Addresses that a speaker of this cluster announced before must not be among them:
// taking over then waits for nothing. An empty list switches probing off.
func (m *Machine) Probe(addrs []netip.Addr) {
	clear(m.unproven)
	for _, a := range addrs {
		m.unproven[a.Unmap().WithZone("")] = struct{}{}
	}
}

// beginProbe starts the probes of an address on a port. The caller queues it.
func (m *Machine) beginProbe(s *seat, now time.Time) {
	s.phase, s.left, s.due = probing, m.cfg.Probes, now
}

// probeStep sends the next probe of a seat, or announces it when the last one went
// unanswered for an interval.
func (m *Machine) probeStep(s *seat, now time.Time) {
	switch {
	case s.phase == held:
		m.beginProbe(s, now)
	case s.left > 0:
		m.sendProbe(s)
		s.left--
		s.due = now.Add(m.cfg.ProbeInterval)
	default:
		s.entry.unproven = false
		s.phase, s.round, s.half, s.due = talking, 0, false, now
		if s.tries > 0 {
			s.tries = 0
			delete(m.rivals, s)
			m.emit(Action{Op: Free, Family: s.entry.family, Link: s.port.index, Name: s.port.name, Addr: s.entry.addr})
		}
	}
	s.enqueue()
}

// sendProbe asks who has the address without claiming it: the sender is 0.0.0.0 (RFC 5227
// 2.1.1), or the unspecified address with no link-layer option (RFC 4862 5.4.2).
func (m *Machine) sendProbe(s *seat) {
	a := Action{
		Op: SendARP, Family: s.entry.family, Link: s.port.index, Name: s.port.name,
		Addr: netip.IPv4Unspecified(), MAC: s.port.mac, DstMAC: BroadcastMAC(), Dst: s.entry.addr, Request: true,
	}
	if s.entry.family == lb.IPv6 {
		a.Op, a.Addr = SendNS, s.entry.addr
		a.Dst, a.DstMAC = s.entry.group, MulticastMAC(s.entry.group)
	}
	m.emit(a)
}

// hold leaves an address to somebody else who has it or is probing for it as well, and asks
// for it again later.
func (m *Machine) hold(s *seat, now time.Time) {
	pause := probeHold
	switch {
	case m.yields(s):
		pause = yieldRetry
	case s.tries >= maxTries:
		pause = probeHoldLong
	}
	s.tries++
	s.phase, s.due = held, now.Add(pause)
	if s.port.live() {
		s.enqueue()
	}
}

// verifies says whether the next announcement of a seat is accompanied by a probe: a host
// that has the address and says nothing unasked is found in no other way. That is the end of
// the burst and each refresh. Where a foreign host has precedence, or nobody of ours has announced
// the address before, it is the first one, too. Not when taking over: the speaker that hands an
// address over would take the question for a sign that it was not heard.
func (m *Machine) verifies(s *seat) bool {
	switch {
	case !m.cfg.Verify || s.phase != talking:
		return false
	case s.first() && (s.entry.withhold || s.entry.fresh):
		return true
	default:
		return s.round >= len(m.cfg.Burst) && (!s.first() || s.entry.family == lb.IPv6)
	}
}

// probed notes that another host probes for an address. If it is being probed here, too,
// both must leave it alone (RFC 5227 2.1.1, RFC 4862 5.4.3). A speaker that asks thought that
// it had the address: others may have believed it, and are told anew.
func (m *Machine) probed(q *Query, now time.Time) {
	s := m.lookup(q.Target, q.Link)
	if s == nil || s.entry.leaving {
		return
	}
	_, ours := m.speakers[q.linkLayer()]
	switch {
	case s.phase == probing && !ours:
		m.contend(s, q, q.linkLayer(), now)
	case s.phase == talking && ours && s.round > len(m.cfg.Burst) && (s.healed.IsZero() || now.Sub(s.healed) >= healInterval):
		s.healed = now
		m.announce(s, now)
	}
}
