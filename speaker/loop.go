// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarion-lb/clarion/internal/cluster"
	"github.com/clarion-lb/clarion/internal/kube"
	"github.com/clarion-lb/clarion/internal/l2"
	"github.com/clarion-lb/clarion/internal/l2/wire"
	"github.com/clarion-lb/clarion/internal/lb"
	"github.com/clarion-lb/clarion/internal/link"
	"github.com/clarion-lb/clarion/internal/members"
	"github.com/clarion-lb/clarion/internal/plan"
)

// loop is the speaker: on every kick it looks at the whole cluster, plans what this node
// must announce, and hands the whole answer to the wire.
type loop struct {
	log      *slog.Logger
	node     string
	bindPort uint16
	kick     chan struct{}

	sources     *kube.Sources
	speakers    *kube.Speakers // nil without membership
	members     *members.Members
	candidacy   *candidacy
	nodes       *nodeWatch // nil without sessions between speakers
	links       *link.Watcher
	layer2      l2.Config
	ports       atomic.Pointer[ports] // nil while the links are not known
	rivals      *rivals
	wire        *wire.Wire
	bgp         *advertiser
	statuses    *kube.L2StatusWriter
	bgpStatuses *kube.BGPStatusWriter
	config      *kube.ConfigWriter
	events      *kube.Events

	compiler cluster.Compiler
	planner  plan.Planner
	patience plan.Patience
	again    *time.Timer                  // kicks when patience ends
	last     atomic.Pointer[plan.Desired] // what was set last; the metrics read it
	lastBGP  atomic.Pointer[plan.BGP]     // the same of BGP
	waiting  lb.Reason
	leaving  atomic.Bool   // handing over before the end
	planned  atomic.Uint64 // members.Fences before the view that the wire's set follows from
	passes   atomic.Uint64
	waits    atomic.Uint64 // passes that changed nothing, because an input was missing
}

// Run plans until ctx ends. What was announced then stays announced: handing over is the
// caller's next step.
func (l *loop) Run(ctx context.Context) error {
	var b budget
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			return nil
		case <-l.kick:
		case <-l.members.Changed():
		}
		begin := time.Now()
		l.pass(ctx)
		l.rest(ctx, b.spend(begin, time.Since(begin)))
	}
	return nil
}

// rest waits a while, but not when the membership changes: a failover waits for nothing.
func (l *loop) rest(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	case <-l.members.Changed():
		l.kicked() // the news was taken here
	}
}

// pass looks at everything once.
func (l *loop) pass(ctx context.Context) {
	l.passes.Add(1)
	l.tellPeers()
	objects, known := l.sources.Objects()
	if !known {
		l.wait(lb.ClusterUnknown)
		return
	}
	l.candidacy.inform()
	snapshot, problems := l.compiler.Compile(objects)
	l.config.Set(kube.ConfigState("configReconcilerValid", problems))
	fences := l.members.Fences()
	l.advertise(plan.BGPForNode(l.node, snapshot), objects.Services)
	desired, view := l.plan(snapshot)
	if !desired.Known {
		l.wait(desired.Waiting) // unknown is not empty: nothing is withdrawn or taken (I7)
		return
	}
	l.wait("")
	if p := l.ports.Load(); p != nil {
		desired = plan.OnLinks(desired, p.links, p.usable)
	}
	desired = l.rivals.watch(ctx, snapshot, view, desired)
	l.apply(desired, view, objects.Services)
	l.planned.Store(fences)
}

func (l *loop) apply(desired plan.Desired, view lb.View, services []*cluster.Packed) {
	var prev plan.Desired
	if p := l.last.Load(); p != nil {
		prev = *p
	}
	if moved := plan.Handovers(prev, desired); len(moved) > 0 {
		l.wire.Release(moved)
	}
	l.wire.Set(desired.L2)
	l.last.Store(&desired)
	if l.nodes != nil {
		l.nodes.set(desired.Watch, time.Now())
	}
	l.statuses.Set(desired, view)
	l.tell(plan.Transitions(prev, desired), services)
}

// wait logs, once, that an input is missing; "" means that none is.
func (l *loop) wait(reason lb.Reason) {
	if reason != "" {
		l.waits.Add(1)
	}
	if reason == l.waiting {
		return
	}
	l.waiting = reason
	if reason == "" {
		l.log.Info("everything needed is known")
		return
	}
	l.log.Info("waiting; announcements stay as they are", "reason", reason)
}

// tellPeers hands the membership the addresses of the other speakers.
func (l *loop) tellPeers() {
	if l.speakers == nil {
		return
	}
	speakers, known := l.speakers.List()
	if !known {
		return
	}
	peers := make([]members.Peer, 0, len(speakers))
	for _, s := range speakers {
		addr, _ := netip.ParseAddr(s.IP) // invalid while the Pod has no address yet
		peers = append(peers, members.Peer{Node: s.Node, Addr: netip.AddrPortFrom(addr, l.bindPort)})
	}
	l.members.SetPeers(peers)
}

func (l *loop) tell(events []plan.Event, services []*cluster.Packed) {
	if len(events) == 0 {
		return
	}
	byKey := cluster.Find(services, events, func(e *plan.Event) lb.Key { return e.Service })
	for _, e := range events {
		l.log.Info(e.Message, "service", e.Service, "reason", e.Reason)
		svc := byKey[e.Service]
		if svc == nil { // deleted: there is nothing left to attach an event to
			continue
		}
		kind := corev1.EventTypeNormal
		if e.Warning {
			kind = corev1.EventTypeWarning
		}
		l.events.Event(kube.ServiceRef(svc.GetNamespace(), svc.GetName(), string(svc.GetUID())), kind, string(e.Reason), e.Message)
	}
}
