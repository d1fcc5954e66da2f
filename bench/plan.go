// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/alloc"
	"github.com/clarion-lb/clarion/internal/lb"
)

// benchPlan measures alloc.Plan on one core: everything assigned, as in each pass of a quiet
// cluster, and everything pending, as after an installation.
func benchPlan(context.Context, *env) ([]Result, error) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var out []Result
	for _, c := range []struct {
		services int
		target   float64 // milliseconds
	}{{10_000, 10}, {50_000, 60}} {
		in := planInput(c.services, 100)
		pending := timePlan(in)
		for i, o := range alloc.Plan(in).Outcomes {
			in.Services[i].Assigned, in.Services[i].AssignedPool = o.Addrs, o.Pool
		}
		out = append(out,
			Result{fmt.Sprintf("plan/%d services assigned", c.services), timePlan(in), "ms", c.target, Lower},
			Result{fmt.Sprintf("plan/%d services pending", c.services), pending, "ms", c.target, Lower})
	}
	return out, nil
}

func timePlan(in alloc.Input) (milliseconds float64) {
	r := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			alloc.Plan(in)
		}
	})
	return float64(r.T.Microseconds()) / 1000 / float64(r.N)
}

// planInput makes Services in key order and pools that together are large enough.
func planInput(services, pools int) alloc.Input {
	in := alloc.Input{Now: time.Unix(0, 0)}
	base := netip.MustParseAddr("10.0.0.0").As4()
	for i := range pools {
		first, last := base, base
		first[1], last[1] = byte(i), byte(i)
		last[2], last[3] = 255, 255
		in.Pools = append(in.Pools, lb.Pool{
			Name: fmt.Sprintf("pool-%03d", i), AutoAssign: true,
			Ranges: []lb.Range{{First: netip.AddrFrom4(first), Last: netip.AddrFrom4(last)}},
		})
	}
	for i := range services {
		s := lb.Service{
			Key:      lb.Key{Namespace: fmt.Sprintf("ns-%02d", i%50), Name: fmt.Sprintf("service-%06d", i)},
			Created:  time.Unix(int64(i), 0),
			Families: []lb.Family{lb.IPv4},
			Ports:    []lb.Port{{Protocol: "TCP", Number: 80}},
		}
		if i%2 == 1 { // half of them ask for a pool, spread over all
			s.RequestedPool = in.Pools[i%pools].Name
		}
		in.Services = append(in.Services, s)
	}
	slices.SortFunc(in.Services, func(a, b lb.Service) int { return a.Key.Compare(b.Key) })
	return in
}
