// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package alloc

import (
	"cmp"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/lb"
)

// reference is the dumb allocator: the rules as one would tell them, every address looked at
// every time, Services always in order of age.
type reference struct {
	pools   []lb.Pool // by name
	svcs    []*refSvc // by age
	holders map[netip.Addr][]*refSvc
	held    []lb.Reservation
	now     time.Time
}

type refSvc struct {
	*lb.Service
	addrs    []netip.Addr
	kept     int
	home     *lb.Pool
	hopeless bool
	done     bool
}

func newReference(in Input) *reference {
	r := &reference{pools: slices.Clone(in.Pools), holders: map[netip.Addr][]*refSvc{}, now: in.Now}
	slices.SortFunc(r.pools, func(a, b lb.Pool) int { return cmp.Compare(a.Name, b.Name) })
	for n := range in.Services {
		r.svcs = append(r.svcs, &refSvc{Service: &in.Services[n]})
	}
	slices.SortFunc(r.svcs, func(a, b *refSvc) int {
		return cmp.Or(a.Created.Compare(b.Created), a.Key.Compare(b.Key))
	})
	for _, s := range r.svcs {
		r.settle(s)
	}
	r.holdBack(in)
	for again := true; again; {
		again = false
		for _, s := range r.svcs {
			if !s.done && !s.hopeless {
				again = r.serve(s) || again
			}
		}
	}
	return r
}

func (r *reference) poolOf(a netip.Addr) *lb.Pool {
	for n := range r.pools {
		if r.pools[n].Contains(a) {
			return &r.pools[n]
		}
	}
	return nil
}

func (r *reference) named(name string) *lb.Pool {
	for n := range r.pools {
		if r.pools[n].Name == name {
			return &r.pools[n]
		}
	}
	return nil
}

func (s *refSvc) dual() bool { return len(s.Families) == 2 }

func (r *reference) canShare(s *refSvc, a netip.Addr) bool {
	for _, other := range r.holders[a] {
		if other != s && !mayShare(s.Service, other.Service) {
			return false
		}
	}
	return true
}

// mates says whether pools p and q can serve a Service whose home is p.
func mates(s *refSvc, p, q *lb.Pool) bool {
	return p == q || s.dual() && p.DualStackPartner == q.Name
}

// homeOf returns the home of addresses, if they have one.
func (r *reference) homeOf(s *refSvc, addrs []netip.Addr) *lb.Pool {
	names := []string{s.RequestedPool}
	if s.RequestedPool == "" {
		names = []string{s.AssignedPool}
		for _, a := range addrs {
			names = append(names, r.poolOf(a).Name)
		}
	}
	for _, name := range names {
		home := r.named(name)
		if home == nil || !home.Allows(s.Service) {
			continue
		}
		all, inside := true, false
		for _, a := range addrs {
			all = all && mates(s, home, r.poolOf(a))
			inside = inside || r.poolOf(a) == home
		}
		if all && (inside || len(addrs) == 1 && !home.Closed) {
			return home
		}
	}
	return nil
}

func (r *reference) settle(s *refSvc) {
	s.hopeless = len(r.pools) == 0 || len(s.Families) == 0 || s.Policy == lb.RequireDualStack && !s.dual()
	if s.hopeless {
		return
	}
	s.hopeless = s.RequestProblem != ""
	if a := s.Assigned; s.AssignedUnreadable || len(a) > 2 || len(a) == 2 && a[0].Is4() == a[1].Is4() {
		return
	}
	var good []netip.Addr
	for _, a := range s.Assigned {
		p := r.poolOf(a)
		if p != nil && p.Allows(s.Service) && slices.Contains(s.Families, lb.FamilyOf(a)) && r.canShare(s, a) {
			good = append(good, a)
		}
	}
	for _, kept := range subsets(good) {
		if home := r.homeOf(s, kept); home != nil {
			s.addrs, s.home = kept, home
			break
		}
	}
	asked := len(s.RequestedAddrs) > 0 && s.RequestProblem == ""
	if asked && (len(s.addrs) != len(s.RequestedAddrs) || slices.ContainsFunc(s.addrs, func(a netip.Addr) bool { return !slices.Contains(s.RequestedAddrs, a) })) ||
		asked && len(s.addrs) < len(s.Families) && s.Policy != lb.PreferDualStack {
		s.addrs = nil
	}
	if len(s.addrs) == 0 {
		s.home = nil
	}
	s.kept = len(s.addrs)
	s.done = len(s.addrs) > 0 && (asked || len(s.addrs) == len(s.Families))
	for _, a := range s.addrs {
		r.holders[a] = append(r.holders[a], s)
	}
}

func subsets(a []netip.Addr) [][]netip.Addr {
	switch len(a) {
	case 0:
		return nil
	case 1:
		return [][]netip.Addr{a}
	}
	return [][]netip.Addr{a, a[:1:1], a[1:]}
}

func (r *reference) holdBack(in Input) {
	stored := slices.Clone(in.Reserved)
	slices.SortFunc(stored, func(a, b lb.Reservation) int { // the first of equals counts
		return cmp.Or(b.Until.Compare(a.Until), compareBool(a.Cooldown, b.Cooldown))
	})
	for _, h := range stored {
		p := r.poolOf(h.Addr)
		if p == nil {
			continue
		}
		if !h.Cooldown && !h.Until.After(r.now) {
			h.Until, h.Cooldown = h.Until.Add(p.CooldownTime), true
		}
		if h.Until.After(r.now) && (h.Cooldown && p.CooldownTime > 0 || !h.Cooldown && p.ReservationTime > 0) {
			r.hold(h)
		}
	}
	for _, o := range in.Last {
		n := slices.IndexFunc(r.svcs, func(s *refSvc) bool { return s.Key == o.Service })
		for _, a := range o.Addrs {
			if n < 0 || !slices.Contains(r.svcs[n].addrs, a) {
				r.free(o.Service, a, n < 0 || len(r.svcs[n].Assigned) == 0)
			}
		}
	}
	for _, s := range r.svcs {
		for _, a := range s.Assigned {
			if !slices.Contains(s.addrs, a) {
				r.free(s.Key, a, false)
			}
		}
	}
}

func (r *reference) free(k lb.Key, a netip.Addr, gone bool) {
	p := r.poolOf(a)
	switch {
	case p == nil:
	case gone && p.ReservationTime > 0:
		r.hold(lb.Reservation{Addr: a, Service: k, Until: r.now.Add(p.ReservationTime)})
	case p.CooldownTime > 0 && len(r.holders[a]) == 0:
		r.hold(lb.Reservation{Addr: a, Service: k, Until: r.now.Add(p.CooldownTime), Cooldown: true})
	}
}

func (r *reference) hold(h lb.Reservation) {
	if !slices.ContainsFunc(r.held, func(o lb.Reservation) bool { return o.Addr == h.Addr && o.Service == h.Service }) {
		r.held = append(r.held, h)
	}
}

// remaining are the reservations that still mean something.
func (r *reference) remaining() []lb.Reservation {
	var out []lb.Reservation
	for _, h := range r.held {
		if h.Cooldown && len(r.holders[h.Addr]) > 0 ||
			slices.ContainsFunc(r.holders[h.Addr], func(s *refSvc) bool { return s.Key == h.Service }) {
			continue
		}
		out = append(out, h)
	}
	slices.SortFunc(out, func(a, b lb.Reservation) int {
		return cmp.Or(a.Addr.Compare(b.Addr), a.Service.Compare(b.Service))
	})
	return out
}

func TestPlanAgreesWithTheReference(t *testing.T) {
	eachWorld(t, worlds, func(t *testing.T, _ *gen, in Input) {
		got, want := Plan(in), newReference(in)
		for _, s := range want.svcs {
			o, _ := got.Outcome(s.Key)
			home := ""
			if s.home != nil {
				home = s.home.Name
			}
			if !slices.Equal(o.Addrs, s.addrs) || o.Pool != home || o.Kept != s.kept {
				t.Errorf("%v gets %v (%d kept) from %q, the reference says %v (%d kept) from %q",
					s.Key, o.Addrs, o.Kept, o.Pool, s.addrs, s.kept, home)
			}
			if changed := !slices.Equal(s.addrs, s.Assigned) || home != s.AssignedPool || s.AssignedUnreadable; changed != o.Changed {
				t.Errorf("%v: Changed is %v", s.Key, o.Changed)
			}
		}
		if !slices.Equal(got.Reserved, want.remaining()) {
			t.Errorf("held back %v, the reference says %v", got.Reserved, want.remaining())
		}
		for n, p := range want.pools {
			if u := want.usage(&p); got.Usage[n] != u {
				t.Errorf("usage %+v, the reference says %+v", got.Usage[n], u)
			}
		}
	})
}

func (r *reference) usage(p *lb.Pool) Usage {
	u := Usage{Pool: p.Name}
	for _, a := range members(*p) {
		if !p.Contains(a) {
			continue
		}
		assigned, available := &u.AssignedIPv4, &u.AvailableIPv4
		if !a.Is4() {
			assigned, available = &u.AssignedIPv6, &u.AvailableIPv6
		}
		kept := slices.ContainsFunc(r.held, func(h lb.Reservation) bool { return h.Addr == a })
		switch {
		case len(r.holders[a]) > 0:
			*assigned++
		case kept:
			u.Reserved++
		case !p.Closed:
			*available++
		}
	}
	for _, s := range r.svcs {
		if slices.ContainsFunc(s.addrs, p.Contains) {
			u.Services++
		}
	}
	return u
}
