// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package alloc

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
			if !p.svcs[i].prefer {
				continue
			}
		}
		if home, at, ok = p.searchSingle(i, t); ok {
			return home, at, true
		}
	}
	return none, picks{}, false
}

// searchSingle looks for an address of the primary family.
func (p *planner) searchSingle(i int32, t *tier) (int32, picks, bool) {
	s := &p.svcs[i]
	like, known := p.progress(i, t)
	full := &known.full[s.primary]
	for n := p.nextPool(i, t, *full); n < len(t.pools); n = p.nextPool(i, t, n+1) {
		home := t.pools[n]
		if like && !p.offers(i, home, s.primary) {
			if n == p.nextPool(i, t, *full) {
				*full = n + 1
				t.remember(s, known)
			}
			continue
		}
		if !p.serves(t, home, s) {
			continue
		}
		if at, ok := p.single(i, home); ok {
			return home, at, true
		}
	}
	return none, picks{}, false
}

// nextPool returns the place in a tier, n or after it, of the next pool that may have an
// address for a Service: the first with a free one, or one before it where others are whom the
// Service may join.
func (p *planner) nextPool(i int32, t *tier, n int) int {
	s := &p.svcs[i]
	f := s.primary
	if len(p.holds.own[i]) > 0 {
		return n // what is held back for it is not free
	}
	for t.free[f] < len(t.pools) {
		if _, free := p.lowestFree(t.pools[t.free[f]], f); free {
			break
		}
		t.free[f]++
	}
	if n >= t.free[f] {
		return n
	}
	next := t.free[f]
	if s.group != none {
		for _, l := range p.groups.list[s.group].in {
			if r := int(t.rank[l.pool]); l.family == f && r >= n && r < next {
				next = r
			}
		}
	}
	return next
}

// progress returns how far Services like this one got. Nobody is like one that has addresses
// held back for it.
func (p *planner) progress(i int32, t *tier) (like bool, known progress) {
	s := &p.svcs[i]
	switch {
	case len(p.holds.own[i]) > 0:
		return false, progress{}
	case s.group == none:
		return true, progress{full: t.free, pairless: t.pairless}
	}
	return true, t.sharing[class{s.group, s.ports}]
}

// remember is for the next Service like this one.
func (t *tier) remember(s *svc, known progress) {
	if s.group == none {
		t.pairless = known.pairless // free keeps itself up
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

// searchPair looks for an address of each family.
func (p *planner) searchPair(i int32, t *tier) (int32, picks, bool) {
	s := &p.svcs[i]
	like, known := p.progress(i, t)
	for n := known.pairless; n < len(t.pools); n++ {
		home := t.pools[n]
		if like && !p.offersPair(i, home) {
			if n == known.pairless {
				known.pairless++
				t.remember(s, known)
			}
			continue
		}
		if !p.serves(t, home, s) {
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
			if !p.list[home].PreferColocate || !p.serves(t, home, s) {
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
