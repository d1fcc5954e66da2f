// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package sim

import "time"

// fault does something bad that ends by itself within the time given.
type fault struct {
	name string
	do   func(w *world, d time.Duration)
}

var faults = []fault{
	{"crash", func(w *world, d time.Duration) {
		if s := w.someone(); s.up {
			s.stop()
			w.after(d, func() {
				if !s.up {
					s.start()
				}
			})
		}
	}},
	{"leave", func(w *world, d time.Duration) {
		if s := w.someone(); s.up && !s.frozen {
			s.leave()
			w.after(d+w.cfg.interval*4, func() {
				if !s.up {
					s.start()
				}
			})
		}
	}},
	{"freeze", func(w *world, d time.Duration) {
		if s := w.someone(); s.up && !s.frozen && !s.leaving {
			s.freeze(d)
		}
	}},
	{"partition", func(w *world, d time.Duration) { w.partition(d, false) }},
	{"partition of the agents only", func(w *world, d time.Duration) { w.partition(d, true) }},
	{"one-way", func(w *world, d time.Duration) {
		w.cut([2]int{w.r.IntN(w.cfg.nodes), w.r.IntN(w.cfg.nodes)}, d, true)
	}},
	{"loss", func(w *world, d time.Duration) {
		w.net.loss, w.net.double, w.net.delay = 0.3, 0.3, 200*time.Millisecond
		w.after(d, w.calm)
	}},
	{"exclude", func(w *world, d time.Duration) {
		i := w.r.IntN(w.cfg.nodes)
		w.exclude(i, true)
		w.after(d, func() { w.exclude(i, false) })
	}},
	{"apiserver", func(w *world, d time.Duration) {
		w.apiDown = true
		w.after(d, func() {
			w.apiDown = false
			w.deliverFacts()
		})
	}},
}

// calm is how the network is when nothing disturbs it.
func (w *world) calm() { w.net.loss, w.net.double, w.net.delay = 0, 0.05, 20*time.Millisecond }

func (w *world) someone() *speaker { return w.speakers[w.r.IntN(len(w.speakers))] }

// partition cuts a random group off, both ways.
func (w *world) partition(d time.Duration, agentsOnly bool) {
	var inside []bool
	for range w.speakers {
		inside = append(inside, w.r.IntN(2) == 0)
	}
	for a := range inside {
		for b := range inside {
			if inside[a] != inside[b] {
				w.cut([2]int{a, b}, d, agentsOnly)
			}
		}
	}
}

// cut drops what goes one way for a while.
func (w *world) cut(pair [2]int, d time.Duration, agentsOnly bool) {
	nets := []*network{&w.net}
	if !agentsOnly {
		nets = append(nets, &w.wire)
	}
	for _, n := range nets {
		n.cut[pair] = true
		w.after(d, func() { delete(n.cut, pair) })
	}
}

// exclude sets or removes the label that keeps a node from announcing.
func (w *world) exclude(i int, on bool) {
	w.trace("node %d excluded: %v", i, on)
	w.facts = *w.copyOfFacts()
	w.facts.Nodes[i].ExcludedFromLB = on
	w.speakers[i].touched = true
	w.deliverFacts()
}

// factsWithin is how late a speaker may hear of a change of the cluster.
const factsWithin = 300 * time.Millisecond

// deliverFacts tells every speaker, each in its own time and always the latest.
func (w *world) deliverFacts() {
	for _, s := range w.speakers {
		s.later(w.upTo(factsWithin), func() {
			if !w.apiDown {
				s.facts, s.changed = w.copyOfFacts(), w.now
				s.replan()
			}
		})
	}
}

const mostFaults = 5

// disturb lets faults happen for a while; all of them are over when it returns.
func (w *world) disturb(span time.Duration) {
	for range 1 + w.r.IntN(mostFaults) {
		f := faults[w.r.IntN(len(faults))]
		begin := w.upTo(span / 2)
		length := w.upTo(span/2 - w.cfg.interval*4)
		w.after(begin, func() {
			w.trace("fault: %s for %s", f.name, length)
			f.do(w, length)
		})
	}
	w.run(span + time.Millisecond)
}
