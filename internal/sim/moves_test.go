// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"maps"
	"net/netip"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/lb"
)

// watchFor lets time pass and fails as soon as an address is answered by nobody.
func (w *world) watchFor(d time.Duration, addrs map[netip.Addr]string) {
	w.t.Helper()
	const step = 5 * time.Millisecond
	for end := w.now + d; w.now < end; {
		w.run(step)
		for a := range addrs {
			if !w.answered(a) {
				w.fatalf("nobody answers for %s", a)
			}
		}
	}
}

// The order to leave reaches speakers one after the other. Addresses leave the node without a
// gap, nothing else moves, and what comes back when the order is taken back is what the
// election says.
func TestDrainLeavesNoGap(t *testing.T) {
	eachSeed(t, 200, func(t *testing.T, seed uint64) {
		cfg := small(seed)
		cfg.mixed = false
		w, before := begin(t, seed, cfg)
		leaver := w.someone()
		w.orderToLeave(leaver.id, true)
		w.watchFor(time.Second, before)
		during := w.settle()
		for a, owner := range before {
			switch now := during[a]; {
			case now == leaver.name:
				w.fatalf("%s is still at %s", a, now)
			case owner != leaver.name && now != owner && !movesToBalance(cfg.election):
				w.fatalf("%s moved from %s, which stays", a, owner)
			}
		}
		w.orderToLeave(leaver.id, false)
		w.watchFor(time.Second, before)
		w.checkReturn(before, during, w.settle(), departed{leaver.name, factsWithin})
	})
}

// movesToBalance says whether addresses may move because another node has fewer.
func movesToBalance(e lb.Election) bool { return e.Balanced && !e.Sticky }

// orderToLeave gives the order to leave, or takes it back.
func (w *world) orderToLeave(i int, leave bool) {
	w.trace("node %d is to leave: %v", i, leave)
	w.facts = *w.copyOfFacts()
	w.facts.Nodes[i].Leaving = leave
	w.deliverFacts()
	w.forgetSpans()
}

// A sticky address moves back after its time and not before, once, and without a gap.
func TestStickyAddressesMoveBackAfterTheirTime(t *testing.T) {
	moved := 0
	eachSeed(t, 200, func(t *testing.T, seed uint64) {
		cfg := small(seed)
		const wait = 10 * time.Second
		cfg.mixed, cfg.election.Sticky, cfg.election.MoveBackAfter = false, true, wait
		w, before := begin(t, seed, cfg)
		victim := w.someone()
		victim.stop()
		during := w.settle()
		victim.start()
		if early := w.settle(); !maps.Equal(early, during) {
			w.fatalf("sticky addresses moved when %s came back: %v became %v", victim.name, during, early)
		}
		w.forgetSpans()
		w.run(wait + 5*time.Second)
		after := w.settle()
		for a := range before {
			s := w.answers[a]
			s.settle(w.now)
			if s.moves > 1 {
				w.fatalf("%s moved %d times", a, s.moves)
			}
			// The new owner claims what it takes, and the old one waits for the claim.
			if s.none > 0 {
				w.fatalf("%s was unanswered for %s", a, s.none)
			}
			if after[a] != during[a] {
				moved++
			}
		}
		if cfg.election.Balanced {
			w.checkBalance(after)
		} else if !maps.Equal(after, before) {
			w.fatalf("owners were %v and are %v", before, after)
		}
	})
	if *replay < 0 && moved == 0 {
		t.Error("no address moved back")
	}
}
