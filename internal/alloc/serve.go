// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package alloc

import "net/netip"

// serveAll gives the Services that want something what is left, oldest first. Now and then a
// Service that is served gives others a chance: it gives up the one address it has because it
// cannot be completed, or is back on an address held back for it, which others can share.
// Then those who got nothing try again, or else the next Plan would serve them and this one
// were not stable.
func (p *planner) serveAll() {
	var queue []int32
	for i := range p.svcs {
		s := &p.svcs[i]
		if s.want == nothing {
			continue
		}
		queue = append(queue, int32(i))
		if !s.asks {
			p.ownTier(s)
		}
	}
	p.byAge(queue)
	for {
		p.again = false
		failed := queue[:0]
		for _, i := range queue {
			if !p.serve(i) {
				failed = append(failed, i)
			}
		}
		if !p.again || len(failed) == 0 {
			return
		}
		queue = failed
	}
}

// serve says whether the Service got all that it wants.
func (p *planner) serve(i int32) bool {
	if p.svcs[i].want == addresses {
		return p.assign(i)
	}
	return p.serveSecond(i)
}

// assign finds addresses for a Service that has none.
func (p *planner) assign(i int32) bool {
	s := &p.svcs[i]
	if s.asks {
		if len(s.RequestedAddrs) > 0 {
			return p.assignRequested(i)
		}
		return p.assignFromPool(i)
	}
	home, at, ok := p.search(i)
	if !ok {
		s.fail = failure{kind: failAny}
		return false
	}
	return p.grant(i, home, at)
}

func (p *planner) assignFromPool(i int32) bool {
	s := &p.svcs[i]
	home := p.named(s.RequestedPool)
	if !p.allows(home, s) {
		s.fail = failure{kind: failPool, pool: home}
		return false
	}
	at, ok := p.fromPool(i, home)
	if !ok {
		s.fail = failure{kind: failPool, pool: home}
		return false
	}
	return p.grant(i, home, at)
}

func (p *planner) assignRequested(i int32) bool {
	s := &p.svcs[i]
	at, home, refused := p.checkRequested(i)
	if refused {
		s.fail = failure{kind: failRequested}
		return false
	}
	return p.grant(i, home, at)
}

// grant writes down what a Service gets, and says whether that is all it wants.
func (p *planner) grant(i, home int32, at picks) bool {
	s := &p.svcs[i]
	var addrs [2]netip.Addr
	for n, a := range at.list() {
		p.claim(i, a)
		addrs[n] = p.addrAt(a)
	}
	s.home, s.want, s.fail = home, nothing, failure{}
	p.setAddrs(s, addrs[:at.n]...)
	if s.dual && at.n == 1 {
		s.want, s.fail = second, failure{kind: failSecond}
		return false
	}
	return true
}

// picks are the one or two addresses found for a Service.
type picks struct {
	at [2]place
	n  int
}

func (x *picks) list() []place { return x.at[:x.n] }

// pick finds the address of a family that a pool gives to a Service: one kept for it, else the
// lowest that is free or that it may share. Without room in the quota, only an address that
// its namespace has already will do.
func (p *planner) pick(i, pool int32, f family, room bool) (place, bool) {
	if p.list[pool].Closed {
		return place{}, false
	}
	if at, ok := p.reservedFor(i, pool, f, room); ok {
		return at, true
	}
	limit := p.end()
	if p.svcs[i].group != none && p.list[pool].PreferColocate {
		if at, ok := p.lowestShared(i, pool, f, room, limit); ok {
			return at, true
		}
	}
	if room {
		if at, ok := p.lowestFree(pool, f); ok {
			limit = at
		}
		limit = p.lowestCooling(i, pool, f, limit)
	}
	if at, ok := p.lowestShared(i, pool, f, room, limit); ok {
		return at, true
	}
	return limit, int(limit.span) < len(p.spans)
}

// end is the place behind all others.
func (p *pools) end() place { return place{span: int32(len(p.spans))} }

// room says whether the quota of a pool lets the Service have one more address there, beside
// the one that it gets as well.
func (p *planner) room(i, pool int32, with *place) bool {
	if !p.quotas.limits(pool) {
		return true
	}
	ns, spoken := p.svcs[i].Key.Namespace, 0
	if with != nil && p.poolAt(*with) == pool {
		if u := p.find(*with); u == nil || !p.namespaceOn(u, ns) {
			spoken = 1
		}
	}
	return p.quotas.room(pool, ns, spoken)
}

// lowestFree returns the first address of a family in a pool that nobody has.
func (p *planner) lowestFree(pool int32, f family) (place, bool) {
	q := &p.list[pool]
	for q.cursor[f] < len(q.spans[f]) {
		n := q.spans[f][q.cursor[f]]
		if p.advance(n) {
			return place{n, p.spans[n].next}, true
		}
		q.cursor[f]++
	}
	return place{}, false
}

// advance moves a span to its first free address and says whether there is one.
func (p *planner) advance(n int32) bool {
	s := &p.spans[n]
	for !s.full {
		switch {
		case s.family == v6 && s.next.hi == 0 && s.next.lo>>32 == 0xffff:
			s.next.lo = 0xffff_ffff_ffff // IPv4-mapped addresses are nobody's
			s.full = s.next.compare(s.last) >= 0
		case s.avoidBuggy && s.family == v4 && (s.next.lo&0xff == 0 || s.next.lo&0xff == 0xff):
		default:
			if u := p.find(place{n, s.next}); u == nil || u.user == none && len(u.holds()) == 0 {
				return true
			}
		}
		s.full = s.full || s.next == s.last
		if !s.full {
			s.next = s.next.next()
		}
	}
	return false
}

// rewind makes an address that was given back visible to advance.
func (p *planner) rewind(at place) {
	s := &p.spans[at.span]
	if at.key.compare(s.next) <= 0 {
		s.next = at.key
	}
	s.full = p.list[s.pool].Closed
	p.list[s.pool].cursor[s.family] = 0
}

// checkRequested looks up the addresses that a Service asks for and says whether it is refused
// them; refusal says why.
func (p *planner) checkRequested(i int32) (at picks, home int32, refused bool) {
	s := &p.svcs[i]
	if !s.matchesFamilies() {
		return picks{}, none, true
	}
	for _, a := range s.RequestedAddrs {
		x, inPool := p.placeOf(a)
		if !inPool {
			return picks{}, none, true
		}
		at.at[at.n] = x
		at.n++
	}
	if home = p.homeOf(s, s.RequestedPool, at.list()...); home == none {
		return picks{}, none, true
	}
	var with *place
	for n, a := range at.list() {
		if !p.allows(p.poolAt(a), s) || p.refusal(i, a, p.room(i, p.poolAt(a), with)) != open {
			return picks{}, none, true
		}
		with = &at.at[n]
	}
	return at, home, false
}

// matchesFamilies says whether the requested addresses are one for each family of the Service.
func (s *svc) matchesFamilies() bool {
	if len(s.RequestedAddrs) != len(s.Families) {
		return false
	}
	for n, a := range s.RequestedAddrs {
		if !s.has(familyOf(a)) || n > 0 && familyOf(a) == familyOf(s.RequestedAddrs[0]) {
			return false
		}
	}
	return true
}

// refused is why one address cannot be given to a Service.
type refused uint8

const (
	open refused = iota
	isTaken
	isKept
	isClosed
	overQuota
)

// refusal says whether a Service may have an address. room is what its quota says.
func (p *planner) refusal(i int32, at place, room bool) refused {
	u := p.find(at)
	switch {
	case p.list[p.poolAt(at)].Closed:
		return isClosed
	case u != nil && p.clashOn(u, i) != noClash:
		return isTaken
	case u != nil && u.user == none && p.keptFromOthers(i, u):
		return isKept
	case !room && (u == nil || !p.namespaceOn(u, p.svcs[i].Key.Namespace)):
		return overQuota
	}
	return open
}
