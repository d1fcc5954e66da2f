// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package alloc

import "github.com/clarion-lb/clarion/internal/lb"

// dual says whether the Service can use an address of each family.
func (s *svc) dual() bool { return len(s.Families) > 1 }

// primary is the family of the first cluster IP.
func (s *svc) primary() family { return indexOf(s.Families[0]) }

func (f family) other() family { return 1 - f }

// homeOf returns the pool to which places belong together: it has them all, or its partner
// has those that it has not. A Service that asks for a pool must be at home there; another
// keeps the home that its annotation names as long as that is right.
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

// isHome needs to ask whether a pool serves the Service only when none of the places is in it:
// of their own pools, the caller has made sure.
func (p *planner) isHome(s *svc, home int32, at []place) bool {
	if home == none {
		return false
	}
	inside := false
	for _, a := range at {
		switch q := p.poolAt(a); {
		case q == home:
			inside = true
		case !s.dual() || q != p.list[home].partner:
			return false
		}
	}
	return inside || p.allows(home, s)
}

// pickFrom finds an address of a family in a pool or, for a dual-stack Service, its partner.
func (p *planner) pickFrom(i, home int32, f family, with *place) (place, bool) {
	if at, ok := p.pick(i, home, f, with); ok {
		return at, true
	}
	partner := p.list[home].partner
	if !p.svcs[i].dual() || !p.allows(partner, &p.svcs[i]) {
		return place{}, false
	}
	return p.pick(i, partner, f, with)
}

// pair finds an address of each family, primary first.
func (p *planner) pair(i, home int32) ([]place, bool) {
	f := p.svcs[i].primary()
	first, ok := p.pickFrom(i, home, f, nil)
	if !ok {
		return nil, false
	}
	then, ok := p.pickFrom(i, home, f.other(), &first)
	if !ok {
		return nil, false
	}
	return []place{first, then}, true
}

// fromPool finds what a Service needs in a pool. One that would like both families, but can do
// with one, is content with its primary family unless strict.
func (p *planner) fromPool(i, home int32, strict bool) ([]place, bool) {
	s := &p.svcs[i]
	if s.dual() {
		if at, ok := p.pair(i, home); ok || strict || s.Policy != lb.PreferDualStack {
			return at, ok
		}
	}
	at, ok := p.pick(i, home, s.primary(), nil)
	if !ok {
		return nil, false
	}
	return []place{at}, true
}

// serveSecond adds the family that a Service lacks, from where it is at home.
func (p *planner) serveSecond(i int32) bool {
	s := &p.svcs[i]
	have := s.addrs[0]
	held, _ := p.placeOf(have)
	at, ok := p.pickFrom(i, s.home, familyOf(have).other(), &held)
	if ok {
		p.claim(i, at)
		p.setAddrs(s, have, p.addrAt(at))
		s.want, s.fail = nothing, failure{}
		return true
	}
	if s.want == second {
		s.fail = failure{kind: failSecond}
		return false
	}
	s.lose(p.secondText(i).headline + p.secondText(i).detail)
	p.unclaim(i, held)
	p.cool(i, held)
	s.addrs, s.kept, s.home, s.want = nil, 0, none, addresses
	p.released = true
	return p.assign(i)
}
