// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package l2

import "time"

// Confirm says that at the time `at` there was evidence that this node's view of the cluster
// was current, such as an answer of another member. With Config.Fresh set, the machine
// answers and announces only while the newest evidence is at most that old. The time is that
// of the evidence and not of the call, so that a call held up by a stopped process proves
// nothing.
func (m *Machine) Confirm(at, now time.Time) []Action {
	m.begin()
	if at.After(m.confirmed) && at.After(m.doubted) {
		m.confirmed = at
	}
	m.advance(now)
	return m.out
}

// Doubt says that the view was found outdated: all evidence up to now is void, however fresh.
// With Config.Fresh set, the machine is silent until the next Confirm.
func (m *Machine) Doubt(now time.Time) {
	m.confirmed, m.doubted = time.Time{}, now
	m.muted = m.outdated(now)
}

// outdated says whether the machine must be silent for lack of fresh evidence.
func (m *Machine) outdated(now time.Time) bool {
	return m.cfg.Fresh > 0 && now.Sub(m.confirmed) > m.cfg.Fresh
}
