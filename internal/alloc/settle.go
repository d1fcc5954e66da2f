// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package alloc

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// had is an address that a Service has by its status.
type had struct {
	addr netip.Addr
	at   place
}

// settleAll keeps of what the Services have all that is allowed. Of Services that may not be
// together on an address, the oldest stays.
func (p *planner) settleAll() {
	var contested []int32
	for i := range p.svcs {
		var buf [2]had
		own := p.allowed(&p.svcs[i], buf[:0])
		for _, h := range own {
			u := p.entry(h.at)
			if u.user != none {
				contested = append(contested, u.user, int32(i))
			}
			p.join(u, int32(i))
		}
		if kept := p.decide(int32(i), own); len(kept) < len(own) {
			// Looking at it again below drops what it does not keep.
			contested = append(contested, int32(i))
		}
	}
	p.resettle(contested)
	p.tally()
}

// resettle decides again about Services that meet others on an address. Nobody else is on
// the addresses of these, so that the result is the same as if all had come in order of age.
func (p *planner) resettle(list []int32) {
	slices.Sort(list)
	list = slices.Compact(list)
	p.byAge(list)
	for _, i := range list {
		s := &p.svcs[i]
		s.cleared = ""
		var buf [2]had
		for _, h := range p.allowed(s, buf[:0]) {
			if u := p.entry(h.at); p.holdsAt(u, i) {
				p.leave(u, i)
			}
		}
	}
	for _, i := range list {
		s := &p.svcs[i]
		s.cleared = ""
		var buf [2]had
		own := slices.DeleteFunc(p.allowed(s, buf[:0]), func(h had) bool {
			u := p.entry(h.at)
			if p.clashOn(u, i) == noClash {
				return false
			}
			s.lose(p.clashText(u, i).message)
			return true
		})
		for _, h := range p.decide(i, own) {
			p.join(p.entry(h.at), i)
		}
	}
}

// lose notes why an address is taken away.
func (s *svc) lose(why string) {
	switch {
	case s.cleared == "":
		s.cleared = why
	case s.cleared != why:
		s.cleared += "; " + why
	}
}

// allowed returns those addresses of the status that the Service may have, as far as others
// do not matter.
func (p *planner) allowed(s *svc, out []had) []had {
	a := s.Assigned
	if s.fail = p.hopeless(s); s.fail.kind != noFailure && s.fail.kind != failRequest {
		if len(a) > 0 || s.AssignedUnreadable {
			s.lose(p.hopelessText(s).headline())
		}
		return out
	}
	if s.AssignedUnreadable || len(a) > 2 || len(a) == 2 && familyOf(a[0]) == familyOf(a[1]) {
		s.lose("the status lists " + quoteAddrs(a) + ", which is neither one address nor one of each family")
		return out
	}
	for _, addr := range a {
		at, inPool := p.placeOf(addr)
		switch {
		case !s.has(familyOf(addr)):
			s.lose("the Service has no " + familyOf(addr).String() + " cluster IP for " + quoteAddrs([]netip.Addr{addr}))
		case !inPool:
			s.lose(quoteAddrs([]netip.Addr{addr}) + " is not allowed in config")
		case !p.allows(p.poolAt(at), s):
			s.lose("pool " + p.list[p.poolAt(at)].Name + " not compatible for ip assignment")
		default:
			out = append(out, had{addr, at})
		}
	}
	return out
}

// has says whether traffic of the family can be forwarded to the Service.
func (s *svc) has(f family) bool { return s.dual || len(s.Families) == 1 && s.primary == f }

// decide keeps as many of the addresses as fit together with each other and with what the
// Service asks for, and notes what it still wants.
func (p *planner) decide(i int32, own []had) []had {
	s := &p.svcs[i]
	kept, home := p.together(s, own)
	if len(kept) < len(own) {
		s.lose(p.apartText(s, own, len(kept)))
	}
	if len(kept) > 0 && s.fail.kind == noFailure && !s.asksFor(kept) {
		s.lose("the Service asks for " + quoteAddrs(s.RequestedAddrs))
		kept, home = nil, none
	}
	s.home, s.kept = home, uint8(len(kept))
	s.addrs = sublist(s.Assigned, kept)
	s.want = nothing
	switch {
	case s.fail.kind != noFailure:
	case len(kept) == 0:
		s.want = addresses
	case len(kept) == len(s.Families):
	case len(s.RequestedAddrs) > 0:
		if !s.prefer {
			s.lose("the Service needs an address of each family")
			s.home, s.kept, s.addrs, s.want = none, 0, nil, addresses
			return nil
		}
	case s.prefer:
		s.want = second
	default:
		s.want = both
	}
	return kept
}

// together returns the addresses that come from one pool, or one pool and its partner, which
// must be the one that the Service asks for. If not all do, the first of them that does stays.
func (p *planner) together(s *svc, own []had) ([]had, int32) {
	if len(own) == 0 {
		return nil, none
	}
	if len(own) == 2 {
		if home := p.homeOf(s, s.RequestedPool, own[0].at, own[1].at); home != none {
			return own, home
		}
	}
	for n := range own {
		if home := p.homeOf(s, s.RequestedPool, own[n].at); home != none {
			return own[n : n+1], home
		}
	}
	return nil, none
}

// apartText says why decide keeps only some of the addresses.
func (p *planner) apartText(s *svc, own []had, kept int) string {
	if kept == 0 && s.RequestedPool != "" {
		return "the Service asks for pool " + strconv.Quote(s.RequestedPool)
	}
	var names []string
	for _, h := range own {
		names = append(names, p.list[p.poolAt(h.at)].Name)
	}
	return quoteAddrs(s.Assigned) + " is not allowed in config: pools " + strings.Join(names, " and ") +
		" are not one pool and its dual-stack partner"
}

// asksFor says whether addresses satisfy a request for addresses, if there is one.
func (s *svc) asksFor(kept []had) bool {
	if len(s.RequestedAddrs) == 0 {
		return true
	}
	if len(kept) != len(s.RequestedAddrs) {
		return false
	}
	for _, h := range kept {
		if !slices.Contains(s.RequestedAddrs, h.addr) {
			return false
		}
	}
	return true
}

// sublist returns the kept part of assigned, which is all, one or none, without copying.
func sublist(assigned []netip.Addr, kept []had) []netip.Addr {
	switch {
	case len(kept) == 0:
		return nil
	case len(kept) == len(assigned):
		return assigned
	}
	n := slices.Index(assigned, kept[0].addr)
	return assigned[n : n+1 : n+1]
}
