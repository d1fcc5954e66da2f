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
	rank  []int32 // place in pools of each pool, or none
	ask   bool    // pools must still be asked whether they serve a Service
	age   int     // of candidates when the following was found out
	// free is, for each family, how many pools at the start have no free address, and pairless
	// how many have no address of each family. What may be shared does not count.
	free     [2]int
	pairless int
	sharing  map[class]progress
}

// progress is what Services that fit on the same addresses need not try again, because pools
// only fill up.
type progress struct {
	full     [2]int // for each family, how many pools at the start have no address
	pairless int    // how many pools at the start have no address of each family
}

// class are the Services that fit on the same addresses: a sharing group and a set of ports.
type class struct{ group, ports int32 }

// candidates are the pools with autoAssign: pools pinned to the namespace or the labels of a
// Service come first, by priority, then those that serve everybody.
type candidates struct {
	pinned   []pinned // all that have serviceAllocation, in order
	open     *tier
	nobody   *tier
	tiers    []*tier // of audiences
	own      map[audience]int32
	last     audience       // neighbours are often in the same
	lastTier int32          // of last, none at first
	labels   []lb.Selectors // different ones of pinned
	colocate bool           // some pool prefers to colocate
	pools    int
	age      int
}

// pinned is a pool that serves some Services only.
type pinned struct {
	pool   int32
	labels int // index into candidates.labels; everybody and manyLabels are no index
}

const (
	everybody  = -1 // labels do not matter
	manyLabels = 64 // so many different selectors are looked at once for each Service
)

// audience are the Services that the same pools serve: a namespace, and which of
// candidates.labels match.
type audience struct {
	namespace string
	labels    uint64
}

func newCandidates(p *pools) candidates {
	c := candidates{own: make(map[audience]int32), lastTier: none, pools: len(p.list)}
	var open []int32
	for i := range p.list {
		q := &p.list[i]
		c.colocate = c.colocate || q.PreferColocate
		switch {
		case !q.AutoAssign || q.Closed:
		case q.Allocation == nil:
			open = append(open, int32(i))
		default:
			c.pinned = append(c.pinned, pinned{int32(i), c.labelsOf(q.Allocation.Services)})
		}
	}
	c.open = c.newTier(open)
	c.nobody = c.newTier(nil)
	// Pools are in order of name, which a stable sort leaves to those of one priority.
	slices.SortStableFunc(c.pinned, func(a, b pinned) int {
		return cmp.Compare(rank(p.list[a.pool].Allocation), rank(p.list[b.pool].Allocation))
	})
	return c
}

// labelsOf gives equal selectors of labels the same number.
func (c *candidates) labelsOf(s lb.Selectors) int {
	if len(s) == 0 {
		return everybody
	}
	same := func(o lb.Selectors) bool { return slices.EqualFunc(s, o, equalSelectors) }
	n := slices.IndexFunc(c.labels, same)
	if n < 0 && len(c.labels) < manyLabels {
		n = len(c.labels)
		c.labels = append(c.labels, s)
	}
	if n < 0 {
		return manyLabels
	}
	return n
}

func equalSelectors(a, b lb.Selector) bool {
	return slices.EqualFunc(a, b, func(a, b lb.Requirement) bool {
		return a.Key == b.Key && a.Op == b.Op && slices.Equal(a.Values, b.Values)
	})
}

func (c *candidates) newTier(list []int32) *tier {
	t := &tier{pools: list, rank: make([]int32, c.pools)}
	for i := range t.rank {
		t.rank[i] = none
	}
	for n, i := range list {
		t.rank[i] = int32(n)
	}
	return t
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

// tiers returns the two lists for a Service: pools pinned to it, and those for everybody.
func (p *planner) tiers(s *svc) [2]*tier {
	c := &p.candidates
	both := [2]*tier{p.ownTier(s), c.open}
	for _, t := range both {
		if t.age != c.age {
			t.free, t.pairless, t.sharing, t.age = [2]int{}, 0, nil, c.age
		}
	}
	return both
}

func (p *planner) ownTier(s *svc) *tier {
	c := &p.candidates
	if len(c.pinned) == 0 {
		return c.nobody
	}
	if s.tier == none {
		s.tier = p.findTier(s)
	}
	return c.tiers[s.tier]
}

// findTier finds out which pinned pools serve a Service. Serving does so beforehand for
// everybody who may need it, because it goes through the Services in an order that is slow to
// read labels in.
func (p *planner) findTier(s *svc) int32 {
	c := &p.candidates
	a := audience{namespace: s.Key.Namespace}
	for n, labels := range c.labels {
		if labels.MatchesAny(s.Labels) {
			a.labels |= 1 << n
		}
	}
	if c.lastTier != none && a == c.last {
		return c.lastTier
	}
	n, found := c.own[a]
	if !found {
		n = int32(len(c.tiers))
		c.tiers = append(c.tiers, p.makeTier(a))
		c.own[a] = n
	}
	c.last, c.lastTier = a, n
	return n
}

func (p *planner) makeTier(a audience) *tier {
	var list []int32
	ask := false
	for _, q := range p.candidates.pinned {
		if !p.list[q.pool].Allocation.AllowsNamespace(a.namespace) {
			continue
		}
		ask = ask || q.labels == manyLabels
		if q.labels == everybody || q.labels == manyLabels || a.labels>>q.labels&1 == 1 {
			list = append(list, q.pool)
		}
	}
	t := p.candidates.newTier(list)
	t.ask = ask
	return t
}

// serves says whether a pool of a tier serves a Service.
func (p *planner) serves(t *tier, pool int32, s *svc) bool { return !t.ask || p.allows(pool, s) }
