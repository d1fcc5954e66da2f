// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package alloc

import (
	"cmp"
	"math"
	"slices"

	"github.com/clarion-lb/clarion/internal/lb"
)

// tier is a list of pools that are tried in order for a Service that names none.
type tier struct {
	pools []int32
	age   int // of candidates when the following was found out
	// plain is how far Services got that do not share, sharing how far the others.
	plain   progress
	sharing map[class]progress
}

// progress is what Services need not try again, because pools only fill up.
type progress struct {
	full     [2]int // for each family, how many pools at the start have no address
	pairless int    // how many pools at the start have no address of each family
}

// class are the Services that fit on the same addresses: a sharing group and a set of ports.
type class struct{ group, ports int32 }

// candidates are the pools with autoAssign: pools pinned to the namespace or the labels of a
// Service come first, by priority, then those that serve everybody.
type candidates struct {
	pinned      []int32 // all that have serviceAllocation, in order
	open, empty *tier
	byNamespace map[string]*tier
	colocate    bool // some pool prefers to colocate
	age         int
}

func newCandidates(p *pools) candidates {
	c := candidates{open: &tier{}, empty: &tier{}, byNamespace: make(map[string]*tier)}
	for i := range p.list {
		q := &p.list[i]
		c.colocate = c.colocate || q.PreferColocate
		switch {
		case !q.AutoAssign || q.Closed:
		case q.Allocation == nil:
			c.open.pools = append(c.open.pools, int32(i))
		default:
			c.pinned = append(c.pinned, int32(i))
		}
	}
	// Pools are in order of name, which a stable sort leaves to those of one priority.
	slices.SortStableFunc(c.pinned, func(a, b int32) int {
		return cmp.Compare(rank(p.list[a].Allocation), rank(p.list[b].Allocation))
	})
	return c
}

// rank turns a priority, where 0 means last, into a number to sort by.
func rank(a *lb.Allocation) int {
	if a.Priority <= 0 {
		return math.MaxInt
	}
	return a.Priority
}

// rewind forgets which pools are full.
func (c *candidates) rewind() { c.age++ }

// tiers returns the two lists for a Service. The first is that of its namespace; what the
// pools in it want of labels remains to be asked.
func (p *planner) tiers(s *svc) [2]*tier {
	c := &p.candidates
	t, found := c.empty, len(c.pinned) == 0
	if !found {
		t, found = c.byNamespace[s.Key.Namespace]
	}
	if !found {
		t = &tier{}
		for _, i := range c.pinned {
			if p.list[i].Allocation.AllowsNamespace(s.Key.Namespace) {
				t.pools = append(t.pools, i)
			}
		}
		c.byNamespace[s.Key.Namespace] = t
	}
	both := [2]*tier{t, c.open}
	for _, t := range both {
		if t.age != c.age {
			t.plain, t.sharing, t.age = progress{}, nil, c.age
		}
	}
	return both
}

// search finds addresses for a Service that asks neither for addresses nor for a pool.
func (p *planner) search(i int32) (home int32, at picks, ok bool) {
	if home, at, ok = p.searchReserved(i); ok {
		return home, at, true
	}
	tiers := p.tiers(&p.svcs[i])
	if p.candidates.colocate && p.svcs[i].group != none {
		if home, at, ok = p.searchShared(i, tiers); ok {
			return home, at, true
		}
	}
	for _, t := range tiers {
		if p.svcs[i].dual {
			if home, at, ok = p.searchPair(i, t); ok {
				return home, at, true
			}
			if p.svcs[i].Policy != lb.PreferDualStack {
				continue
			}
		}
		if home, at, ok = p.searchSingle(i, t); ok {
			return home, at, true
		}
	}
	return none, picks{}, false
}

// progress returns how far Services like this one got. Nobody is like one that has addresses
// held back for it.
func (p *planner) progress(i int32, t *tier) (known progress, ok bool) {
	switch s := &p.svcs[i]; {
	case len(p.holds.own[i]) > 0:
		return progress{}, false
	case s.group == none:
		return t.plain, true
	default:
		return t.sharing[class{s.group, s.ports}], true
	}
}

// remember is for the next Service like this one.
func (p *planner) remember(i int32, t *tier, known progress) {
	s := &p.svcs[i]
	if s.group == none {
		t.plain = known
		return
	}
	if t.sharing == nil {
		t.sharing = make(map[class]progress)
	}
	t.sharing[class{s.group, s.ports}] = known
}

// offers says whether a pool has an address of a family for Services like this one, whatever
// its selectors and quotas say.
func (p *planner) offers(i, pool int32, f family) bool {
	if _, free := p.lowestFree(pool, f); free {
		return true
	}
	_, shared := p.lowestShared(i, pool, f, true, p.end())
	return shared
}

func (p *planner) searchSingle(i int32, t *tier) (int32, picks, bool) {
	s := &p.svcs[i]
	known, ok := p.progress(i, t)
	for n := known.full[s.primary]; n < len(t.pools); n++ {
		home := t.pools[n]
		if ok && !p.offers(i, home, s.primary) {
			if n == known.full[s.primary] {
				known.full[s.primary]++
				p.remember(i, t, known)
			}
			continue
		}
		if !p.allows(home, s) {
			continue
		}
		if at, ok := p.single(i, home); ok {
			return home, at, true
		}
	}
	return none, picks{}, false
}

func (p *planner) searchPair(i int32, t *tier) (int32, picks, bool) {
	s := &p.svcs[i]
	known, ok := p.progress(i, t)
	for n := known.pairless; n < len(t.pools); n++ {
		home := t.pools[n]
		if ok && !p.offersPair(i, home) {
			if n == known.pairless {
				known.pairless++
				p.remember(i, t, known)
			}
			continue
		}
		if !p.allows(home, s) {
			continue
		}
		if at, ok := p.pair(i, home); ok {
			return home, at, true
		}
	}
	return none, picks{}, false
}

// offersPair is offers for a pool with its partner and both families.
func (p *planner) offersPair(i, home int32) bool {
	partner := p.list[home].partner
	for _, f := range [2]family{v4, v6} {
		if !p.offers(i, home, f) && (partner == none || !p.offers(i, partner, f)) {
			return false
		}
	}
	return true
}

// searchShared looks for a pool that prefers to colocate and where the sharing key of the
// Service is used with an address of its primary family that it can join.
func (p *planner) searchShared(i int32, tiers [2]*tier) (int32, picks, bool) {
	s := &p.svcs[i]
	for _, t := range tiers {
		for _, home := range t.pools {
			if !p.list[home].PreferColocate || !p.allows(home, s) {
				continue
			}
			if _, ok := p.lowestShared(i, home, s.primary, p.room(i, home, nil), p.end()); !ok {
				continue
			}
			if at, ok := p.fromPool(i, home); ok {
				return home, at, true
			}
		}
	}
	return none, picks{}, false
}
