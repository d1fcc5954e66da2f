// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package alloc

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/lb"
)

// aPool makes a pool of ranges such as "10.0.0.1-10.0.0.3" or single addresses.
func aPool(name string, ranges string, change ...func(*lb.Pool)) lb.Pool {
	p := lb.Pool{Name: name, AutoAssign: true}
	for _, r := range strings.Fields(ranges) {
		first, last, found := strings.Cut(r, "-")
		if !found {
			last = first
		}
		p.Ranges = append(p.Ranges, lb.Range{First: netip.MustParseAddr(first), Last: netip.MustParseAddr(last)})
	}
	for _, c := range change {
		c(&p)
	}
	return p
}

var (
	only4 = []lb.Family{lb.IPv4}
	only6 = []lb.Family{lb.IPv6}
	dual4 = []lb.Family{lb.IPv4, lb.IPv6}
	dual6 = []lb.Family{lb.IPv6, lb.IPv4}
)

// aSvc makes an IPv4 Service on TCP 80 that was created n hours after the epoch.
func aSvc(name string, n int, change ...func(*lb.Service)) lb.Service {
	s := lb.Service{
		Key: lb.Key{Namespace: "ns", Name: name}, Created: epoch.Add(time.Duration(n) * time.Hour),
		Families: only4, Ports: []lb.Port{{Protocol: "TCP", Number: 80}},
	}
	for _, c := range change {
		c(&s)
	}
	return s
}

func addrs(list string) []netip.Addr {
	var out []netip.Addr
	for _, a := range strings.Fields(list) {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

func has(list, pool string) func(*lb.Service) {
	return func(s *lb.Service) { s.Assigned, s.AssignedPool = addrs(list), pool }
}
func asks(list string) func(*lb.Service) {
	return func(s *lb.Service) { s.RequestedAddrs = addrs(list) }
}
func asksPool(name string) func(*lb.Service) { return func(s *lb.Service) { s.RequestedPool = name } }
func inNS(ns string) func(*lb.Service)       { return func(s *lb.Service) { s.Key.Namespace = ns } }
func labelled(v string) func(*lb.Service) {
	return func(s *lb.Service) { s.Labels = map[string]string{"app": v} }
}
func stack(f []lb.Family, p lb.FamilyPolicy) func(*lb.Service) {
	return func(s *lb.Service) { s.Families, s.Policy = f, p }
}
func shares(key string, ports ...uint16) func(*lb.Service) {
	return func(s *lb.Service) {
		s.SharingKey = key
		if len(ports) > 0 {
			s.Ports = nil
		}
		for _, p := range ports {
			s.Ports = append(s.Ports, lb.Port{Protocol: "TCP", Number: p})
		}
	}
}
func backend(key string) func(*lb.Service) { return func(s *lb.Service) { s.BackendKey = key } }

func serves(priority int, namespaces ...string) func(*lb.Pool) {
	return func(p *lb.Pool) {
		p.Allocation = &lb.Allocation{Priority: priority, AnyNamespace: namespaces == nil, Namespaces: namespaces}
	}
}
func manual(p *lb.Pool)               { p.AutoAssign = false }
func avoidBuggy(p *lb.Pool)           { p.AvoidBuggyIPs = true }
func closed(p *lb.Pool)               { p.Closed = true }
func partner(n string) func(*lb.Pool) { return func(p *lb.Pool) { p.DualStackPartner = n } }

// rule is one row of a table: what Services are given. want has the addresses of each Service
// in the order of the row, "-" for none.
type rule struct {
	name     string
	pools    []lb.Pool
	services []lb.Service
	want     []string
}

func check(t *testing.T, rules []rule) {
	t.Helper()
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			got := Plan(Input{Pools: r.pools, Services: r.services, Now: epoch})
			for n, s := range r.services {
				o, _ := got.Outcome(s.Key)
				want := addrs(strings.TrimPrefix(r.want[n], "-"))
				if !slices.Equal(o.Addrs, want) {
					t.Errorf("%v gets %v, want %v (%s)", s.Key, o.Addrs, want, o.Message)
				}
			}
		})
	}
}

func TestWhichPoolServesAService(t *testing.T) {
	a, b := aPool("a", "10.0.0.1"), aPool("b", "10.0.1.1-10.0.1.3")
	check(t, []rule{
		{"pools are used in order of name, each from its lowest address", []lb.Pool{b, a},
			[]lb.Service{aSvc("x", 0), aSvc("y", 1), aSvc("z", 2)}, []string{"10.0.0.1", "10.0.1.1", "10.0.1.2"}},
		{"older Services are served first, then those with the lower key", []lb.Pool{b},
			[]lb.Service{aSvc("x", 1), aSvc("y", 0), aSvc("a", 1)}, []string{"10.0.1.3", "10.0.1.1", "10.0.1.2"}},
		{"ranges are used in the order of the pool", []lb.Pool{aPool("p", "10.0.0.9 10.0.0.1")},
			[]lb.Service{aSvc("x", 0), aSvc("y", 1)}, []string{"10.0.0.9", "10.0.0.1"}},
		{"autoAssign false serves only those who ask", []lb.Pool{aPool("m", "10.0.0.1-10.0.0.3", manual)},
			[]lb.Service{aSvc("x", 0), aSvc("y", 0, asksPool("m")), aSvc("z", 0, asks("10.0.0.3"))}, []string{"-", "10.0.0.1", "10.0.0.3"}},
		{"autoAssign switched off later leaves everybody in place", []lb.Pool{aPool("m", "10.0.0.1-10.0.0.3", manual)},
			[]lb.Service{aSvc("x", 0, has("10.0.0.2", "m"))}, []string{"10.0.0.2"}},
		{"pinned pools come before others, lower priority first, 0 last, then by name", []lb.Pool{
			aPool("a", "10.0.0.1"), aPool("b", "10.0.1.1", serves(0)), aPool("c", "10.0.2.1", serves(2, "ns")),
			aPool("d", "10.0.3.1", serves(1)), aPool("e", "10.0.4.1", serves(1, "ns"))},
			[]lb.Service{aSvc("1", 1), aSvc("2", 2), aSvc("3", 3), aSvc("4", 4), aSvc("5", 5), aSvc("6", 6)},
			[]string{"10.0.3.1", "10.0.4.1", "10.0.2.1", "10.0.1.1", "10.0.0.1", "-"}},
		{"a pool for certain namespaces serves no other, asked or not", []lb.Pool{aPool("p", "10.0.0.1-10.0.0.9", serves(0, "blue"))},
			[]lb.Service{aSvc("x", 0), aSvc("y", 0, asksPool("p")), aSvc("z", 0, asks("10.0.0.5")), aSvc("b", 0, inNS("blue"))},
			[]string{"-", "-", "-", "10.0.0.1"}},
		{"namespaces that match nothing are not any namespace", []lb.Pool{aPool("p", "10.0.0.1", func(p *lb.Pool) {
			p.Allocation = &lb.Allocation{Services: lb.Selectors{{{Key: "app", Op: lb.Exists}}}}
		})}, []lb.Service{aSvc("x", 0, labelled("web"))}, []string{"-"}},
		{"service selectors are asked", []lb.Pool{aPool("p", "10.0.0.1-10.0.0.9", func(p *lb.Pool) {
			p.Allocation = &lb.Allocation{AnyNamespace: true, Services: lb.Selectors{{{Key: "app", Op: lb.In, Values: []string{"web"}}}}}
		})}, []lb.Service{aSvc("x", 0, labelled("db")), aSvc("y", 0, labelled("web"))}, []string{"-", "10.0.0.1"}},
		{"avoidBuggyIPs skips .0 and .255, even when asked", []lb.Pool{aPool("p", "10.0.0.254-10.0.1.2", avoidBuggy)},
			[]lb.Service{aSvc("x", 0), aSvc("y", 1), aSvc("z", 2, asks("10.0.1.0"))}, []string{"10.0.0.254", "10.0.1.1", "-"}},
		{"avoidBuggyIPs switched on later takes such addresses back", []lb.Pool{aPool("p", "10.0.0.254-10.0.1.2", avoidBuggy)},
			[]lb.Service{aSvc("x", 0, has("10.0.0.255", "p"))}, []string{"10.0.0.254"}},
		{"a closed pool keeps whom it has and serves nobody new", []lb.Pool{aPool("p", "10.0.0.1-10.0.0.9 fd00::1", closed)},
			[]lb.Service{aSvc("x", 0, has("10.0.0.4", "p")), aSvc("y", 0), aSvc("z", 0, asksPool("p")),
				aSvc("d", 0, has("10.0.0.5", "p"), stack(dual4, lb.PreferDualStack))},
			[]string{"10.0.0.4", "-", "-", "10.0.0.5"}},
		{"addresses move to the pool that has them now", []lb.Pool{aPool("new", "10.0.0.1-10.0.0.9")},
			[]lb.Service{aSvc("x", 0, has("10.0.0.7", "old"))}, []string{"10.0.0.7"}},
		{"an address that no pool has is replaced", []lb.Pool{a}, []lb.Service{aSvc("x", 0, has("192.0.2.1", "a"))}, []string{"10.0.0.1"}},
		{"the mapped form of an address is not the address", []lb.Pool{a}, []lb.Service{aSvc("x", 0, has("::ffff:10.0.0.1", "a"))}, []string{"10.0.0.1"}},
		{"an address with a zone is in no pool", []lb.Pool{aPool("p", "fe80::1-fe80::9")},
			[]lb.Service{aSvc("x", 0, stack(only6, lb.SingleStack), has("fe80::5%eth0", "p"))}, []string{"fe80::1"}},
		{"IPv4-mapped addresses of an IPv6 range are not handed out", []lb.Pool{aPool("p", "::fffe:ffff:ffff-::1:0:0:0")},
			[]lb.Service{aSvc("x", 0, stack(only6, lb.SingleStack)), aSvc("y", 1, stack(only6, lb.SingleStack))}, []string{"::fffe:ffff:ffff", "::1:0:0:0"}},
		{"the last address of all can be used, and nothing comes after it", []lb.Pool{aPool("p", "255.255.255.255")},
			[]lb.Service{aSvc("x", 0), aSvc("y", 1)}, []string{"255.255.255.255", "-"}},
		{"without pools everything is cleared", nil, []lb.Service{aSvc("x", 0, has("10.0.0.1", "a"))}, []string{"-"}},
		{"without a cluster IP everything is cleared", []lb.Pool{a}, []lb.Service{aSvc("x", 0, stack(nil, lb.SingleStack), has("10.0.0.1", "a"))}, []string{"-"}},
		{"what cannot be read is cleared and replaced", []lb.Pool{b}, []lb.Service{aSvc("x", 0, has("10.0.1.3", "b"), func(s *lb.Service) { s.AssignedUnreadable = true })}, []string{"10.0.1.1"}},
		{"three addresses are cleared and replaced by one", []lb.Pool{b}, []lb.Service{aSvc("x", 0, has("10.0.1.1 10.0.1.2 10.0.1.3", "b"))}, []string{"10.0.1.1"}},
	})
}

func TestRequests(t *testing.T) {
	pools := []lb.Pool{aPool("a", "10.0.0.1-10.0.0.9"), aPool("b", "10.0.1.1-10.0.1.9 fd00::1-fd00::9")}
	problem := func(s *lb.Service) { s.RequestProblem = "more than two addresses" }
	check(t, []rule{
		{"an address that is asked for is given", pools, []lb.Service{aSvc("x", 0, asks("10.0.1.5"))}, []string{"10.0.1.5"}},
		{"a new request moves the Service", pools, []lb.Service{aSvc("x", 0, has("10.0.0.1", "a"), asks("10.0.1.5"))}, []string{"10.0.1.5"}},
		{"a request that fails costs the old address", pools, []lb.Service{aSvc("x", 0, has("10.0.0.1", "a"), asks("192.0.2.1"))}, []string{"-"}},
		{"the order of requested addresses does not matter", pools,
			[]lb.Service{aSvc("x", 0, stack(dual4, lb.RequireDualStack), has("fd00::2 10.0.1.2", "b"), asks("10.0.1.2 fd00::2"))}, []string{"fd00::2 10.0.1.2"}},
		{"one address for two families is refused", pools, []lb.Service{aSvc("x", 0, stack(dual4, lb.PreferDualStack), asks("10.0.1.2"))}, []string{"-"}},
		{"one that is there already stays alone", pools,
			[]lb.Service{aSvc("x", 0, stack(dual4, lb.PreferDualStack), has("10.0.1.2", "b"), asks("10.0.1.2"))}, []string{"10.0.1.2"}},
		{"two addresses for one family are refused", pools, []lb.Service{aSvc("x", 0, asks("10.0.1.2 fd00::2"))}, []string{"-"}},
		{"two addresses of two pools are refused", pools, []lb.Service{aSvc("x", 0, stack(dual4, lb.RequireDualStack), asks("10.0.0.2 fd00::2"))}, []string{"-"}},
		{"address and pool must fit together", pools,
			[]lb.Service{aSvc("x", 0, asks("10.0.0.2"), asksPool("b")), aSvc("y", 0, asks("10.0.0.2"), asksPool("a"))}, []string{"-", "10.0.0.2"}},
		{"a pool that is asked for is used", pools, []lb.Service{aSvc("x", 0, asksPool("b"))}, []string{"10.0.1.1"}},
		{"a new pool moves the Service", pools, []lb.Service{aSvc("x", 0, has("10.0.0.1", "a"), asksPool("b"))}, []string{"10.0.1.1"}},
		{"a taken address is not shared", pools, []lb.Service{aSvc("x", 0, has("10.0.0.1", "a")), aSvc("y", -9, asks("10.0.0.1"))}, []string{"10.0.0.1", "-"}},
		{"a request that makes no sense changes nothing", pools,
			[]lb.Service{aSvc("x", 0, has("10.0.0.4", "a"), asks("10.0.0.5"), problem), aSvc("y", 0, problem)}, []string{"10.0.0.4", "-"}},
	})
}

func TestSharing(t *testing.T) {
	p := []lb.Pool{aPool("p", "10.0.0.1-10.0.0.9")}
	one := []lb.Pool{aPool("p", "10.0.0.1")}
	check(t, []rule{
		{"equal keys, different ports: together when that is the lowest address", p,
			[]lb.Service{aSvc("x", 0, shares("k", 80)), aSvc("y", 1, shares("k", 443))}, []string{"10.0.0.1", "10.0.0.1"}},
		{"a free lower address comes first", p,
			[]lb.Service{aSvc("x", 0, shares("k", 80), has("10.0.0.2", "p")), aSvc("y", 1, shares("k", 443)), aSvc("z", 2, shares("k", 25))},
			[]string{"10.0.0.2", "10.0.0.1", "10.0.0.1"}},
		{"the protocol tells ports apart", one, []lb.Service{aSvc("x", 0, shares("k", 53)),
			aSvc("y", 1, shares("k"), func(s *lb.Service) { s.Ports = []lb.Port{{Protocol: "UDP", Number: 53}} })}, []string{"10.0.0.1", "10.0.0.1"}},
		{"across namespaces", one, []lb.Service{aSvc("x", 0, shares("k", 80)), aSvc("y", 1, shares("k", 81), inNS("other"))}, []string{"10.0.0.1", "10.0.0.1"}},
		{"not on the same port", one, []lb.Service{aSvc("x", 0, shares("k", 80, 81)), aSvc("y", 1, shares("k", 81, 82))}, []string{"10.0.0.1", "-"}},
		{"not with a third one's port", one, []lb.Service{aSvc("x", 0, shares("k", 1)), aSvc("y", 1, shares("k", 2)), aSvc("z", 2, shares("k", 2))},
			[]string{"10.0.0.1", "10.0.0.1", "-"}},
		{"not with another key", one, []lb.Service{aSvc("x", 0, shares("k", 80)), aSvc("y", 1, shares("l", 81))}, []string{"10.0.0.1", "-"}},
		{"not with a Service without key, either way", one, []lb.Service{aSvc("x", 0), aSvc("y", 1, shares("k", 81)), aSvc("z", 1)}, []string{"10.0.0.1", "-", "-"}},
		{"not with another backend key", one, []lb.Service{aSvc("x", 0, shares("k", 80)), aSvc("y", 1, shares("k", 81), backend("app=x"))}, []string{"10.0.0.1", "-"}},
		{"with the same backend key", one, []lb.Service{aSvc("x", 0, shares("k", 80), backend("app=x")), aSvc("y", 1, shares("k", 81), backend("app=x"))},
			[]string{"10.0.0.1", "10.0.0.1"}},
		{"the only user may change its key", one, []lb.Service{aSvc("x", 0, shares("new", 80), has("10.0.0.1", "p"))}, []string{"10.0.0.1"}},
		{"of two that may not share, the older stays", p,
			[]lb.Service{aSvc("x", 5, has("10.0.0.4", "p")), aSvc("y", 1, has("10.0.0.4", "p"))}, []string{"10.0.0.1", "10.0.0.4"}},
		{"of three, those stay who can share with the oldest", p, []lb.Service{
			aSvc("x", 1, shares("k", 80), has("10.0.0.4", "p")), aSvc("y", 2, shares("l", 81), has("10.0.0.4", "p")), aSvc("z", 3, shares("k", 82), has("10.0.0.4", "p"))},
			[]string{"10.0.0.4", "10.0.0.1", "10.0.0.4"}},
		{"what comes to stand before a passed address is found", []lb.Pool{aPool("p", "10.0.0.1-10.0.0.9", func(p *lb.Pool) { p.PreferColocate = true })},
			[]lb.Service{aSvc("0", 0, shares("k", 80, 443, 25), has("10.0.0.3", "p")), aSvc("w1", 1, shares("k", 443)), aSvc("u1", 2, shares("k", 25)),
				aSvc("u2", 3, shares("k", 25)), aSvc("w2", 4, shares("k", 443))},
			[]string{"10.0.0.3", "10.0.0.1", "10.0.0.1", "10.0.0.2", "10.0.0.2"}},
	})
}

func TestDualStack(t *testing.T) {
	four, six := aPool("four", "10.0.0.1-10.0.0.3"), aPool("six", "fd00::1-fd00::3")
	both, tight := aPool("two", "10.0.1.1-10.0.1.3 fd00:1::1-fd00:1::3"), aPool("tight", "10.0.2.1-10.0.2.3 fd00:2::1")
	prefer, require := stack(dual4, lb.PreferDualStack), stack(dual4, lb.RequireDualStack)
	check(t, []rule{
		{"a pool with both families is preferred to the first by name", []lb.Pool{four, both}, []lb.Service{aSvc("x", 0, prefer), aSvc("y", 0, require)},
			[]string{"10.0.1.1 fd00:1::1", "10.0.1.2 fd00:1::2"}},
		{"the primary family comes first", []lb.Pool{both}, []lb.Service{aSvc("x", 0, stack(dual6, lb.RequireDualStack))}, []string{"fd00:1::1 10.0.1.1"}},
		{"who only prefers it is content with the primary family", []lb.Pool{four, six},
			[]lb.Service{aSvc("x", 0, prefer), aSvc("y", 0, stack(dual6, lb.PreferDualStack))}, []string{"10.0.0.1", "fd00::1"}},
		{"who requires it is not", []lb.Pool{four, six}, []lb.Service{aSvc("x", 0, require)}, []string{"-"}},
		{"one family exhausted counts like one missing", []lb.Pool{tight}, []lb.Service{aSvc("x", 0, prefer), aSvc("y", 1, prefer), aSvc("z", 2, require)},
			[]string{"10.0.2.1 fd00:2::1", "10.0.2.2", "-"}},
		{"a cluster that becomes dual-stack adds the other family", []lb.Pool{both}, []lb.Service{aSvc("x", 0, prefer, has("10.0.1.3", "two"))}, []string{"10.0.1.3 fd00:1::1"}},
		{"also to an address of the secondary family, which stays first", []lb.Pool{both}, []lb.Service{aSvc("x", 0, prefer, has("fd00:1::3", "two"))},
			[]string{"fd00:1::3 10.0.1.1"}},
		{"but never from another pool", []lb.Pool{four, both}, []lb.Service{aSvc("x", 0, prefer, has("10.0.0.3", "four"))}, []string{"10.0.0.3"}},
		{"who requires both keeps one and adds the other", []lb.Pool{both}, []lb.Service{aSvc("x", 0, require, has("10.0.1.3", "two"))}, []string{"10.0.1.3 fd00:1::1"}},
		{"or moves if that is not possible", []lb.Pool{four, both}, []lb.Service{aSvc("x", 0, require, has("10.0.0.3", "four"))}, []string{"10.0.1.1 fd00:1::1"}},
		{"or ends with nothing, and the one who waits gets what it had", []lb.Pool{aPool("p", "10.0.0.1")},
			[]lb.Service{aSvc("x", 9, require, has("10.0.0.1", "p")), aSvc("y", 0)}, []string{"-", "10.0.0.1"}},
		{"a Service that becomes single-stack keeps the address it can use", []lb.Pool{both}, []lb.Service{aSvc("x", 0, has("fd00:1::2 10.0.1.2", "two"))}, []string{"10.0.1.2"}},
		{"a Service that changes its family moves", []lb.Pool{both}, []lb.Service{aSvc("x", 0, has("fd00:1::2", "two"))}, []string{"10.0.1.1"}},
		{"a pool that loses a family costs only that address", []lb.Pool{four}, []lb.Service{aSvc("x", 0, prefer, has("10.0.0.2 fd00::2", "four"))}, []string{"10.0.0.2"}},
		{"two addresses of two pools: the first stays", []lb.Pool{four, six}, []lb.Service{aSvc("x", 0, prefer, has("fd00::2 10.0.0.2", "six"))}, []string{"fd00::2"}},
		{"requiring two families with one cluster IP clears", []lb.Pool{both}, []lb.Service{aSvc("x", 0, stack(only4, lb.RequireDualStack), has("10.0.1.1", "two"))}, []string{"-"}},
		{"preferring two families with one cluster IP is single-stack", []lb.Pool{both}, []lb.Service{aSvc("x", 0, stack(only6, lb.PreferDualStack))}, []string{"fd00:1::1"}},
	})
	four.DualStackPartner = "six"
	check(t, []rule{
		{"a partner gives the family that the pool lacks", []lb.Pool{four, six}, []lb.Service{aSvc("x", 0, require), aSvc("y", 1, stack(dual6, lb.PreferDualStack))},
			[]string{"10.0.0.1 fd00::1", "fd00::2 10.0.0.2"}},
		{"or has run out of", []lb.Pool{aPool("a", "10.0.0.1-10.0.0.9 fd00:a::1", partner("six")), six}, []lb.Service{aSvc("x", 0, require), aSvc("y", 1, require)},
			[]string{"10.0.0.1 fd00:a::1", "10.0.0.2 fd00::1"}},
		{"also later", []lb.Pool{four, six}, []lb.Service{aSvc("x", 0, prefer, has("10.0.0.3", "four"))}, []string{"10.0.0.3 fd00::1"}},
		{"such a pair stays", []lb.Pool{four, six}, []lb.Service{aSvc("x", 0, prefer, has("fd00::3 10.0.0.3", "four"), asksPool("four"))}, []string{"fd00::3 10.0.0.3"}},
		{"and can be asked for", []lb.Pool{four, six}, []lb.Service{aSvc("x", 0, require, asks("fd00::3 10.0.0.3"))}, []string{"fd00::3 10.0.0.3"}},
		{"a single-stack Service has nothing from a partner", []lb.Pool{four, six}, []lb.Service{aSvc("x", 0, stack(only6, lb.SingleStack), asksPool("four"))}, []string{"-"}},
		{"a partner must serve the Service, too", []lb.Pool{four, aPool("six", "fd00::1", serves(0, "other"))}, []lb.Service{aSvc("x", 0, prefer)}, []string{"10.0.0.1"}},
		{"a partner that does not exist is none", []lb.Pool{aPool("a", "10.0.0.1", partner("b"))}, []lb.Service{aSvc("x", 0, prefer)}, []string{"10.0.0.1"}},
	})
}
