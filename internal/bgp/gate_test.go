// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package bgp

import (
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/bfd"
)

func TestUnreachable(t *testing.T) {
	t0 := time.Unix(1_000_000, 0)
	sec := func(s float64) time.Time { return t0.Add(time.Duration(s * float64(time.Second))) }
	down := bfd.Status{State: bfd.Down, Remote: bfd.Down, EverUp: true, Diagnostic: bfd.DetectionTimeExpired, Since: sec(10)}
	edit := func(f func(*bfd.Status)) bfd.Status { s := down; f(&s); return s }
	signaled := edit(func(s *bfd.Status) { s.Diagnostic = bfd.NeighborSignaledDown })
	for _, tc := range []struct {
		name        string
		status      bfd.Status
		established time.Time
		now         time.Time
		hold        bool
		again       time.Time
	}{
		{"never up", edit(func(s *bfd.Status) { s.EverUp = false }), time.Time{}, sec(10), false, time.Time{}},
		{"up", edit(func(s *bfd.Status) { s.State = bfd.Up }), sec(1), sec(10), false, time.Time{}},
		{"down", down, sec(1), sec(10), true, sec(40)},
		{"down, no session", down, time.Time{}, sec(10), true, sec(40)},
		{"on its way up", edit(func(s *bfd.Status) { s.State = bfd.Init }), time.Time{}, sec(10), true, sec(40)},
		{"peer is administratively down", edit(func(s *bfd.Status) { s.Remote = bfd.AdminDown }), sec(1), sec(10), false, time.Time{}},
		{"we are administratively down", edit(func(s *bfd.Status) { s.State = bfd.AdminDown }), sec(1), sec(10), false, time.Time{}},
		{"signaled right after the session came up", signaled, sec(9.9), sec(10.1), false, sec(11)},
		{"signaled and lasting", signaled, sec(9.9), sec(11), true, sec(40)},
		{"signaled long after", signaled, sec(8), sec(10), true, sec(40)},
		{"signaled before the session came up", signaled, sec(10.5), sec(10.6), true, sec(40)},
		{"silence right after the session came up", down, sec(9.9), sec(10.1), true, sec(40)},
		{"BFD does not come back", down, time.Time{}, sec(40), false, time.Time{}},
	} {
		hold, again := Unreachable(tc.status, tc.established, tc.now)
		if hold != tc.hold || !again.Equal(tc.again) {
			t.Errorf("%s: %v, again at %v; want %v, %v", tc.name, hold, again, tc.hold, tc.again)
		}
	}
}
