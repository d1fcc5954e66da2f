// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package alloc

import (
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/lb"
)

// The leader dies, a Service is deleted, and a standby takes over: it holds back what the leader
// would have held back.
func TestAStandbyHoldsBackWhatWasFreedWhileNobodyPlanned(t *testing.T) {
	pools := []lb.Pool{aPool("p", "10.0.0.1-10.0.0.9", reserves(time.Hour))}
	a, b := aSvc("a", 0, has("10.0.0.1", "p")), aSvc("b", 1, has("10.0.0.2", "p"))
	for _, c := range []struct {
		name  string
		notes map[time.Duration][]lb.Service
		lead  time.Duration
		held  int
	}{
		{"seen before it went", map[time.Duration][]lb.Service{0: {a, b}}, 3 * time.Second, 1},
		{"gone from the last notes", map[time.Duration][]lb.Service{0: {a, b}, 10 * time.Second: {b}}, 11 * time.Second, 1},
		{"created since the notes before", map[time.Duration][]lb.Service{0: {b}, 10 * time.Second: {a, b}}, 11 * time.Second, 1},
		{"notes that come too soon change nothing", map[time.Duration][]lb.Service{0: {a, b}, 9 * time.Second: {b}}, 10 * time.Second, 1},
		{"went long ago", map[time.Duration][]lb.Service{0: {a, b}, 10 * time.Second: {b}, 20 * time.Second: {b}}, 21 * time.Second, 0},
		{"the standby itself stood still", map[time.Duration][]lb.Service{0: {a, b}}, time.Minute, 0},
		{"no notes", nil, time.Second, 0},
	} {
		var s Standby
		for at := time.Duration(0); at <= c.lead; at += time.Second {
			if services, noted := c.notes[at]; noted {
				s.Note(pools, services, epoch.Add(at))
			}
		}
		now := epoch.Add(c.lead)
		res := Plan(Input{Pools: pools, Services: []lb.Service{b, aSvc("c", 2)}, Last: s.Last(now), Now: now})
		if len(res.Reserved) != c.held {
			t.Errorf("%s: held back %v, want %d", c.name, res.Reserved, c.held)
		}
		if c.held > 0 && (res.Reserved[0].Service.Name != "a" || res.Outcomes[1].Addrs[0].String() != "10.0.0.3") {
			t.Errorf("%s: held back %v, and c has %v", c.name, res.Reserved, res.Outcomes[1].Addrs)
		}
	}
}

// What the leader had stored before it died counts, not what a standby would make of its notes.
func TestAStandbyBelievesWhatTheLeaderStored(t *testing.T) {
	pools := []lb.Pool{aPool("p", "10.0.0.1-10.0.0.9", reserves(time.Hour))}
	var s Standby
	s.Note(pools, []lb.Service{aSvc("a", 0, has("10.0.0.1", "p"))}, epoch)
	stored := lb.Reservation{Addr: addrs("10.0.0.1")[0], Service: lb.Key{Namespace: "ns", Name: "a"}, Until: epoch.Add(59 * time.Minute)}
	res := Plan(Input{Pools: pools, Reserved: []lb.Reservation{stored}, Last: s.Last(epoch.Add(time.Second)), Now: epoch.Add(time.Second)})
	if len(res.Reserved) != 1 || res.Reserved[0] != stored {
		t.Errorf("held back %v, want %v", res.Reserved, stored)
	}
}

func TestAStandbyRemembersNothingWithoutNeed(t *testing.T) {
	var s Standby
	s.Note([]lb.Pool{aPool("p", "10.0.0.1")}, []lb.Service{aSvc("a", 0, has("10.0.0.1", "p"))}, epoch)
	if last := s.Last(epoch); last != nil {
		t.Errorf("remembers %v although no pool holds anything back", last)
	}
	if s.Due(epoch.Add(time.Second)) || !s.Due(epoch.Add(standbyPace)) {
		t.Error("looks again at another pace than with such a pool")
	}
}
