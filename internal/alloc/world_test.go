// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package alloc

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/lb"
)

var epoch = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

// eachWorld runs a test on many small random clusters. A failure names its seed.
func eachWorld(t *testing.T, n uint64, test func(t *testing.T, g *gen, in Input)) {
	t.Helper()
	for seed := range n {
		g := &gen{rand.New(rand.NewPCG(seed, 7))}
		in := g.world()
		if ok := t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { test(t, g, in) }); !ok {
			t.Fatalf("world %d:\n%s", seed, dump(in))
		}
	}
}

// gen makes worlds that are small enough for everything to collide.
type gen struct{ *rand.Rand }

func (g *gen) chance(percent int) bool { return g.IntN(100) < percent }

func pick[T any](g *gen, from ...T) T { return from[g.IntN(len(from))] }

var namespaces = []string{"blue", "green", "red"}

func (g *gen) world() Input {
	in := Input{Now: epoch}
	for n := range g.IntN(6) {
		in.Pools = append(in.Pools, g.pool(n))
	}
	for n := range g.IntN(16) {
		in.Services = append(in.Services, g.service(n, in.Pools))
	}
	timed := slices.ContainsFunc(in.Pools, func(p lb.Pool) bool { return p.ReservationTime+p.CooldownTime > 0 })
	if timed {
		g.past(&in)
	}
	return in
}

func (g *gen) pool(n int) lb.Pool {
	p := lb.Pool{
		Name: fmt.Sprintf("pool%d", n), AutoAssign: g.chance(85), AvoidBuggyIPs: g.chance(20),
		PreferColocate: g.chance(15),
	}
	p.Closed = g.chance(8)
	for r := range 1 + g.IntN(3) {
		p.Ranges = append(p.Ranges, g.span(n, r))
	}
	g.Shuffle(len(p.Ranges), func(a, b int) { p.Ranges[a], p.Ranges[b] = p.Ranges[b], p.Ranges[a] })
	if g.chance(35) {
		p.Allocation = g.allocation()
	}
	if g.chance(15) {
		p.Quotas = append(p.Quotas, lb.Quota{AnyNamespace: true, Max: g.IntN(4)})
	}
	if g.chance(15) {
		p.Quotas = append(p.Quotas, lb.Quota{Namespaces: g.someNamespaces(), Max: g.IntN(4)})
	}
	if g.chance(20) {
		p.DualStackPartner = fmt.Sprintf("pool%d", g.IntN(6))
	}
	if g.chance(12) {
		p.ReservationTime = time.Hour
	}
	if g.chance(12) {
		p.CooldownTime = time.Minute
	}
	return p
}

// span makes ranges that do not meet those of other n and r.
func (g *gen) span(n, r int) lb.Range {
	first := netip.AddrFrom4([4]byte{10, byte(n), byte(2 * r), byte(g.IntN(250))})
	switch {
	case g.chance(20):
		first = netip.AddrFrom4([4]byte{10, byte(n), byte(2 * r), 253})
	case g.chance(45):
		first = netip.MustParseAddr(fmt.Sprintf("fd00:%x:%x::%x", n, r, g.IntN(0x10000)))
	}
	last := first
	for range g.IntN(5) {
		last = last.Next()
	}
	return lb.Range{First: first, Last: last}
}

func (g *gen) someNamespaces() []string {
	var out []string
	for _, ns := range namespaces {
		if g.chance(50) {
			out = append(out, ns)
		}
	}
	return out
}

func (g *gen) allocation() *lb.Allocation {
	a := &lb.Allocation{Priority: g.IntN(4), AnyNamespace: g.chance(40)}
	if !a.AnyNamespace {
		a.Namespaces = g.someNamespaces()
	}
	if g.chance(40) {
		a.Services = lb.Selectors{{{Key: "app", Op: lb.In, Values: []string{pick(g, "web", "db")}}}}
	}
	return a
}

func (g *gen) service(n int, pools []lb.Pool) lb.Service {
	s := lb.Service{
		Key:     lb.Key{Namespace: pick(g, namespaces...), Name: fmt.Sprintf("svc%02d", n)},
		Created: epoch.Add(-time.Duration(g.IntN(8)) * time.Hour),
		Labels:  map[string]string{"app": pick(g, "web", "db", "other")},
		Ports:   g.ports(),
	}
	switch g.IntN(5) {
	case 0:
		s.Families = pick(g, []lb.Family{lb.IPv6}, nil)
		s.Policy = pick(g, lb.SingleStack, lb.RequireDualStack)
	case 1, 2:
		s.Families = pick(g, []lb.Family{lb.IPv4, lb.IPv6}, []lb.Family{lb.IPv6, lb.IPv4})
		s.Policy = pick(g, lb.PreferDualStack, lb.PreferDualStack, lb.RequireDualStack, lb.SingleStack)
	default:
		s.Families = []lb.Family{lb.IPv4}
		s.Policy = pick(g, lb.SingleStack, lb.SingleStack, lb.PreferDualStack)
	}
	if g.chance(50) {
		s.SharingKey = pick(g, "k", "k", "l")
		s.BackendKey = pick(g, "", "", "app=x")
	}
	if g.chance(8) {
		s.RequestProblem = "nonsense"
	}
	if g.chance(15) {
		s.RequestedPool = fmt.Sprintf("pool%d", g.IntN(6))
	}
	if g.chance(60) {
		s.Assigned = g.addrs(pools)
		s.AssignedPool = fmt.Sprintf("pool%d", g.IntN(6))
	}
	if g.chance(15) {
		s.RequestedAddrs = g.addrs(pools)
		if g.chance(50) {
			s.RequestedAddrs = slices.Clone(s.Assigned)
		}
	}
	s.AssignedUnreadable = g.chance(2)
	return s
}

func (g *gen) ports() []lb.Port {
	var out []lb.Port
	for _, p := range []lb.Port{{Protocol: "TCP", Number: 80}, {Protocol: "TCP", Number: 443}, {Protocol: "UDP", Number: 53}, {Protocol: "UDP", Number: 80}} {
		if g.chance(30) {
			out = append(out, p)
		}
	}
	if len(out) == 0 {
		out = append(out, lb.Port{Protocol: "TCP", Number: uint16(1 + g.IntN(1000))})
	}
	return out
}

// addrs draws one or two addresses, mostly of pools.
func (g *gen) addrs(pools []lb.Pool) []netip.Addr {
	var out []netip.Addr
	for range 1 + g.IntN(2) {
		if len(pools) == 0 || g.chance(5) {
			out = append(out, netip.AddrFrom4([4]byte{192, 0, 2, byte(g.IntN(4))}))
			continue
		}
		out = append(out, pick(g, members(pick(g, pools...))...))
	}
	return out
}

// members lists all addresses in the ranges of a pool, in order.
func members(p lb.Pool) []netip.Addr {
	var out []netip.Addr
	for _, r := range p.Ranges {
		for a := r.First; r.Contains(a); a = a.Next() {
			out = append(out, a)
		}
	}
	return out
}

// past invents what was before: reservations, and Services that had addresses.
func (g *gen) past(in *Input) {
	key := func() lb.Key {
		if len(in.Services) > 0 && g.chance(50) {
			return pick(g, in.Services...).Key
		}
		return lb.Key{Namespace: "red", Name: fmt.Sprintf("gone%d", g.IntN(3))}
	}
	for range g.IntN(6) {
		addr := g.addrs(in.Pools)[0]
		in.Reserved = append(in.Reserved, lb.Reservation{
			Addr: addr, Service: key(), Cooldown: g.chance(40),
			Until: epoch.Add(time.Duration(g.IntN(5)-2) * 20 * time.Second),
		})
	}
	for range g.IntN(4) {
		k := key()
		if _, found := findOutcome(in.Last, k); !found {
			in.Last = append(in.Last, Outcome{Service: k, Addrs: g.addrs(in.Pools)})
			slices.SortFunc(in.Last, func(a, b Outcome) int { return a.Service.Compare(b.Service) })
		}
	}
}

// fedBack is the world after the result was written.
func fedBack(in Input, r Result) Input {
	out := in
	out.Reserved, out.Last = r.Reserved, r.Outcomes
	out.Services = slices.Clone(in.Services)
	for n := range out.Services {
		s := &out.Services[n]
		o, _ := r.Outcome(s.Key)
		s.Assigned, s.AssignedPool, s.AssignedUnreadable = o.Addrs, o.Pool, false
	}
	return out
}

func dump(in Input) string {
	var b strings.Builder
	for _, p := range in.Pools {
		fmt.Fprintf(&b, "%+v", p)
		if p.Allocation != nil {
			fmt.Fprintf(&b, " serves %+v", *p.Allocation)
		}
		b.WriteByte('\n')
	}
	for _, s := range in.Services {
		fmt.Fprintf(&b, "%+v\n", s)
	}
	fmt.Fprintf(&b, "reserved %+v\n", in.Reserved)
	for _, o := range in.Last {
		fmt.Fprintf(&b, "last %v %v\n", o.Service, o.Addrs)
	}
	return b.String()
}
