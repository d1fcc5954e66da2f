// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package alloc

import (
	"net/netip"
	"slices"
	"time"

	"github.com/clarion-lb/clarion/internal/lb"
)

// How long a standby's notes are worth something. A successor begins within 3 s of its leader's
// death, and starts from the notes before the last ones, because a Service that went after that
// death may be missing from the last ones already. Of what is older than standbyKeeps the leader
// of that time has stored what it held back; to hold it back anew would be wrong.
const (
	standbyPace  = 10 * time.Second
	standbyKeeps = 30 * time.Second
)

// Standby remembers who had which address while somebody else plans, so that what is freed
// between the other's last Plan and the first one here is held back as the pools say. The zero
// value is ready.
type Standby struct {
	older, newer notes
}

// notes are the holders of addresses at one time.
type notes struct {
	at      time.Time
	holders []holder
}

type holder struct {
	service lb.Key
	addrs   []netip.Addr
}

// Due says whether it is time for the next Note, which may be called more often in vain.
func (s *Standby) Due(now time.Time) bool { return now.Sub(s.newer.at) >= standbyPace }

// Note takes down what the Services have. It keeps nothing when no pool holds anything back.
func (s *Standby) Note(pools []lb.Pool, services []lb.Service, now time.Time) {
	if !slices.ContainsFunc(pools, func(p lb.Pool) bool { return p.ReservationTime > 0 || p.CooldownTime > 0 }) {
		*s = Standby{newer: notes{at: now}}
		return
	}
	if !s.Due(now) {
		return
	}
	s.older, s.newer = s.newer, notes{at: now}
	for i := range services {
		if in := &services[i]; len(in.Assigned) > 0 {
			s.newer.holders = append(s.newer.holders, holder{in.Key, in.Assigned})
		}
	}
}

// Last returns what Input.Last must be in the first Plan of a leader. A Service that changed its
// address meanwhile is there twice.
func (s *Standby) Last(now time.Time) []Outcome {
	var out []Outcome
	for _, n := range []notes{s.older, s.newer} {
		if now.Sub(n.at) > standbyKeeps {
			continue
		}
		for _, h := range n.holders {
			out = append(out, Outcome{Service: h.service, Addrs: h.addrs})
		}
	}
	return out
}
