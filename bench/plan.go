// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/clarion-lb/clarion/internal/alloc"
	"github.com/clarion-lb/clarion/internal/alloc/alloctest"
)

const planRuns = 15

// benchPlan measures alloc.Plan on one core, garbage collection included, in every kind of
// cluster that its own benchmark knows: the lowest of several runs shows what it costs, the
// median what it cost on a machine that does other things as well.
func benchPlan(context.Context, *env) ([]Result, error) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var out []Result
	for _, size := range []struct {
		services int
		target   float64 // milliseconds
	}{{10_000, 10}, {50_000, 60}} {
		for _, world := range alloctest.Worlds() {
			times := timePlan(world.Make(size.services))
			name := fmt.Sprintf("plan/%d services, %s, ", size.services, world.Name)
			out = append(out,
				Result{name + "lowest", times[0], "ms", size.target, Lower},
				Result{name + "median", times[len(times)/2], "ms", size.target, Lower})
		}
	}
	return out, nil
}

// timePlan returns the sorted times of some runs in milliseconds.
func timePlan(in alloc.Input) []float64 {
	alloc.Plan(in) // brings the memory in
	times := make([]float64, planRuns)
	for n := range times {
		start := time.Now()
		alloc.Plan(in)
		times[n] = float64(time.Since(start).Microseconds()) / 1000
	}
	slices.Sort(times)
	return times
}
