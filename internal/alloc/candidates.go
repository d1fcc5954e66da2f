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
	// full counts, for each family, the pools at the start that have no free address.
	full [2]int
	// noPair says that no pool can give a free address of each family to anybody.
	noPair bool
	age    int // of candidates when the above was found out
}

// candidates are the pools with autoAssign: pools pinned to the namespace or the labels of a
// Service come first, by priority, then those that serve everybody.
type candidates struct {
	pinned      []int32 // all that have serviceAllocation, in order
	open        *tier
	byNamespace map[string]*tier
	colocate    bool // some pool prefers to colocate
	age         int
}

func newCandidates(p *pools) candidates {
	c := candidates{open: &tier{}, byNamespace: make(map[string]*tier)}
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
	t, found := c.byNamespace[s.Key.Namespace]
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
			t.full, t.noPair, t.age = [2]int{}, false, c.age
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
		if p.svcs[i].dual() {
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

// plain says that a Service can only be served with an address that is free for everybody.
func (p *planner) plain(i int32) bool {
	return p.svcs[i].group == none && len(p.holds.own[i]) == 0
}

func (p *planner) searchSingle(i int32, t *tier) (int32, picks, bool) {
	s := &p.svcs[i]
	f, plain, n := s.primary(), p.plain(i), 0
	if plain {
		n = t.full[f]
	}
	for ; n < len(t.pools); n++ {
		home := t.pools[n]
		if plain {
			if _, free := p.lowestFree(home, f); !free {
				if n == t.full[f] {
					t.full[f]++
				}
				continue
			}
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
	plain := p.plain(i)
	if plain && t.noPair {
		return none, picks{}, false
	}
	forNobody := true
	for _, home := range t.pools {
		if plain && !p.hasPair(home) {
			continue
		}
		forNobody = false
		if !p.allows(home, s) {
			continue
		}
		if at, ok := p.pair(i, home); ok {
			return home, at, true
		}
	}
	t.noPair = t.noPair || plain && forNobody
	return none, picks{}, false
}

// hasPair says whether a pool, with its partner, has a free address of each family.
func (p *planner) hasPair(home int32) bool {
	for _, f := range []family{v4, v6} {
		_, free := p.lowestFree(home, f)
		if partner := p.list[home].partner; !free && partner != none {
			_, free = p.lowestFree(partner, f)
		}
		if !free {
			return false
		}
	}
	return true
}

// searchShared looks for a pool that prefers to colocate and where the sharing key of the
// Service is used with an address of its primary family that it can join.
func (p *planner) searchShared(i int32, tiers [2]*tier) (int32, picks, bool) {
	s := &p.svcs[i]
	end := place{span: int32(len(p.spans))}
	for _, t := range tiers {
		for _, home := range t.pools {
			if !p.list[home].PreferColocate || !p.allows(home, s) {
				continue
			}
			if _, ok := p.lowestShared(i, home, s.primary(), p.room(i, home, nil), end); !ok {
				continue
			}
			if at, ok := p.fromPool(i, home); ok {
				return home, at, true
			}
		}
	}
	return none, picks{}, false
}
