// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/lb"
)

var replay = flag.Int64("seed", -1, "run this seed only, with a trace")

// elections are the options that every story runs with.
var elections = []lb.Election{{}, {Sticky: true}, {Balanced: true}, {Balanced: true, Sticky: true}}

// eachSeed runs a story for many seeds, or for the one to be replayed.
func eachSeed(t *testing.T, seeds int64, story func(t *testing.T, seed uint64)) {
	t.Helper()
	if *replay >= 0 {
		story(t, uint64(*replay))
		return
	}
	for seed := range max(1, seeds/share) {
		story(t, uint64(seed))
	}
}

// small returns a configuration of 2 to 9 nodes that depends on the seed.
func small(seed uint64) config {
	r := rand.New(rand.NewPCG(seed, 99))
	return config{
		nodes: 2 + r.IntN(8), services: 4 + r.IntN(20), election: elections[r.IntN(4)], mixed: r.IntN(2) == 0,
		interval: 100 * time.Millisecond, patience: 5, grace: 2 * time.Second,
		rest: 5 * time.Millisecond, watch: r.IntN(4) == 0, verbose: *replay >= 0,
	}
}

// begin starts all speakers within a second and waits until they agree.
func begin(t *testing.T, seed uint64, cfg config) (*world, map[netip.Addr]string) {
	t.Helper()
	w := newWorld(t, seed, cfg)
	for _, s := range w.speakers {
		w.after(w.upTo(10*cfg.interval), s.start)
	}
	w.run(10*cfg.interval + cfg.grace + 3*cfg.deadAfter())
	owners := w.checkSettled()
	w.forgetSpans()
	w.forgetTouched()
	return w, owners
}

// settle waits for as long as agreement may take after the last fault.
func (w *world) settle() map[netip.Addr]string {
	w.t.Helper()
	w.run(w.cfg.grace + 3*w.cfg.deadAfter() + (exchangeEvery+2*settled)*w.cfg.interval + time.Second)
	return w.checkSettled()
}

// Whatever happened, once it is over each address has one owner (I4), and nothing moved that
// had no reason to (I5, I7).
func TestAfterAnyFaultsEachAddressHasOneOwner(t *testing.T) {
	disturbed := 0
	eachSeed(t, 2000, func(t *testing.T, seed uint64) {
		w, before := begin(t, seed, small(seed))
		w.disturb(6 * time.Second)
		after := w.settle()
		calm := w.untouched()
		for a, owner := range before {
			switch {
			case w.cfg.election == (lb.Election{}) && after[a] != owner:
				w.fatalf("all is as before, yet %s moved from %s to %s", a, owner, after[a])
			case w.cfg.election.Balanced && !w.cfg.election.Sticky:
				continue // moves for the sake of balance are checked below
			case !calm[owner]:
				disturbed++
			case after[a] != owner || w.answers[a].droppedBy[w.id(owner)]:
				w.fatalf("nothing happened to %s, yet %s left it, and is with %s", owner, a, after[a])
			}
		}
		if w.cfg.election == (lb.Election{Balanced: true}) && !w.cfg.mixed {
			w.checkBalance(after)
		}
	})
	if *replay < 0 && disturbed < 1000/share {
		t.Errorf("the faults disturbed only %d owners", disturbed)
	}
}

// Loss, delay and doubled messages alone, as long as nobody is taken for dead, move nothing.
func TestNoiseMovesNothing(t *testing.T) {
	calm := 0
	eachSeed(t, 300, func(t *testing.T, seed uint64) {
		w, before := begin(t, seed, small(seed))
		w.net.loss, w.net.double, w.net.delay = 0.08, 0.5, 150*time.Millisecond
		w.run(5 * time.Second)
		for _, ok := range w.untouched() {
			if !ok {
				return
			}
		}
		calm++
		for _, a := range w.addresses() {
			if s := w.answers[a]; s != nil && s.moves+s.dropped > 0 {
				w.fatalf("%s moved", a)
			}
		}
		if after := w.checkSettled(); !maps.Equal(before, after) {
			w.fatalf("owners %v became %v", before, after)
		}
	})
	if *replay < 0 && calm < 200/share {
		t.Errorf("only %d seeds had no false alarm", calm)
	}
}

// A crash moves what the dead node owned, within the time of detection, and nothing else.
// Its return moves what the options say, without a long time of two owners or of none.
func TestCrashAndReturn(t *testing.T) {
	eachSeed(t, 400, func(t *testing.T, seed uint64) {
		cfg := small(seed)
		cfg.mixed = false
		w, before := begin(t, seed, cfg)
		victim := w.someone()
		victim.stop()
		during := w.settle()
		for a, owner := range before {
			s := w.answers[a]
			s.settle(w.now)
			if owner != victim.name && s.moves+s.dropped > 0 {
				w.fatalf("%s of the living %s moved to %s", a, owner, during[a])
			}
			if limit := cfg.deadAfter() + 2*cfg.interval + 2*w.net.delay; s.none > limit {
				w.fatalf("%s was unanswered for %s, want at most %s", a, s.none, limit)
			}
		}
		w.forgetSpans()
		victim.start()
		after := w.settle()
		w.checkReturn(before, during, after, departed{name: victim.name})
	})
}

// departed is the node that was away, and how far apart the others learn of its return besides
// what heartbeats take.
type departed struct {
	name  string
	apart time.Duration
}

// checkReturn checks what moved to a node that came back. Plans differ for at most a heartbeat,
// a message each way, and the time that speakers hear of it apart: for so long an address may
// have two owners, or the old one may have handed over before the new one knows.
func (w *world) checkReturn(before, during, after map[netip.Addr]string, back departed) {
	w.t.Helper()
	moved, victim := 0, back.name
	for a := range before {
		if after[a] != during[a] {
			moved++
		}
		s := w.answers[a]
		s.settle(w.now)
		if limit := w.cfg.interval + 2*w.net.delay + back.apart; s.none > limit || s.several > limit {
			w.fatalf("%s: nobody for %s, several for %s, want at most %s", a, s.none, s.several, limit)
		}
		if s.moves > 1 {
			w.fatalf("%s moved %d times", a, s.moves)
		}
	}
	switch e := w.cfg.election; {
	case e == (lb.Election{}) && !maps.Equal(before, after):
		w.fatalf("%s is back, owners were %v and are %v", victim, before, after)
	case e.Sticky && moved > 0:
		w.fatalf("%d sticky addresses moved when %s came back", moved, victim)
	case e == (lb.Election{Balanced: true}):
		w.checkBalance(after)
		if share := len(before) / w.cfg.nodes; moved != share {
			w.fatalf("%d moved when %s came back, its share is %d", moved, victim, share)
		}
	}
}

// A node that says goodbye hands over without a gap on the wire.
func TestGoodbyeLeavesNoGap(t *testing.T) {
	eachSeed(t, 200, func(t *testing.T, seed uint64) {
		cfg := small(seed)
		cfg.mixed = false
		w, before := begin(t, seed, cfg)
		leaver := w.someone()
		leaver.leave()
		for range 400 {
			w.run(time.Millisecond)
			for a := range before {
				if !w.answered(a) {
					w.fatalf("nobody answers for %s, which %s owned", a, before[a])
				}
			}
		}
		after := w.settle()
		for a, owner := range before {
			if owner != leaver.name && after[a] != owner {
				w.fatalf("%s moved from %s, which stayed", a, owner)
			}
		}
	})
}

func (w *world) answered(a netip.Addr) bool {
	for _, s := range w.speakers {
		if s.replies(a) {
			return true
		}
	}
	return false
}

// The same stories with as many speakers as large clusters have.
func TestLargeClusters(t *testing.T) {
	for i, size := range []struct{ nodes, seeds int }{{20, 5}, {50, 5}, {100, 10}, {200, 5}} {
		nodes := size.nodes
		if nodes > largest {
			break
		}
		t.Run(fmt.Sprint(nodes), func(t *testing.T) {
			eachSeed(t, int64(max(1, size.seeds/share)), func(t *testing.T, seed uint64) {
				cfg := small(seed)
				cfg.nodes, cfg.services, cfg.election = nodes, 40, elections[(i+int(seed))%4]
				cfg.interval, cfg.rest, cfg.mixed = 500*time.Millisecond, 50*time.Millisecond, false
				cfg.watch = cfg.watch && nodes <= 20
				w, before := begin(t, seed, cfg)
				w.disturb(8 * time.Second)
				after := w.settle()
				w.checkGossip()
				if cfg.election == (lb.Election{}) && !maps.Equal(before, after) {
					w.fatalf("owners %v became %v", before, after)
				}
			})
		})
	}
}

// The direct watch finds a dead owner in the same short time whatever the membership needs,
// and moves nothing else.
func TestHeirsFindADeadOwnerAtAnySize(t *testing.T) {
	for _, nodes := range []int{2, 3, 10, 50} {
		if nodes > largest {
			break
		}
		t.Run(fmt.Sprint(nodes), func(t *testing.T) {
			eachSeed(t, int64(max(1, 150/nodes)), func(t *testing.T, seed uint64) {
				cfg := small(seed)
				cfg.nodes, cfg.services, cfg.mixed, cfg.watch, cfg.patience = nodes, 40, false, true, 50
				cfg.election = lb.Election{}
				if nodes > 10 {
					cfg.interval, cfg.patience = 500*time.Millisecond, 10
				}
				w, before := begin(t, seed, cfg)
				victim := w.someone()
				victim.stop()
				w.run(3 * time.Second) // the membership needs five
				for a, owner := range before {
					s := w.answers[a]
					s.settle(w.now)
					if owner != victim.name && s.moves+s.dropped > 0 {
						w.fatalf("%s of the living %s moved", a, owner)
					}
					// Two watchers are up to one interval apart, and the last of them is one message late.
					limit := guardSilence + guardInterval + 120*time.Millisecond + 2*w.net.delay
					if s.none > limit {
						w.fatalf("%s was unanswered for %s, want at most %s", a, s.none, limit)
					}
				}
				w.settle()
			})
		})
	}
}

// A node that stands still for a moment and is found gone comes back as soon as it runs.
func TestNodeFoundGoneInErrorComesBack(t *testing.T) {
	found := 0
	eachSeed(t, 200, func(t *testing.T, seed uint64) {
		cfg := small(seed)
		cfg.nodes, cfg.mixed, cfg.watch, cfg.patience = 3+int(seed%6), false, true, 50
		cfg.election = lb.Election{}
		w, before := begin(t, seed, cfg)
		victim := w.someone()
		victim.freeze(400 * time.Millisecond)
		w.run(400 * time.Millisecond)
		for a, owner := range before {
			if owner == victim.name && w.answers[a].moves > 0 {
				found++
				break
			}
		}
		// Well before the membership, or the end of the finding, could have a say.
		w.run(cfg.interval + 6*w.net.delay + 10*time.Millisecond)
		for a, owner := range before {
			for _, s := range w.speakers {
				if s.replies(a) != (s.name == owner) {
					w.fatalf("%s belongs to %s; %s says otherwise", a, owner, s.name)
				}
			}
		}
	})
	if *replay < 0 && found < 100/share {
		t.Errorf("only %d were found gone", found)
	}
}
