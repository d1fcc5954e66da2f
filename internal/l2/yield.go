// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"maps"
	"net/netip"
	"slices"
	"time"
)

// yieldRetry is how often a speaker asks whether the one that it stepped back for is still
// there. It is the only thing that tells when gossip does not reach that one.
const yieldRetry = time.Second

// Yield gives all addresses on which this node steps back for another speaker, though its
// plan wants them. They are not answered for, and asked for every second: when nobody
// answers any more, the address is announced again and a Free action says so. An address
// that is no longer in the list is announced at once. The same list again does nothing (I6).
func (m *Machine) Yield(addrs []netip.Addr, now time.Time) []Action {
	m.begin()
	before := m.yielding
	m.yielding = make(map[netip.Addr]struct{}, len(addrs))
	for _, a := range addrs {
		m.yielding[a.Unmap().WithZone("")] = struct{}{}
	}
	for _, a := range slices.SortedFunc(maps.Keys(m.yielding), netip.Addr.Compare) {
		if _, already := before[a]; already {
			continue
		}
		for _, s := range m.seatsOf(a) {
			m.hold(s, now)
		}
	}
	for _, a := range slices.SortedFunc(maps.Keys(before), netip.Addr.Compare) {
		if _, still := m.yielding[a]; still {
			continue
		}
		for _, s := range m.seatsOf(a) {
			if s.phase != talking {
				m.announce(s, now) // asks once more if a stranger was seen, too
			}
		}
	}
	m.advance(now)
	return m.out
}

// seatsOf returns where an address sits that is not about to leave.
func (m *Machine) seatsOf(a netip.Addr) []*seat {
	if e := m.entries[a]; e != nil && !e.leaving {
		return e.seats
	}
	return nil
}

// yields says whether this node steps back on the address of a seat.
func (m *Machine) yields(s *seat) bool {
	_, ok := m.yielding[s.entry.addr]
	return ok
}
