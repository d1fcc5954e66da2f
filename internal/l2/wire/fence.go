// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"time"

	"github.com/clarion-lb/clarion/internal/boottime"
	"github.com/clarion-lb/clarion/internal/l2"
)

// clock gives the machine times that go on while the node is suspended: evidence from before
// must not be fresh afterwards, and an announcement that was due meanwhile is due.
type clock struct {
	began time.Time
	boot  time.Duration // at began
}

func newClock() clock { return clock{time.Now(), boottime.Now()} }

// Now returns the time by which the Wire goes. Only differences of such times count.
func (w *Wire) Now() time.Time { return w.clock.began.Add(boottime.Now() - w.clock.boot) }

// mayAnswer asks whether this node may speak, and has the machine doubt its evidence if not.
func (w *Wire) mayAnswer() bool {
	if w.may == nil || w.may() {
		return true
	}
	w.machine.Doubt(w.Now())
	return false
}

func sends(a *l2.Action) bool {
	return a.Op == l2.SendARP || a.Op == l2.SendNA || a.Op == l2.SendNS
}
