// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package alloc

func (f family) other() family { return 1 - f }

// homeOf returns the pool to which places belong together: it has one at least, and its partner
// may have the other. A Service that asks for a pool must be at home there; another keeps the
// home that its annotation names as long as that is right.
func (p *planner) homeOf(s *svc, requested string, at ...place) int32 {
	if requested != "" {
		if home := p.named(requested); p.isHome(s, home, at) {
			return home
		}
		return none
	}
	if first := p.poolAt(at[0]); p.list[first].Name != s.AssignedPool && s.AssignedPool != "" {
		if home := p.named(s.AssignedPool); p.isHome(s, home, at) {
			return home
		}
	}
	for _, a := range at {
		if home := p.poolAt(a); p.isHome(s, home, at) {
			return home
		}
	}
	return none
}

// isHome needs to ask whether a pool serves the Service only when its place is in the partner:
// of the pools of the places, the caller has made sure.
func (p *planner) isHome(s *svc, home int32, at []place) bool {
	if home == none {
		return false
	}
	inside := false
	for _, a := range at {
		switch q := p.poolAt(a); {
		case q == home:
			inside = true
		case !s.dual || q != p.list[home].partner:
			return false
		}
	}
	return inside || len(at) == 1 && !p.list[home].Closed && p.allows(home, s)
}

// partnerFor returns the pool that completes a pool for a Service, or none.
func (p *planner) partnerFor(i, home int32) int32 {
	partner := p.list[home].partner
	if !p.svcs[i].dual || !p.allows(partner, &p.svcs[i]) {
		return none
	}
	return partner
}

// pair finds an address of each family, primary first: both in the pool, or one in its partner.
func (p *planner) pair(i, home int32) (picks, bool) {
	if at, ok := p.pairIn(i, home, home); ok {
		return at, true
	}
	partner := p.partnerFor(i, home)
	if partner == none {
		return picks{}, false
	}
	if at, ok := p.pairIn(i, home, partner); ok {
		return at, true
	}
	return p.pairIn(i, partner, home)
}

// pairIn finds an address of the primary family in one pool and of the other in another, or
// the same. If a quota has room for one address only, another Service of the namespace may
// have one of either family that this one can share.
func (p *planner) pairIn(i, first, then int32) (picks, bool) {
	f := p.svcs[i].primary
	for _, room := range [2]bool{p.room(i, first, nil), false} {
		a, ok := p.pick(i, first, f, room)
		if !ok {
			return picks{}, false
		}
		if b, ok := p.pick(i, then, f.other(), p.room(i, then, &a)); ok {
			return picks{at: [2]place{a, b}, n: 2}, true
		}
		if first != then || !p.quotas.limits(first) {
			break
		}
	}
	return picks{}, false
}

// fromPool finds what a Service needs in a pool. One that would like both families, but can do
// with one, is content with its primary family.
func (p *planner) fromPool(i, home int32) (picks, bool) {
	s := &p.svcs[i]
	if s.dual {
		if at, ok := p.pair(i, home); ok || !s.prefer {
			return at, ok
		}
	}
	return p.single(i, home)
}

// single finds an address of the primary family in a pool.
func (p *planner) single(i, home int32) (picks, bool) {
	at, ok := p.pick(i, home, p.svcs[i].primary, p.room(i, home, nil))
	return picks{at: [2]place{at}, n: 1}, ok
}

// complete finds an address of the family that a Service lacks in the pool where it is at home,
// or, if the address it has is there, in the partner of that pool.
func (p *planner) complete(i int32, held place) (place, bool) {
	home, f := p.svcs[i].home, p.familyAt(held).other()
	if at, ok := p.pick(i, home, f, p.room(i, home, &held)); ok {
		return at, true
	}
	partner := p.partnerFor(i, home)
	if partner == none || p.poolAt(held) != home {
		return place{}, false
	}
	return p.pick(i, partner, f, p.room(i, partner, &held))
}

// serveSecond adds the family that a Service lacks, from where it is at home.
func (p *planner) serveSecond(i int32) bool {
	s := &p.svcs[i]
	have := s.addrs[0]
	held, _ := p.placeOf(have)
	if at, ok := p.complete(i, held); ok {
		p.claim(i, at)
		p.setAddrs(s, have, p.addrAt(at))
		s.want, s.fail = nothing, failure{}
		return true
	}
	if s.want == second {
		s.fail = failure{kind: failSecond}
		return false
	}
	s.lose("the Service needs an address of each family and pool " + p.list[s.home].Name +
		" has no " + familyOf(have).other().String() + " address for it")
	p.unclaim(i, held)
	p.cool(i, held)
	s.addrs, s.kept, s.home, s.want = nil, 0, none, addresses
	p.again = true
	return p.assign(i)
}
