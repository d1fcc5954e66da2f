// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/clarion-lb/clarion/internal/alloc"
	"github.com/clarion-lb/clarion/internal/cluster"
	"github.com/clarion-lb/clarion/internal/kube"
	"github.com/clarion-lb/clarion/internal/lb"
)

// restFactor is how many times longer than a pass the loop rests after it, so that a flood
// of changes costs at most a sixth of one core for planning. A pass over a handful of
// Services takes microseconds, and so does the rest. It is bounded, because a pass during which
// the machine gave the processor to others for a while proves nothing about what planning costs.
const (
	restFactor = 5
	restMost   = 100 * time.Millisecond
)

// sources give the local copies of all objects, or false while they are not known.
type sources interface {
	Objects() (o cluster.Objects, known bool)
}

// loop is the controller: on every kick it compiles the whole cluster, plans the whole
// allocation and hands the differences to the writers.
type loop struct {
	log      *slog.Logger
	kick     chan struct{}
	sources  sources
	services *kube.ServiceWriter
	status   *kube.StatusWriter
	config   *kube.ConfigWriter
	notices  *notices
	metrics  *metrics

	standby  standby // of the time before this replica led
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
		case <-l.services.Freed():
		case <-wake.C: // a reservation or cooldown ended
		}
		begin := time.Now()
		next := l.pass(ctx, begin)
		if !next.IsZero() {
			wake.Reset(time.Until(next))
		}
		l.rest(ctx, min(restFactor*time.Since(begin), restMost))
	}
}

// rest waits a while, but not longer than the writers have work.
func (l *loop) rest(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	case <-l.services.Freed():
		select {
		case l.kick <- struct{}{}:
		default:
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
		in.Reserved, in.Last = cluster.Reservations(objects.Pools), l.standby.notes.Last(now)
		return in
	}
	in.Reserved, in.Last = l.last.Reserved, l.last.Outcomes
	return in
}

// write submits what differs from what is stored, as much as the writer has room for: the rest
// is decided anew when there is room again.
func (l *loop) write(ctx context.Context, stored []*cluster.Packed, s lb.Snapshot, result *alloc.Result, now time.Time) {
	l.releases.update(s.Services, result, l.services.InFlight)
	changes, left := l.changes(s, result, complaints(stored), now)
	byKey := cluster.Find(stored, changes, func(c *change) lb.Key { return c.key })
	room := l.services.Room()
	var writes []kube.Write
	for _, c := range changes {
		svc := byKey[c.key]
		switch {
		case svc == nil: // compiled from what was listed, so this cannot be
		case c.standing() && svc.Says(c.verdict()):
			l.notices.standing(svc, c.outcome)
		case len(writes) == room:
			left = true
		default:
			if out, changed := cluster.Render(svc.Unpack(), c.verdict(), now); changed {
				writes = append(writes, kube.Write{Service: out, Landed: l.landed(svc, c), Awaited: c.releases()})
			}
		}
	}
	l.notices.forget(result)
	l.services.Submit(ctx, writes)
	if left {
		l.services.AwaitRoom()
	}
}

// change is a Service that is to be written, or may be.
type change struct {
	key     lb.Key
	outcome *alloc.Outcome // nil: nothing of ours shall be left on it
}

// standing says whether only the condition on the Service can call for a write.
func (c *change) standing() bool { return c.outcome != nil && !c.outcome.Changed }

// releases says whether the write may take an address away that another Service waits for.
func (c *change) releases() bool { return c.outcome != nil && c.outcome.Cleared != "" }

func (c *change) verdict() cluster.Verdict {
	if c.outcome == nil {
		return cluster.Verdict{}
	}
	return verdict(c.outcome)
}

// changes returns the Services that may be written now: the oldest first, because they are
// served first, then those whose condition must be compared and those to be left alone. It
// says whether others are left that the writer has no room for. What waits for the answer to
// a write is none of them: the writer kicks when there is one. Of Services that have what they
// asked for, only those that complain are looked into.
func (l *loop) changes(s lb.Snapshot, result *alloc.Result, complaining map[lb.Key]bool, now time.Time) (out []change, left bool) {
	for _, k := range s.Released {
		if l.services.Ready(k, now) {
			out = append(out, change{key: k})
		}
	}
	var differing []int32 // there may be tens of thousands
	for i := range result.Outcomes {
		o := &result.Outcomes[i]
		if !o.Changed && o.Reason == lb.IPAllocated && !complaining[o.Service] || l.releases.hold(o) || !l.services.Ready(o.Service, now) {
			continue
		}
		if o.Changed {
			differing = append(differing, int32(i))
		} else {
			out = append(out, change{o.Service, o})
		}
	}
	// Outcomes are in the order of the Services that they are for.
	slices.SortStableFunc(differing, func(a, b int32) int { return s.Services[a].Created.Compare(s.Services[b].Created) })
	room := min(len(differing), l.services.Room())
	oldest := make([]change, 0, room+len(out))
	for _, i := range differing[:room] {
		oldest = append(oldest, change{result.Outcomes[i].Service, &result.Outcomes[i]})
	}
	return append(oldest, out...), room < len(differing)
}

// complaints are the Services that have an address and say that something is amiss: rarely any.
func complaints(stored []*cluster.Packed) map[lb.Key]bool {
	var out map[lb.Key]bool
	for _, s := range stored {
		if !s.Complains() {
			continue
		}
		if out == nil {
			out = map[lb.Key]bool{}
		}
		out[s.Key()] = true
	}
	return out
}

// landed returns what to do when the change has been stored. It must not hold on to the whole
// result that the outcome is part of.
func (l *loop) landed(svc *cluster.Packed, c change) func() {
	if c.outcome == nil {
		return func() { l.log.Info("released", "service", c.key) }
	}
	o := *c.outcome
	return func() { l.notices.outcome(svc, &o) }
}

func verdict(o *alloc.Outcome) cluster.Verdict {
	return cluster.Verdict{Addrs: o.Addrs, Pool: o.Pool, Reason: o.Reason, Message: o.Text(), Headline: o.Headline()}
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
