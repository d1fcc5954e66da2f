// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package alloc

import (
	"cmp"
	"math"
	"net/netip"
	"slices"

	"github.com/clarion-lb/clarion/internal/lb"
)

// serve does what the reference can for a Service, and says whether others that got nothing
// should try again.
func (r *reference) serve(s *refSvc) (again bool) {
	if len(s.addrs) == 1 {
		have := s.addrs[0]
		if a, ok := r.second(s, have); ok {
			r.give(s, s.home, have, a)
			return false
		}
		if s.Policy == lb.PreferDualStack {
			return false
		}
		r.holders[have] = slices.DeleteFunc(r.holders[have], func(o *refSvc) bool { return o == s })
		s.addrs, s.kept, s.home = nil, 0, nil
		r.free(s.Key, have, false)
		again = true
	}
	home, addrs := r.find(s)
	if home == nil {
		return again
	}
	for _, a := range addrs {
		again = again || len(r.holders[a]) == 0 && slices.ContainsFunc(r.held, func(h lb.Reservation) bool { return h.Addr == a })
	}
	r.give(s, home, addrs...)
	return again
}

func (r *reference) give(s *refSvc, home *lb.Pool, addrs ...netip.Addr) {
	for _, a := range addrs {
		if !slices.Contains(r.holders[a], s) {
			r.holders[a] = append(r.holders[a], s)
		}
	}
	s.addrs, s.home = addrs, home
	s.done = len(addrs) == len(s.Families)
}

func (r *reference) second(s *refSvc, have netip.Addr) (netip.Addr, bool) {
	missing := lb.IPv4
	if have.Is4() {
		missing = lb.IPv6
	}
	if a, ok := r.first(s, s.home, missing, true, have); ok {
		return a, true
	}
	if partner := r.partner(s, s.home); partner != nil && r.poolOf(have) == s.home {
		return r.first(s, partner, missing, true, have)
	}
	return netip.Addr{}, false
}

func (r *reference) partner(s *refSvc, home *lb.Pool) *lb.Pool {
	partner := r.named(home.DualStackPartner)
	if !s.dual() || partner == nil || partner == home || !partner.Allows(s.Service) {
		return nil
	}
	return partner
}

// inNamespace says whether a Service of the namespace has the address.
func (r *reference) inNamespace(ns string, a netip.Addr) bool {
	return slices.ContainsFunc(r.holders[a], func(o *refSvc) bool { return o.Key.Namespace == ns })
}

// room says whether the quota of the pool allows another address beside those it gets as well.
func (r *reference) room(s *refSvc, p *lb.Pool, with ...netip.Addr) bool {
	limit, count := math.MaxInt, 0
	for _, q := range p.Quotas {
		if q.Covers(s.Key.Namespace) {
			limit = min(limit, q.Max)
		}
	}
	for _, a := range members(*p) {
		if r.inNamespace(s.Key.Namespace, a) || slices.Contains(with, a) {
			count++
		}
	}
	return count < limit
}

// mayHave says whether a Service may have an address of a pool.
func (r *reference) mayHave(s *refSvc, p *lb.Pool, a netip.Addr, room bool) bool {
	mine, others := false, false
	for _, h := range r.held {
		if h.Addr == a {
			mine = mine || h.Service == s.Key
			others = others || h.Service != s.Key
		}
	}
	kept := others && !mine && len(r.holders[a]) == 0
	return !p.Closed && p.Contains(a) && r.canShare(s, a) && !kept && (room || r.inNamespace(s.Key.Namespace, a))
}

// first returns the address of a family that a pool gives to a Service: what is reserved for
// it, what it can share if the pool prefers that, the first that it may have.
func (r *reference) first(s *refSvc, p *lb.Pool, f lb.Family, roomy bool, with ...netip.Addr) (netip.Addr, bool) {
	room := roomy && r.room(s, p, with...)
	var all []netip.Addr
	for _, a := range members(*p) {
		if lb.FamilyOf(a) == f && r.mayHave(s, p, a, room) {
			all = append(all, a)
		}
	}
	reserved := func(a netip.Addr) bool {
		return slices.ContainsFunc(r.held, func(h lb.Reservation) bool { return h.Addr == a && h.Service == s.Key && !h.Cooldown })
	}
	shared := func(a netip.Addr) bool { return len(r.holders[a]) > 0 }
	if n := slices.IndexFunc(all, reserved); n >= 0 {
		return all[n], true
	}
	if n := slices.IndexFunc(all, shared); n >= 0 && p.PreferColocate {
		return all[n], true
	}
	if len(all) == 0 {
		return netip.Addr{}, false
	}
	return all[0], true
}

func other(f lb.Family) lb.Family { return lb.IPv4 + lb.IPv6 - f }

// pair returns an address of each family.
func (r *reference) pair(s *refSvc, home *lb.Pool) []netip.Addr {
	combinations := [][2]*lb.Pool{{home, home}}
	if partner := r.partner(s, home); partner != nil {
		combinations = append(combinations, [2]*lb.Pool{home, partner}, [2]*lb.Pool{partner, home})
	}
	for _, c := range combinations {
		for _, roomy := range []bool{true, false} {
			a, ok := r.first(s, c[0], s.Families[0], roomy)
			if !ok {
				continue
			}
			if b, ok := r.first(s, c[1], other(s.Families[0]), true, a); ok {
				return []netip.Addr{a, b}
			}
		}
	}
	return nil
}

func (r *reference) fromPool(s *refSvc, home *lb.Pool) []netip.Addr {
	if s.dual() {
		if at := r.pair(s, home); at != nil || s.Policy != lb.PreferDualStack {
			return at
		}
	}
	return r.single(s, home)
}

func (r *reference) single(s *refSvc, home *lb.Pool) []netip.Addr {
	if a, ok := r.first(s, home, s.Families[0], true); ok {
		return []netip.Addr{a}
	}
	return nil
}

func (r *reference) find(s *refSvc) (*lb.Pool, []netip.Addr) {
	if len(s.RequestedAddrs) > 0 {
		return r.findRequested(s)
	}
	if s.RequestedPool != "" {
		p := r.named(s.RequestedPool)
		if p == nil || !p.Allows(s.Service) {
			return nil, nil
		}
		if at := r.fromPool(s, p); at != nil {
			return p, at
		}
		return nil, nil
	}
	return r.search(s)
}

func (r *reference) findRequested(s *refSvc) (*lb.Pool, []netip.Addr) {
	want := s.RequestedAddrs
	if len(want) != len(s.Families) || len(want) == 2 && want[0].Is4() == want[1].Is4() {
		return nil, nil
	}
	for n, a := range want {
		p := r.poolOf(a)
		if p == nil || !slices.Contains(s.Families, lb.FamilyOf(a)) || !p.Allows(s.Service) ||
			!r.mayHave(s, p, a, r.room(s, p, want[:n]...)) {
			return nil, nil
		}
	}
	if home := r.homeOf(s, want); home != nil {
		return home, slices.Clone(want)
	}
	return nil, nil
}

func (r *reference) search(s *refSvc) (*lb.Pool, []netip.Addr) {
	for _, h := range r.inPoolOrder(s) {
		p := r.poolOf(h)
		if p.AutoAssign && p.Allows(s.Service) && slices.Contains(s.Families, lb.FamilyOf(h)) {
			if at := r.fromPool(s, p); slices.Contains(at, h) {
				return p, at
			}
		}
	}
	tiers := r.tiers(s)
	for _, p := range slices.Concat(tiers[0], tiers[1]) {
		joins := func(a netip.Addr) bool {
			return lb.FamilyOf(a) == s.Families[0] && len(r.holders[a]) > 0 && r.mayHave(s, p, a, r.room(s, p))
		}
		if p.PreferColocate && slices.ContainsFunc(members(*p), joins) {
			if at := r.fromPool(s, p); at != nil {
				return p, at
			}
		}
	}
	for _, tier := range tiers {
		for _, p := range tier {
			if at := r.pair(s, p); s.dual() && at != nil {
				return p, at
			}
		}
		if s.dual() && s.Policy != lb.PreferDualStack {
			continue
		}
		for _, p := range tier {
			if at := r.single(s, p); at != nil {
				return p, at
			}
		}
	}
	return nil, nil
}

// inPoolOrder lists the addresses reserved for a Service as the pools list them.
func (r *reference) inPoolOrder(s *refSvc) []netip.Addr {
	var out []netip.Addr
	for n := range r.pools {
		for _, a := range members(r.pools[n]) {
			if slices.ContainsFunc(r.held, func(h lb.Reservation) bool { return h.Addr == a && h.Service == s.Key && !h.Cooldown }) {
				out = append(out, a)
			}
		}
	}
	return out
}

func (r *reference) tiers(s *refSvc) [2][]*lb.Pool {
	var pinned, open []*lb.Pool
	for n := range r.pools {
		p := &r.pools[n]
		switch {
		case !p.AutoAssign || p.Closed:
		case p.Allocation == nil:
			open = append(open, p)
		case p.Allows(s.Service):
			pinned = append(pinned, p)
		}
	}
	last := func(n int) int {
		if n == 0 {
			return math.MaxInt
		}
		return n
	}
	slices.SortFunc(pinned, func(a, b *lb.Pool) int {
		return cmp.Or(cmp.Compare(last(a.Allocation.Priority), last(b.Allocation.Priority)), cmp.Compare(a.Name, b.Name))
	})
	return [2][]*lb.Pool{pinned, open}
}
