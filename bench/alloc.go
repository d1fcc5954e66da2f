// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/clarion-lb/clarion/internal/labctl"
)

// writers is the concurrency of the raw limit, the same as the controller's own.
const writers = 16

// pools is large enough for every backlog, and not on the lab's LAN: nobody announces here.
const pools = `
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: bench, namespace: metallb-system}
spec: {addresses: ["198.18.0.0/15"]}
`

// benchAlloc measures the controller on a real API server: a backlog that is there before it
// starts, a restart with everything assigned, and Services created while it runs. The raw
// limit, the same number of status writes by a bare client, is measured in the same run.
func benchAlloc(ctx context.Context, e *env) (out []Result, err error) {
	for _, n := range e.sizes {
		got, err := benchBacklog(ctx, e, n)
		out = append(out, got...)
		if err != nil {
			return out, fmt.Errorf("backlog of %d: %w", n, err)
		}
	}
	return out, nil
}

func benchBacklog(ctx context.Context, e *env, n int) (out []Result, err error) {
	c, stop, err := startCluster(ctx, e)
	if err != nil {
		return nil, err
	}
	defer stop()
	label := func(what string) string { return fmt.Sprintf("alloc/%d/%s", n, what) }

	fmt.Printf("creating %d Services\n", n)
	if err := c.createServices(ctx, "backlog", n, writers); err != nil {
		return nil, err
	}
	usage, assigned, err := c.timeBacklog(ctx, n)
	if err != nil {
		return nil, err
	}
	out = append(out,
		Result{label("backlog"), assigned.Seconds(), "s", 0, Lower},
		Result{label("backlog rate"), float64(n) / assigned.Seconds(), "services/s", 0, Higher},
		Result{label("cpu per service"), usage.cpu.Seconds() * 1000 / float64(n), "ms", 1, Lower},
		Result{label("peak memory"), float64(usage.peak) / (1 << 20), "MiB", 100, Lower})

	writes, err := c.countRestartWrites(ctx)
	if err != nil {
		return out, err
	}
	out = append(out, Result{label("writes after restart"), float64(writes), "writes", 0, Lower})

	for _, writers := range []int{1, 20} {
		latency, err := c.timeCreations(ctx, 200, writers)
		if err != nil {
			return out, err
		}
		what := label(fmt.Sprintf("create to address, %d at a time, ", writers))
		out = append(out,
			Result{what + "p50", milliseconds(percentile(latency, 50)), "ms", 0, Lower},
			Result{what + "p99", milliseconds(percentile(latency, 99)), "ms", 0, Lower})
	}

	raw, err := c.timeRawWrites(ctx, n)
	if err != nil {
		return out, err
	}
	return append(out,
		Result{label("raw limit"), float64(n) / raw.Seconds(), "writes/s", 0, Higher},
		Result{label("share of raw limit"), 100 * raw.Seconds() / assigned.Seconds(), "%", 85, Higher}), nil
}

// timeBacklog starts the controller and returns when every Service has an address. The time
// counts from the first start of its process.
func (c *cluster) timeBacklog(ctx context.Context, n int) (usage, time.Duration, error) {
	if err := scale(ctx, c.lab, 1); err != nil {
		return usage{}, 0, err
	}
	p, err := c.controllerProcess(ctx)
	if err != nil {
		return usage{}, 0, err
	}
	last, err := c.waitAssigned(ctx, n, 10*time.Minute)
	if err != nil {
		return usage{}, 0, err
	}
	u, err := p.usage()
	return u, last.Sub(p.started), err
}

// countRestartWrites restarts the controller and counts the Services that changed.
func (c *cluster) countRestartWrites(ctx context.Context) (int, error) {
	before := c.versions()
	if err := scale(ctx, c.lab, 0); err != nil {
		return 0, err
	}
	if err := scale(ctx, c.lab, 1); err != nil {
		return 0, err
	}
	if err := c.lab.Ready(ctx); err != nil {
		return 0, err
	}
	// A Service that is created now is served after everything that was there: when it has
	// its address, the restarted controller has looked at all others.
	if _, err := c.timeCreations(ctx, 1, 1); err != nil {
		return 0, err
	}
	writes := 0
	for key, v := range c.versions() {
		if old, ok := before[key]; ok && old != v {
			writes++
		}
	}
	return writes, nil
}

// timeCreations creates Services, a number of them at a time, and returns how long each
// waited for its address, sorted.
func (c *cluster) timeCreations(ctx context.Context, n, writers int) ([]time.Duration, error) {
	out := make([]time.Duration, n)
	err := inParallel(n, writers, func(i int) (err error) {
		out[i], err = c.createAndWait(ctx)
		return err
	})
	slices.Sort(out)
	return out, err
}

// percentile of sorted values, by the nearest rank.
func percentile(sorted []time.Duration, p int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, len(sorted)*p/100)]
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// startCluster brings up a lab with the manifests of the profile, no controller running and
// a pool in place.
func startCluster(ctx context.Context, e *env) (*cluster, func(), error) {
	down, err := e.lab.Fresh(ctx, labctl.Options{Nodes: 1, Controller: e.controller, Speaker: e.speaker})
	if err != nil {
		return nil, nil, err
	}
	stop := func() {
		if err := down(); err != nil {
			fmt.Println(err)
		}
	}
	err = e.profile.install(ctx, e.lab)
	if err == nil {
		err = scale(ctx, e.lab, 0)
	}
	if err == nil {
		err = labctl.Eventually(ctx, 20*time.Second, func(ctx context.Context) error { return e.lab.Apply(ctx, pools) })
	}
	var c *cluster
	if err == nil {
		c, err = connect(ctx, e.lab)
	}
	if err != nil {
		stop()
		return nil, nil, err
	}
	return c, func() { c.close(); stop() }, nil
}
