// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarion-lb/clarion/internal/alloc"
	"github.com/clarion-lb/clarion/internal/cluster"
	"github.com/clarion-lb/clarion/internal/daemon"
	"github.com/clarion-lb/clarion/internal/kube"
	"github.com/clarion-lb/clarion/internal/lb"
)

// restFactor is how many times longer than a pass the loop rests after it, so that a flood
// of changes costs at most a sixth of one core for planning. A pass over a handful of
// Services takes microseconds, and so does the rest.
const restFactor = 5

// loop is the controller: on every kick it compiles the whole cluster, plans the whole
// allocation and hands the differences to the writers.
type loop struct {
	log      *slog.Logger
	kick     chan struct{}
	sources  *kube.Sources
	services *kube.ServiceWriter
	status   *kube.StatusWriter
	config   *kube.ConfigWriter
	notices  *notices
	metrics  *metrics

	compiler cluster.Compiler
	last     *alloc.Result // nil before the first pass
	releases releases
}

// Run plans until ctx ends. Only the leader runs it.
func (l *loop) Run(ctx context.Context) error {
	wake := time.NewTimer(0)
	defer wake.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-l.kick:
		case <-wake.C: // a reservation or cooldown ended
		}
		begin := time.Now()
		next := l.pass(ctx, begin)
		if !next.IsZero() {
			wake.Reset(time.Until(next))
		}
		if daemon.Sleep(ctx, restFactor*time.Since(begin)) != nil {
			return nil
		}
	}
}

// pass looks at everything once. It returns when to look again even if nothing changes.
func (l *loop) pass(ctx context.Context, now time.Time) (next time.Time) {
	objects, known := l.sources.Objects()
	if !known {
		return time.Time{} // unknown is not empty: no address is given or taken (I7)
	}
	objects.Services = l.services.Overlay(objects.Services)
	snapshot, problems := l.compiler.Compile(objects)
	result := alloc.Plan(l.input(objects, snapshot, now))

	l.write(ctx, objects.Services, snapshot, &result, now)
	l.status.Set(cluster.RenderConfig(objects, poolVerdicts(&result, snapshot.Pools), problems, now))
	l.config.Set(kube.ConfigState("poolReconcilerValid", problems))
	l.notices.problems(problems, objects)
	l.metrics.observe(&result, problems)
	l.last = &result
	return result.Next
}

func (l *loop) input(objects cluster.Objects, s lb.Snapshot, now time.Time) alloc.Input {
	in := alloc.Input{Pools: s.Pools, Services: s.Services, Now: now}
	if l.last == nil {
		in.Reserved = cluster.Reservations(objects.Pools)
		return in
	}
	in.Reserved, in.Last = l.last.Reserved, l.last.Outcomes
	return in
}

// write submits what differs from what is stored.
func (l *loop) write(ctx context.Context, stored []*corev1.Service, s lb.Snapshot, result *alloc.Result, now time.Time) {
	byKey := servicesByKey(stored, result, s.Released)
	var writes []kube.Write
	// submit returns true when the Service is right as it stands.
	submit := func(svc *corev1.Service, v cluster.Verdict, landed func()) bool {
		if !l.services.Ready(lb.Key{Namespace: svc.Namespace, Name: svc.Name}, now) {
			return false // a write is on its way, and will be told of when it lands
		}
		out, changed := cluster.Render(svc, v, now)
		if changed {
			writes = append(writes, kube.Write{Service: out, Landed: landed})
		}
		return !changed
	}
	l.releases.update(byKey, result, l.services.InFlight)
	for i := range result.Outcomes {
		o := &result.Outcomes[i]
		svc := byKey[o.Service]
		if svc == nil { // nothing to write and nothing to tell
			continue
		}
		if l.releases.hold(o) {
			continue
		}
		if submit(svc, verdict(o), func() { l.notices.outcome(svc, o) }) {
			l.notices.standing(svc, o)
		}
	}
	for _, k := range s.Released {
		if svc := byKey[k]; svc != nil {
			submit(svc, cluster.Verdict{}, func() { l.log.Info("released", "service", k) })
		}
	}
	l.notices.forget(result)
	l.services.Submit(ctx, writes)
}

// servicesByKey finds the objects of those Services that may need a write or an event. Most
// Services of a quiet cluster have what they should have and are not looked up.
func servicesByKey(stored []*corev1.Service, result *alloc.Result, released []lb.Key) map[lb.Key]*corev1.Service {
	byKey := map[lb.Key]*corev1.Service{}
	for i := range result.Outcomes {
		if o := &result.Outcomes[i]; o.Changed || o.Reason != lb.IPAllocated {
			byKey[o.Service] = nil
		}
	}
	for _, k := range released {
		byKey[k] = nil
	}
	if len(byKey) == 0 {
		return byKey
	}
	for _, s := range stored {
		k := lb.Key{Namespace: s.Namespace, Name: s.Name}
		if _, wanted := byKey[k]; wanted {
			byKey[k] = s
		}
	}
	return byKey
}

func verdict(o *alloc.Outcome) cluster.Verdict {
	return cluster.Verdict{
		Addrs: o.Addrs, Pool: o.Pool, Reason: o.Reason, Message: o.Text(), Headline: o.Headline(),
	}
}

// poolVerdicts sorts what one pass found out by the names of the pools.
func poolVerdicts(result *alloc.Result, pools []lb.Pool) map[string]cluster.PoolVerdict {
	verdicts := make(map[string]cluster.PoolVerdict, len(result.Usage))
	for _, u := range result.Usage {
		verdicts[u.Pool] = cluster.PoolVerdict{
			AssignedIPv4: u.AssignedIPv4, AssignedIPv6: u.AssignedIPv6,
			AvailableIPv4: u.AvailableIPv4, AvailableIPv6: u.AvailableIPv6,
		}
	}
	for _, r := range result.Reserved {
		for i := range pools {
			if name := pools[i].Name; pools[i].Contains(r.Addr) {
				v := verdicts[name]
				v.Reserved = append(v.Reserved, r)
				verdicts[name] = v
				break
			}
		}
	}
	return verdicts
}
