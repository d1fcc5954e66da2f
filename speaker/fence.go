// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"time"

	"github.com/clarion-lb/clarion/internal/daemon"
	"github.com/clarion-lb/clarion/internal/members"
)

// A process that was stopped and goes on, or a node that lost its peers, must not answer for
// what others have taken over meanwhile, not even until its own loop has noticed. So the wire
// asks mayAnswer before each frame; and because a view may stand again before the wire has the
// set that follows from it, it answers only while it was confirmed, behind that set, within
// freshFor. That is the time in which nobody can have found this node gone, whatever stood still.
const (
	confirmPeriod = 25 * time.Millisecond // six may be late or missed
	freshFor      = members.Unnoticed
)

// place is what the membership says of this node.
type place interface {
	Fresh() bool
	Awake() bool
	Fences() uint64
}

// confirm tells the wire, again and again, that this node is a member in good standing.
func (l *loop) confirm(ctx context.Context) error {
	for {
		// The time comes first: a process that is stopped between the two has proved nothing.
		if now := l.wire.Now(); l.mayAnswer() {
			l.wire.Confirm(now)
		}
		if daemon.Sleep(ctx, confirmPeriod) != nil {
			return nil
		}
	}
}

func (l *loop) mayAnswer() bool { return mayAnswer(l.members, l.leaving.Load(), l.planned.Load()) }

// mayAnswer says whether what the wire announces follows from a view that still stands: this
// node is a member, or was one when it began to hand over, and has been without interruption
// since the loop last looked, when it had been fenced so many times as planned says.
func mayAnswer(p place, leaving bool, planned uint64) bool {
	member := p.Fresh() || leaving && p.Awake()
	return member && p.Fences() == planned
}
