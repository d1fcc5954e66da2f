// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"sync"
	"time"

	"github.com/clarion-lb/clarion/internal/lb"
	"github.com/clarion-lb/clarion/internal/plan"
)

// claimRounds bounds how often a pass plans again because of its own claims. What one round
// claims the next finds in the record, so two are the rule.
const claimRounds = 4

// plan plans, and enters what follows for the record of owners, until nothing more does.
func (l *loop) plan(s lb.Snapshot) (plan.Desired, lb.View) {
	for round := 1; ; round++ {
		now := time.Now()
		view := l.patience.Look(l.node, l.members.View(), l.rivals.stepsBack, s.Nodes, now)
		desired := l.planner.ForNode(l.node, s, view)
		if !desired.Known {
			return desired, view
		}
		claims := slices.Concat(desired.Claims, l.patience.Due(desired, view, now))
		claims = slices.DeleteFunc(claims, l.rivals.stepsBack)
		news, again := l.members.Claim(claims)
		if !news || round == claimRounds {
			l.members.Use(desired.Recorded)
			l.lookAgain(now, again)
			return desired, view
		}
		l.log.Info("claim addresses", "count", len(claims), "first", claims[0])
	}
}

// lookAgain kicks when patience will have ended, or at another time unless that is zero, if
// nothing else does before.
func (l *loop) lookAgain(now, other time.Time) {
	at, ok := l.patience.Next()
	if !other.IsZero() && (!ok || other.Before(at)) {
		at, ok = other, true
	}
	if l.again != nil {
		l.again.Stop()
		l.again = nil
	}
	if ok {
		l.again = time.AfterFunc(at.Sub(now), l.kicked)
	}
}

// ports are the links of the node, and those of them on which it could announce.
type ports struct {
	links  []lb.Link
	usable lb.Usable
}

// usable returns the interfaces on which this node could announce. It compiles what the user
// excludes, so it is for news of the links and not for each pass.
func (l *loop) usable(links []lb.Link) lb.Usable {
	usable, err := l.layer2.Usable(links)
	if err != nil { // the wire has refused the same configuration
		l.log.Error("find usable interfaces", "error", err)
	}
	return usable
}

// note keeps the links for the passes and tells the other speakers what changes with them.
func (l *loop) note(links []lb.Link) {
	usable := l.usable(links)
	l.ports.Store(&ports{links, usable})
	l.candidacy.note(usable)
	l.tellHardware(links)
}

// candidacy tells the other speakers on which interfaces this node could announce: on none as
// long as it does not know the cluster. It may be a member by then, and the others would leave
// addresses to it that it has never heard of.
type candidacy struct {
	tell func(lb.Usable)

	// Held while telling, too: the links and the loop both tell, and the newest must be told last.
	mu       sync.Mutex
	usable   *lb.Usable // nil while the interfaces are not known
	informed bool       // the cluster is known
}

// newCandidacy returns one that has told the others of no interface.
func newCandidacy(tell func(lb.Usable)) *candidacy {
	tell(lb.Usable{})
	return &candidacy{tell: tell}
}

// note says on which interfaces this node could announce from now on.
func (c *candidacy) note(usable lb.Usable) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.usable = &usable
	if c.informed {
		c.tell(usable)
	}
}

// inform says that the cluster is known.
func (c *candidacy) inform() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.usable != nil && !c.informed {
		c.tell(*c.usable)
	}
	c.informed = true
}
