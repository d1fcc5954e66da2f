// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
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

// elect fills live, set and owner of all groups. It returns the addresses that this node
// should claim, and those that it should claim later.
func (f *facts) elect(groups []group) (claims []netip.Addr, back []MoveBack) {
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
		b.items = append(b.items, elect.Item{Addr: g.addr, Key: g.key(), Set: g.set, Election: options})
		b.groups = append(b.groups, i)
	}
	if len(b.items) == 0 {
		return nil, nil
	}
	owners := f.elector.Owners(b.items, f.recorded)
	for k, owner := range owners {
		groups[b.groups[k]].owner = owner
	}
	targets := owners
	if f.settled {
		targets = f.elector.Targets(b.unstuck(func(e lb.Election) bool { return e.Rebalance }), f.recorded)
	}
	// What another node should take is left to that one: if it does not, it is not there.
	mine := func(k int, target string) bool {
		return target == f.selfName && f.recorded[b.items[k].Addr] != target
	}
	for k, target := range targets {
		if mine(k, target) {
			claims = append(claims, b.items[k].Addr)
		}
	}
	if f.settled && slices.ContainsFunc(b.items, func(it elect.Item) bool { return it.Election.MoveBackAfter > 0 }) {
		later := f.elector.Targets(b.unstuck(func(e lb.Election) bool { return e.Rebalance || e.MoveBackAfter > 0 }), f.recorded)
		for k, target := range later {
			if after := b.items[k].Election.MoveBackAfter; after > 0 && mine(k, target) && !mine(k, targets[k]) {
				back = append(back, MoveBack{Addr: b.items[k].Addr, After: after})
			}
		}
	}
	slices.SortFunc(claims, netip.Addr.Compare)
	slices.SortFunc(back, func(x, y MoveBack) int { return cmp.Or(x.Addr.Compare(y.Addr), cmp.Compare(x.After, y.After)) })
	return claims, back
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
