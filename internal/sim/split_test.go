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

// What waited in the sockets of a process that stood still is answered after a short standstill
// only: others may have taken over in a long one. The machine sees to it by itself, before
// anything else has noticed.
func TestNothingIsAnsweredThatWaitedForLong(t *testing.T) {
	ignored, late := 0, 0
	eachSeed(t, 400, func(t *testing.T, seed uint64) {
		cfg := small(seed)
		cfg.mixed = false
		w, _ := begin(t, seed, cfg)
		w.someone().freeze(time.Millisecond + w.upTo(2*cfg.fresh()))
		w.run(2*cfg.fresh() + time.Second)
		w.settle()
		ignored, late = ignored+w.ignored, late+w.late
	})
	if *replay < 0 && (ignored < 200/share || late < 200/share) {
		t.Errorf("of the questions that waited, %d were ignored and %d answered; the test proves nothing", ignored, late)
	}
}

// While gossip is cut and the segment is whole, speakers of both sides own each address; the
// wire shows it to them, and soon one answers. It keeps a sticky address when gossip is back;
// without options each address is where it was.
func TestOneAnswersWhileGossipIsCut(t *testing.T) {
	contested := 0
	eachSeed(t, 400, func(t *testing.T, seed uint64) {
		cfg := small(seed)
		cfg.mixed = false
		w, before := begin(t, seed, cfg)
		w.partition(cfg.grace+5*time.Second, true)
		w.run(cfg.deadAfter() + cfg.interval + 2*w.net.delay + 2*time.Second)
		for range 20 {
			w.run(100 * time.Millisecond)
			for a := range before {
				if by := w.repliers(a); len(by) != 1 {
					w.fatalf("%s is answered by %v", a, by)
				}
			}
		}
		for a := range before {
			if s := w.answers[a]; s.moves > 0 {
				contested++
			}
		}
		w.forgetSpans()
		during := map[netip.Addr]string{}
		for a := range before {
			during[a] = w.repliers(a)[0]
		}
		w.run(cfg.grace + 5*time.Second)
		after := w.settle()
		for a := range before {
			if cfg.election.Sticky && (after[a] != during[a] || w.answers[a].moves > 0) {
				w.fatalf("%s moved from %s to %s when gossip was back", a, during[a], after[a])
			}
		}
		if cfg.election == (lb.Election{}) && !maps.Equal(before, after) {
			w.fatalf("owners %v became %v", before, after)
		}
	})
	if *replay < 0 && contested < 1000/share {
		t.Errorf("only %d addresses had two owners", contested)
	}
}
