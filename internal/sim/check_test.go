// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/clarion-lb/clarion/internal/lb"
	"github.com/clarion-lb/clarion/internal/plan"
)

// checkOwnership is I5, checked on every plan: what is announced is owned in the speaker's
// own view, by a node that counts itself alive.
func (s *speaker) checkOwnership() {
	if len(s.desired.L2) > 0 && !slices.Contains(s.view().Members, s.name) {
		s.w.fatalf("node %d announces %d addresses and does not count itself", s.id, len(s.desired.L2))
	}
	owned := map[netip.Addr]bool{}
	for _, e := range s.desired.Why {
		owned[e.Addr] = owned[e.Addr] || e.Owner == s.name
	}
	for _, a := range s.desired.L2 {
		if !owned[a.Addr] {
			s.w.fatalf("node %d announces %s and does not own it", s.id, a.Addr)
		}
	}
}

// truth is the view of somebody who sees everything.
func (w *world) truth() lb.View {
	v := lb.View{Known: true}
	for _, s := range w.speakers {
		if s.up {
			v.Members = append(v.Members, s.name)
		}
	}
	return v
}

// checkSettled is what must hold a while after the last fault: every speaker sees everybody,
// all records are equal, and each address that somebody can announce has exactly one owner
// who answers on the wire; the others are silent. It returns the owners.
func (w *world) checkSettled() map[netip.Addr]string {
	w.t.Helper()
	v := w.truth()
	var record map[netip.Addr]string
	for _, s := range w.speakers {
		if !s.up {
			continue
		}
		if got := s.view(); !got.Known || !slices.Equal(got.Members, v.Members) || len(got.Leaving) > 0 {
			w.fatalf("node %d sees %+v, alive are %v", s.id, got, v.Members)
		}
		if own := s.record.Owners(); record == nil {
			record = own
		} else if !maps.Equal(record, own) {
			w.fatalf("node %d has another record: %v, not %v", s.id, own, record)
		}
	}
	if w.cfg.election != (lb.Election{}) {
		v.Owners = record
	}
	owners := map[netip.Addr]string{}
	for _, e := range plan.ForNode(v.Members[0], w.facts, v).Why {
		if e.Owner != "" {
			owners[e.Addr] = e.Owner
		}
	}
	for _, a := range w.addresses() {
		who := w.repliers(a)
		var want []string
		if o, ok := owners[a]; ok {
			want = []string{o}
		}
		if !slices.Equal(who, want) {
			w.fatalf("%s is answered by %v, want %v", a, who, want)
		}
	}
	return owners
}

// repliers returns the nodes that answer for an address, sorted.
func (w *world) repliers(a netip.Addr) []string {
	var who []string
	for _, s := range w.speakers {
		if s.replies(a) {
			who = append(who, s.name)
		}
	}
	return who
}

// checkBalance compares the loads of all nodes when all can own everything.
func (w *world) checkBalance(owners map[netip.Addr]string) {
	w.t.Helper()
	load := map[string]int{}
	for _, o := range owners {
		load[o]++
	}
	least, most := len(owners), 0
	for _, n := range w.truth().Members {
		least, most = min(least, load[n]), max(most, load[n])
	}
	if most-least > 1 {
		w.fatalf("loads from %d to %d: %v", least, most, load)
	}
}

func (w *world) id(name string) int {
	return slices.IndexFunc(w.speakers, func(s *speaker) bool { return s.name == name })
}

// untouched returns the nodes that nothing happened to and nobody lost sight of.
func (w *world) untouched() map[string]bool {
	out := map[string]bool{}
	for _, s := range w.speakers {
		out[s.name] = !s.touched
	}
	return out
}

func (w *world) forgetTouched() {
	for _, s := range w.speakers {
		s.touched = false
	}
}

// checkGossip bounds what agreement has cost since the beginning: an address is claimed at the
// start, when a fault begins and when it ends, and anew by one who keeps it against a claim from
// beyond a cut; everybody tells each claim so many times, and perhaps again because somebody had
// not heard of it. It takes 16 bytes or a few more.
func (w *world) checkGossip() {
	w.t.Helper()
	if most := w.cfg.services * (1 + 3*mostFaults); w.claims > most {
		w.fatalf("%d claims for %d addresses, want at most %d", w.claims, w.cfg.services, most)
	}
	const claim = 20 // bytes
	if each, most := w.told/w.cfg.nodes, 2*w.claims*w.speakers[0].times()*claim; each > most {
		w.fatalf("each node told %d bytes of %d claims, want at most %d", each, w.claims, most)
	}
}
