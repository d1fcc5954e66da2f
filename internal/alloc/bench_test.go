// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package alloc

import (
	"fmt"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/lb"
)

// v4Pools makes pools that have each addresses.
func v4Pools(pools, each int) []lb.Pool {
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

func manyServices(n int, change func(i int, s *lb.Service)) []lb.Service {
	out := make([]lb.Service, n)
	for i := range out {
		out[i] = lb.Service{
			Key: lb.Key{Namespace: fmt.Sprintf("team-%03d", i/100), Name: fmt.Sprintf("service-%05d", i)},
			// They were not created in the order of their names.
			Created:  epoch.Add(time.Duration(i*7919%n) * time.Second),
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

// bigWorlds are clusters with n Services and 100 pools.
var bigWorlds = map[string]func(n int) Input{
	"assigned": func(n int) Input {
		in := Input{Pools: v4Pools(100, n/100), Services: manyServices(n, nil)}
		return fedBack(in, Plan(in))
	},
	"pending": func(n int) Input {
		return Input{Pools: v4Pools(100, n/100), Services: manyServices(n, nil)}
	},
	"exhausted": func(n int) Input { // a tenth has an address, the rest waits in vain
		in := Input{Pools: v4Pools(100, n/1000), Services: manyServices(n, nil)}
		return fedBack(in, Plan(in))
	},
	"shared": func(n int) Input { // ten on an address
		return Input{Pools: v4Pools(100, n/100), Services: manyServices(n, func(i int, s *lb.Service) {
			s.SharingKey, s.Ports[0].Number = fmt.Sprintf("key-%d", i/20), uint16(1+i%10)
		})}
	},
	"onekey": func(n int) Input { // one sharing key and the same port: nobody can share
		return Input{Pools: v4Pools(100, n/100), Services: manyServices(n, func(_ int, s *lb.Service) {
			s.SharingKey = "everybody"
		})}
	},
	"dual": func(n int) Input {
		in := Input{Pools: v4Pools(100, n/100), Services: manyServices(n, func(_ int, s *lb.Service) {
			s.Families, s.Policy = []lb.Family{lb.IPv4, lb.IPv6}, lb.PreferDualStack
		})}
		for i := range in.Pools {
			in.Pools[i].Ranges = append(in.Pools[i].Ranges, lb.Range{
				First: netip.MustParseAddr(fmt.Sprintf("fd00:%x::", i)),
				Last:  netip.MustParseAddr(fmt.Sprintf("fd00:%x::ffff:ffff:ffff:ffff", i)),
			})
		}
		return in
	},
	"pinned": func(n int) Input {
		in := Input{Pools: v4Pools(100, n/100), Services: manyServices(n, nil)}
		for i := range in.Pools {
			in.Pools[i].Allocation = &lb.Allocation{Priority: i % 3, AnyNamespace: true,
				Services: lb.Selectors{{{Key: "app", Op: lb.In, Values: []string{"db", "web"}}}}}
		}
		return in
	},
	"timed": func(n int) Input { // everything assigned, with reservations, cooldowns and quotas
		in := Input{Pools: v4Pools(100, n/100), Services: manyServices(n, nil), Now: epoch}
		for i := range in.Pools {
			p := &in.Pools[i]
			p.ReservationTime, p.CooldownTime, p.Quotas = time.Hour, time.Minute, []lb.Quota{{AnyNamespace: true, Max: n}}
		}
		in = fedBack(in, Plan(in))
		in.Services = in.Services[n/100:]
		return in
	},
}

// The targets of the project: 10 ms for 10,000 Services and 60 ms for 50,000, on one core.
func BenchmarkPlan(b *testing.B) {
	for _, name := range []string{"assigned", "pending", "exhausted", "shared", "onekey", "dual", "pinned", "timed"} {
		for _, n := range []int{1000, 10000, 50000} {
			in := bigWorlds[name](n)
			b.Run(fmt.Sprintf("%s/services=%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				before := cpuTime()
				for b.Loop() {
					Plan(in)
				}
				// The time of the processor, collector included, is right on a busy machine, too.
				b.ReportMetric(float64(cpuTime()-before)/float64(b.N)/1e6, "cpu-ms/op")
			})
		}
	}
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// The size of a pool costs nothing: the same 1,000 Services in a /22, a /8 and a /64.
func BenchmarkPoolSize(b *testing.B) {
	for _, r := range []lb.Range{
		{First: netip.MustParseAddr("10.0.0.0"), Last: netip.MustParseAddr("10.0.3.255")},
		{First: netip.MustParseAddr("10.0.0.0"), Last: netip.MustParseAddr("10.255.255.255")},
		{First: netip.MustParseAddr("fd00::"), Last: netip.MustParseAddr("fd00::ffff:ffff:ffff:ffff")},
	} {
		in := Input{
			Pools:    []lb.Pool{{Name: "p", AutoAssign: true, Ranges: []lb.Range{r}}},
			Services: manyServices(1000, func(_ int, s *lb.Service) { s.Families = []lb.Family{r.Family()} }),
		}
		b.Run(r.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Plan(in)
			}
		})
	}
}
