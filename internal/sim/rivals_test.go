// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/clarion-lb/clarion/internal/l2"
	"github.com/clarion-lb/clarion/internal/lb"
	"github.com/clarion-lb/clarion/internal/plan"
)

// What the speaker has in rivals.go.
const (
	rivalsPeriod = 30 * time.Second
	insistPeriod = time.Second
	viewsDiffer  = 100 * time.Millisecond
)

// met notes that gossip brought the hardware address of a node, which is remembered when the
// node is gone.
func (x *wire) met(i int) { x.hardware.add(i) }

// know tells the machine which hardware addresses are those of speakers.
func (x *wire) know() {
	if x.hardware == x.known {
		return
	}
	x.known = x.hardware
	speakers := map[l2.MAC]string{}
	for i, peer := range x.s.w.speakers {
		if x.known.has(i) {
			speakers[mac(i)] = peer.name
		}
	}
	x.do(func(now time.Time) []l2.Action { return x.machine.Know(speakers, now) })
}

// settle steps back for, or insists against, other speakers that are seen to use addresses of
// this node.
func (x *wire) settle() {
	s := x.s
	x.know()
	seen := x.machine.Conflicts(s.w.clock())
	if len(seen) == 0 && len(x.yielded) == 0 {
		x.kept = plan.Kept{}
		return
	}
	var rivals []lb.Rival
	for _, r := range seen {
		rivals = append(rivals, lb.Rival{Addr: r.Addr, Link: r.Link, MAC: r.MAC.String(), Node: r.Node, Withheld: r.Withheld})
	}
	view := s.view()
	yield, insist := plan.Settle(s.name, *s.facts, view, rivals)
	if anew := x.kept.Of(insist, view, rivals); len(anew) > 0 {
		s.w.claims += len(anew)
		s.w.trace("node %d claims anew %v", s.id, anew)
		s.record.Insist(anew, s.name, s.times())
		s.later(0, s.broadcast)
	}
	if !slices.Equal(yield, x.yielded) {
		s.w.trace("node %d steps back on %v", s.id, yield)
		x.yielded = yield
		s.later(0, s.kick) // claims depend on it
		x.do(func(now time.Time) []l2.Action { return x.machine.Yield(yield, now) })
	}
	x.insist(seen, insist, view)
	s.later(rivalsPeriod, s.kick)
}

// stepsBack says whether an address is left to another speaker now.
func (x *wire) stepsBack(a netip.Addr) bool {
	_, found := slices.BinarySearchFunc(x.yielded, a, netip.Addr.Compare)
	return found
}

// insist announces addresses anew, each not too often, and against a speaker that this node can
// talk to only when the views differ for longer than they do in each move.
func (x *wire) insist(seen []l2.Rival, insist []netip.Addr, view lb.View) {
	now := x.s.w.clock()
	var again []netip.Addr
	for _, r := range seen {
		_, wanted := slices.BinarySearchFunc(insist, r.Addr, netip.Addr.Compare)
		_, alive := slices.BinarySearch(view.Members, r.Node)
		late := alive && r.Last.Sub(r.First) < viewsDiffer
		last := x.insisted[r.Addr]
		if wanted && r.Node != "" && !late && r.Last.After(last) && now.Sub(last) >= insistPeriod {
			x.insisted[r.Addr] = now
			again = append(again, r.Addr)
		}
	}
	maps.DeleteFunc(x.insisted, func(a netip.Addr, _ time.Time) bool {
		return !slices.ContainsFunc(seen, func(r l2.Rival) bool { return r.Addr == a })
	})
	if len(again) > 0 {
		x.s.w.trace("node %d insists on %v", x.s.id, again)
		x.do(func(now time.Time) []l2.Action { return x.machine.Reannounce(again, now) })
	}
}
