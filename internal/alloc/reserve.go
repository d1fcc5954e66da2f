// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package alloc

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/clarion-lb/clarion/internal/lb"
)

// hold is a reservation whose address is in a pool.
type hold struct {
	lb.Reservation
	at place
}

// holds is what is held back. A reservation keeps others away only as long as nobody is on
// the address: on an address in use, the rules of sharing decide.
type holds struct {
	list []hold
	own  map[int32][]int32 // by Service: what is held back for it
}

// holdBack finds out which addresses were freed and holds back what the pools say.
func (p *planner) holdBack() {
	timed := slices.ContainsFunc(p.list, func(q pool) bool { return q.ReservationTime > 0 || q.CooldownTime > 0 })
	if !timed {
		return
	}
	p.holds.own = make(map[int32][]int32)
	p.holdStored()
	next := int32(0) // Last has mostly the same Services, in the same order
	for n := range p.in.Last {
		o := &p.in.Last[n]
		i, exists := next, int(next) < len(p.svcs) && p.svcs[next].Key == o.Service
		if !exists {
			i, exists = p.service(o.Service)
		}
		if next = i; exists {
			next++
		}
		for _, a := range o.Addrs {
			if !exists || !slices.Contains(p.svcs[i].addrs, a) {
				// A Service with an empty status is one that was created again.
				p.free(o.Service, a, !exists || len(p.svcs[i].Assigned) == 0)
			}
		}
	}
	for i := range p.svcs {
		s := &p.svcs[i]
		if int(s.kept) == len(s.Assigned) {
			continue
		}
		for _, a := range s.Assigned {
			if !slices.Contains(s.addrs, a) {
				p.free(s.Key, a, false)
			}
		}
	}
	for _, own := range p.holds.own {
		slices.SortFunc(own, func(a, b int32) int { return p.holds.list[a].at.compare(p.holds.list[b].at) })
	}
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// holdStored takes over what was held back before and still is.
func (p *planner) holdStored() {
	stored := slices.Clone(p.in.Reserved)
	slices.SortFunc(stored, func(a, b lb.Reservation) int {
		return cmp.Or(a.Addr.Compare(b.Addr), a.Service.Compare(b.Service), b.Until.Compare(a.Until),
			compareBool(a.Cooldown, b.Cooldown))
	})
	for _, r := range stored {
		at, inPool := p.placeOf(r.Addr)
		if !inPool {
			continue
		}
		q := &p.list[p.poolAt(at)]
		if !r.Cooldown && !r.Until.After(p.in.Now) {
			r.Cooldown, r.Until = true, r.Until.Add(q.CooldownTime) // which begins when a reservation ends
		}
		if r.Until.After(p.in.Now) && (r.Cooldown && q.CooldownTime > 0 || !r.Cooldown && q.ReservationTime > 0) {
			p.hold(at, r)
		}
	}
}

func (p *planner) service(k lb.Key) (int32, bool) {
	i, found := slices.BinarySearchFunc(p.svcs, k, func(s svc, k lb.Key) int { return s.Key.Compare(k) })
	return int32(i), found
}

// free holds back an address that a Service no longer has; gone says that the Service is not
// there any more.
func (p *planner) free(k lb.Key, a netip.Addr, gone bool) {
	at, inPool := p.placeOf(a)
	if !inPool {
		return
	}
	q := &p.list[p.poolAt(at)]
	r := lb.Reservation{Addr: a, Service: k, Cooldown: true}
	wait := q.CooldownTime
	if gone && q.ReservationTime > 0 {
		r.Cooldown, wait = false, q.ReservationTime
	}
	if u := p.find(at); wait <= 0 || r.Cooldown && u != nil && u.user != none {
		return
	}
	r.Until = p.in.Now.Add(wait)
	p.hold(at, r)
}

// cool starts the cooldown of an address that a Service gives up while others are served.
func (p *planner) cool(i int32, at place) {
	if p.list[p.poolAt(at)].CooldownTime > 0 {
		p.free(p.svcs[i].Key, p.addrAt(at), false)
	}
}

// hold adds a reservation unless there is one already: the first says since when it runs.
func (p *planner) hold(at place, r lb.Reservation) {
	x := p.entry(at).detail()
	for _, n := range x.holds {
		if p.holds.list[n].Service == r.Service {
			return
		}
	}
	n := int32(len(p.holds.list))
	p.holds.list = append(p.holds.list, hold{r, at})
	x.holds = append(x.holds, n)
	if i, exists := p.service(r.Service); exists {
		p.holds.own[i] = append(p.holds.own[i], n)
	}
}

// keptFromOthers says whether an address is held back, and not for this Service.
func (p *planner) keptFromOthers(i int32, u *use) bool {
	for _, n := range u.holds() {
		if p.holds.list[n].Service == p.svcs[i].Key {
			return false
		}
	}
	return len(u.holds()) > 0
}

// holderOf returns the first by key of those for whom an address is held back.
func (p *planner) holderOf(u *use) *hold {
	first := &p.holds.list[u.holds()[0]]
	for _, n := range u.holds()[1:] {
		if h := &p.holds.list[n]; h.Service.Compare(first.Service) < 0 {
			first = h
		}
	}
	return first
}

// reservedFor returns the address in a pool that is reserved for the Service and that it may
// have.
func (p *planner) reservedFor(i, pool int32, f family, room bool) (place, bool) {
	return p.lowestOwn(i, pool, f, room, false)
}

// lowestCooling returns limit or an address before it that cools down since the Service had it.
func (p *planner) lowestCooling(i, pool int32, f family, limit place) place {
	if at, ok := p.lowestOwn(i, pool, f, true, true); ok && at.compare(limit) < 0 {
		return at
	}
	return limit
}

func (p *planner) lowestOwn(i, pool int32, f family, room, cooldown bool) (place, bool) {
	var best place
	found := false
	for _, n := range p.holds.own[i] {
		h := &p.holds.list[n]
		if h.Cooldown != cooldown || p.poolAt(h.at) != pool || p.familyAt(h.at) != f {
			continue
		}
		if p.refusal(i, h.at, room) == open && (!found || h.at.compare(best) < 0) {
			best, found = h.at, true
		}
	}
	return best, found
}

// searchReserved gives a Service that is back the addresses that were kept for it, if their
// pool would still serve it.
func (p *planner) searchReserved(i int32) (int32, picks, bool) {
	s := &p.svcs[i]
	for _, n := range p.holds.own[i] {
		h := &p.holds.list[n]
		home := p.poolAt(h.at)
		if h.Cooldown || !p.list[home].AutoAssign || !p.allows(home, s) || !s.has(p.familyAt(h.at)) {
			continue
		}
		at, ok := p.fromPool(i, home)
		if ok && slices.Contains(at.list(), h.at) {
			return home, at, true
		}
	}
	return none, picks{}, false
}

// remaining returns what is still held back and when the first of it ends.
func (p *planner) remaining() ([]lb.Reservation, time.Time) {
	var out []lb.Reservation
	var next time.Time
	for n := range p.holds.list {
		h := &p.holds.list[n]
		u := p.find(h.at)
		i, exists := p.service(h.Service)
		if exists && p.holdsAt(u, i) || h.Cooldown && u.user != none {
			continue
		}
		if u.user == none && u.holds()[0] == int32(n) {
			p.list[p.poolAt(h.at)].held[p.familyAt(h.at)]++
		}
		out = append(out, h.Reservation)
		if next.IsZero() || h.Until.Before(next) {
			next = h.Until
		}
	}
	slices.SortFunc(out, func(a, b lb.Reservation) int {
		return cmp.Or(a.Addr.Compare(b.Addr), a.Service.Compare(b.Service))
	})
	return out, next
}
