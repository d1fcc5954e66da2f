// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package alloc_test

import (
	"fmt"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/alloc"
	"github.com/clarion-lb/clarion/internal/alloc/alloctest"
	"github.com/clarion-lb/clarion/internal/lb"
)

// The targets of the project: 10 ms for 10,000 Services and 60 ms for 50,000, on one core.
func BenchmarkPlan(b *testing.B) {
	for _, world := range alloctest.Worlds() {
		for _, n := range []int{1000, 10000, 50000} {
			in := world.Make(n)
			b.Run(fmt.Sprintf("%s/services=%d", world.Name, n), func(b *testing.B) {
				b.ReportAllocs()
				before := cpuTime()
				for b.Loop() {
					alloc.Plan(in)
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
		in := alloc.Input{
			Pools:    []lb.Pool{{Name: "p", AutoAssign: true, Ranges: []lb.Range{r}}},
			Services: alloctest.Services(1000, func(_ int, s *lb.Service) { s.Families = []lb.Family{r.Family()} }),
		}
		b.Run(r.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				alloc.Plan(in)
			}
		})
	}
}
