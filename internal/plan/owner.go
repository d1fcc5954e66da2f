// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"net/netip"
	"slices"
	"time"

	"github.com/clarion-lb/clarion/internal/elect"
	"github.com/clarion-lb/clarion/internal/lb"
)

// MoveBack is an address that stays where it is because it is sticky, and that the node of
// the plan should take over when it has been the better owner for long enough.
type MoveBack struct {
	Addr  netip.Addr
	After time.Duration
}

// ballot is the addresses whose owners are elected with options.
type ballot struct {
	items  []elect.Item
	groups []int // by item
}

// elect fills live, set and owner of all groups, and what of the plan is about the record.
func (f *facts) elect(groups []group, d *Desired) {
	var b ballot
	for i := range groups {
		g := &groups[i]
		g.findLive()
		if len(g.live) == 0 {
			continue
		}
		g.set = f.candidates(g.live)
		options := f.electionOf(g)
		if !options.Options() {
			g.owner, _ = f.elector.Owner(g.key(), g.set)
			continue
		}
		if owner, ok := f.awaited(g); ok && options.Sticky {
			g.owner = owner
			d.Recorded = append(d.Recorded, g.addr)
			continue
		}
		b.items = append(b.items, elect.Item{Addr: g.addr, Key: g.key(), Set: g.set, Election: options})
		b.groups = append(b.groups, i)
	}
	if len(b.items) > 0 {
		owners := f.elector.Owners(b.items, f.recorded)
		for k, owner := range owners {
			groups[b.groups[k]].owner = owner
			d.Recorded = append(d.Recorded, b.items[k].Addr)
		}
		f.claim(&b, owners, d)
	}
	slices.SortFunc(d.Recorded, netip.Addr.Compare)
	slices.SortFunc(d.Claims, netip.Addr.Compare)
	slices.SortFunc(d.Back, func(x, y MoveBack) int { return x.Addr.Compare(y.Addr) })
}

// awaited returns the recorded owner of an address if that is about to be a member again, and may
// have the address then.
func (f *facts) awaited(g *group) (string, bool) {
	if _, found := slices.BinarySearchFunc(f.returning, g.addr, netip.Addr.Compare); !found {
		return "", false
	}
	owner := f.recorded[g.addr]
	n, known := f.index[owner]
	return owner, known && !slices.ContainsFunc(g.live, func(m member) bool { return !f.fits(&m, n) })
}

// claim says what this node should take now, and what later. What another node should take is
// left to that one: if it does not, it is not there.
func (f *facts) claim(b *ballot, owners []string, d *Desired) {
	mine := func(k int, target string) bool {
		return target == f.selfName && f.recorded[b.items[k].Addr] != target
	}
	targets := owners
	if f.settled {
		targets = f.elector.Targets(b.unstuck(func(e lb.Election) bool { return e.Rebalance }), f.recorded)
	}
	for k, target := range targets {
		if mine(k, target) {
			d.Claims = append(d.Claims, b.items[k].Addr)
		}
	}
	moving := func(e lb.Election) bool { return e.MoveBackAfter > 0 }
	if !f.settled || !slices.ContainsFunc(b.items, func(it elect.Item) bool { return moving(it.Election) }) {
		return
	}
	later := f.elector.Targets(b.unstuck(func(e lb.Election) bool { return e.Rebalance || moving(e) }), f.recorded)
	for k, target := range later {
		if e := b.items[k].Election; moving(e) && mine(k, target) && !mine(k, targets[k]) {
			d.Back = append(d.Back, MoveBack{Addr: b.items[k].Addr, After: e.MoveBackAfter})
		}
	}
}

// unstuck returns the items, those that may move as if they were not sticky.
func (b *ballot) unstuck(may func(lb.Election) bool) []elect.Item {
	out := slices.Clone(b.items)
	for i := range out {
		if e := &out[i].Election; may(*e) {
			e.Sticky = false
		}
	}
	return out
}

// electionOf returns the options for the address of a group. All advertisements that
// announce it count, for whichever of the Services that share it.
func (f *facts) electionOf(g *group) lb.Election {
	if len(g.live) == 1 {
		return g.live[0].class.election
	}
	var ads []int
	for i := range g.live {
		ads = append(ads, g.live[i].class.ads...)
	}
	slices.Sort(ads)
	return f.election(ads)
}
