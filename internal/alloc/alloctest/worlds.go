// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Package alloctest makes the large clusters that alloc.Plan is measured with, by go test and
// by make bench-plan. It decides nothing and no program that ships uses it.
package alloctest

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/clarion-lb/clarion/internal/alloc"
	"github.com/clarion-lb/clarion/internal/lb"
)

func epoch() time.Time { return time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC) }

// Pools makes pools that have each IPv4 addresses.
func Pools(pools, each int) []lb.Pool {
	out := make([]lb.Pool, pools)
	for n := range out {
		first := netip.AddrFrom4([4]byte{10, byte(n), 0, 0})
		last := netip.AddrFrom4([4]byte{10, byte(n), byte((each - 1) >> 8), byte(each - 1)})
		out[n] = lb.Pool{
			Name: fmt.Sprintf("pool%03d", n), AutoAssign: true,
			Ranges: []lb.Range{{First: first, Last: last}},
		}
	}
	return out
}

// Services makes n Services that ask for nothing special; change makes them different.
func Services(n int, change func(i int, s *lb.Service)) []lb.Service {
	out := make([]lb.Service, n)
	for i := range out {
		out[i] = lb.Service{
			Key: lb.Key{Namespace: fmt.Sprintf("team-%03d", i/100), Name: fmt.Sprintf("service-%05d", i)},
			// They were not created in the order of their names.
			Created:  epoch().Add(time.Duration(i*7919%n) * time.Second),
			Labels:   map[string]string{"app": "web"},
			Ports:    []lb.Port{{Protocol: "TCP", Number: 80}},
			Families: []lb.Family{lb.IPv4},
		}
		if change != nil {
			change(i, &out[i])
		}
	}
	return out
}

// World is a kind of cluster: Make gives one with n Services and 100 pools.
type World struct {
	Name string
	Make func(n int) alloc.Input
}

// Worlds returns the kinds of clusters that Plan is measured with.
func Worlds() []World {
	return []World{
		{"assigned", func(n int) alloc.Input {
			in := alloc.Input{Pools: Pools(100, n/100), Services: Services(n, nil)}
			return fedBack(in, alloc.Plan(in))
		}},
		{"pending", func(n int) alloc.Input {
			return alloc.Input{Pools: Pools(100, n/100), Services: Services(n, nil)}
		}},
		{"exhausted", func(n int) alloc.Input { // a tenth has an address, the rest waits in vain
			in := alloc.Input{Pools: Pools(100, n/1000), Services: Services(n, nil)}
			return fedBack(in, alloc.Plan(in))
		}},
		{"shared", func(n int) alloc.Input { // ten on an address
			return alloc.Input{Pools: Pools(100, n/100), Services: Services(n, func(i int, s *lb.Service) {
				s.SharingKey, s.Ports[0].Number = fmt.Sprintf("key-%d", i/20), uint16(1+i%10)
			})}
		}},
		{"onekey", func(n int) alloc.Input { // one sharing key and the same port: nobody can share
			return alloc.Input{Pools: Pools(100, n/100), Services: Services(n, func(_ int, s *lb.Service) {
				s.SharingKey = "everybody"
			})}
		}},
		{"dual", func(n int) alloc.Input {
			in := alloc.Input{Pools: Pools(100, n/100), Services: Services(n, func(_ int, s *lb.Service) {
				s.Families, s.Policy = []lb.Family{lb.IPv4, lb.IPv6}, lb.PreferDualStack
			})}
			for i := range in.Pools {
				in.Pools[i].Ranges = append(in.Pools[i].Ranges, lb.Range{
					First: netip.MustParseAddr(fmt.Sprintf("fd00:%x::", i)),
					Last:  netip.MustParseAddr(fmt.Sprintf("fd00:%x::ffff:ffff:ffff:ffff", i)),
				})
			}
			return in
		}},
		{"pinned", func(n int) alloc.Input {
			in := alloc.Input{Pools: Pools(100, n/100), Services: Services(n, nil)}
			for i := range in.Pools {
				in.Pools[i].Allocation = &lb.Allocation{Priority: i % 3, AnyNamespace: true,
					Services: lb.Selectors{{{Key: "app", Op: lb.In, Values: []string{"db", "web"}}}}}
			}
			return in
		}},
		{"timed", func(n int) alloc.Input { // everything assigned, with reservations, cooldowns and quotas
			in := alloc.Input{Pools: Pools(100, n/100), Services: Services(n, nil), Now: epoch()}
			for i := range in.Pools {
				p := &in.Pools[i]
				p.ReservationTime, p.CooldownTime, p.Quotas = time.Hour, time.Minute, []lb.Quota{{AnyNamespace: true, Max: n}}
			}
			in = fedBack(in, alloc.Plan(in))
			in.Services = in.Services[n/100:]
			return in
		}},
	}
}

// fedBack is the cluster after the result was written.
func fedBack(in alloc.Input, r alloc.Result) alloc.Input {
	in.Reserved, in.Last = r.Reserved, r.Outcomes
	in.Services = slices.Clone(in.Services)
	for n, o := range r.Outcomes { // Services are in order of key
		in.Services[n].Assigned, in.Services[n].AssignedPool = o.Addrs, o.Pool
	}
	return in
}
