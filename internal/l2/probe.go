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
	held                 // somebody has it; asked again after probeHold
)

// probeHold is the pause before a held address is probed again: RFC 5227 2.1.1 allows one
// attempt a minute after ten conflicts, and a held address is always such a case.
const probeHold = time.Minute

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

// hold stops the probing of an address that somebody else has or is probing for as well.
func (m *Machine) hold(s *seat, now time.Time) {
	s.phase, s.due = held, now.Add(probeHold)
	s.enqueue()
}

// probed notes that another host probes for an address that is being probed here: both must
// then leave it alone (RFC 5227 2.1.1, RFC 4862 5.4.3).
func (m *Machine) probed(q *Query, now time.Time) {
	if s := m.lookup(q.Target, q.Link); s != nil && s.phase == probing {
		m.contend(s, q, q.linkLayer(), now)
	}
}
