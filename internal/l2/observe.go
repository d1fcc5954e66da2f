// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"net/netip"
	"slices"

	"github.com/clarion-lb/clarion/internal/lb"
)

// Announced is an address and where it is announced.
type Announced struct {
	Addr netip.Addr
	// Links are the names of the interfaces that are up and carry the address, sorted.
	Links []string
	// Leaving is true while a released address waits for its new owner.
	Leaving bool
	// Probing is true while an address is not announced yet because it is being probed
	// for, or because the probes found somebody who has it (see Conflicts).
	Probing bool
}

// Announced lists the addresses this node answers for, sorted. An address without any link
// is listed too: it is wanted here and nobody can hear it.
func (m *Machine) Announced() []Announced {
	out := make([]Announced, 0, len(m.entries))
	for _, e := range m.sorted() {
		a := Announced{Addr: e.addr, Leaving: e.leaving}
		for _, s := range e.seats {
			a.Probing = a.Probing || s.phase != talking
			if s.port.live() && s.phase == talking {
				a.Links = append(a.Links, s.port.name)
			}
		}
		slices.Sort(a.Links)
		out = append(out, a)
	}
	return out
}

// Turns count changes of the addresses that frames matter for.
type Turns struct{ Added, Dropped uint64 }

// Turns returns how often an address came or went.
func (m *Machine) Turns() Turns { return m.turns }

// Addresses returns the addresses that received frames matter for, in no order: those that
// are wanted and those that are being released.
func (m *Machine) Addresses(f lb.Family) []netip.Addr {
	out := make([]netip.Addr, 0, len(m.entries))
	for a, e := range m.entries {
		if e.family == f {
			out = append(out, a)
		}
	}
	return out
}

// Counters count frames of one address since the start of the program.
type Counters struct {
	Requests   uint64 // requests and solicitations for it that were heard
	Responses  uint64 // answers given
	Gratuitous uint64 // announcements nobody asked for
	Conflicts  uint64 // frames of others that claimed it
}

// Counters returns a copy of the counters of every address ever announced here.
func (m *Machine) Counters() map[netip.Addr]Counters {
	out := make(map[netip.Addr]Counters, len(m.counts))
	for a, c := range m.counts {
		out[a] = *c
	}
	return out
}

func (m *Machine) counter(a netip.Addr) *Counters {
	c := m.counts[a]
	if c == nil {
		c = &Counters{}
		m.counts[a] = c
	}
	return c
}
