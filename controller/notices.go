// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"log/slog"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarion-lb/clarion/internal/alloc"
	"github.com/clarion-lb/clarion/internal/cluster"
	"github.com/clarion-lb/clarion/internal/kube"
	"github.com/clarion-lb/clarion/internal/lb"
)

// notices tells users what changed: once when it changes, never on each pass. What has been
// told is forgotten with the process, so a standing problem may be told again by the next
// leader; the API server counts it up on the same event.
type notices struct {
	log    *slog.Logger
	events *kube.Events

	mu       sync.Mutex // writes land on other goroutines
	told     map[lb.Key]alloc.Outcome
	reported map[lb.Problem]struct{}
}

func newNotices(log *slog.Logger, events *kube.Events) *notices {
	return &notices{log: log, events: events, told: map[lb.Key]alloc.Outcome{}, reported: map[lb.Problem]struct{}{}}
}

// outcome tells what a landed write means for its Service.
func (n *notices) outcome(svc *cluster.Packed, o *alloc.Outcome) {
	n.mu.Lock()
	events := o.Events(n.told[o.Service])
	n.remember(o)
	n.mu.Unlock()
	n.log.Info("service status written", "service", o.Service, "addr", o.Addrs, "pool", o.Pool, "reason", o.Reason)
	n.send(svc, events)
}

// standing tells of a problem for which nothing had to be written.
func (n *notices) standing(svc *cluster.Packed, o *alloc.Outcome) {
	n.mu.Lock()
	told, known := n.told[o.Service]
	events := o.Events(told)
	n.remember(o)
	n.mu.Unlock()
	if known || len(o.Addrs) > 0 {
		n.send(svc, events)
	}
	// Otherwise the condition was there before this process: its users know.
}

func (n *notices) remember(o *alloc.Outcome) {
	if o.Reason == lb.IPAllocated {
		delete(n.told, o.Service)
		return
	}
	n.told[o.Service] = *o
}

// forget drops what was told of Services that are gone.
func (n *notices) forget(result *alloc.Result) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for k := range n.told {
		if _, exists := result.Outcome(k); !exists {
			delete(n.told, k)
		}
	}
}

func (n *notices) send(svc *cluster.Packed, events []alloc.Event) {
	if len(events) == 0 {
		return
	}
	ref := kube.ServiceRef(svc.GetNamespace(), svc.GetName(), string(svc.GetUID()))
	for _, e := range events {
		n.events.Event(ref, eventType(e.Warning), string(e.Reason), e.Message)
	}
}

func eventType(warning bool) string {
	if warning {
		return corev1.EventTypeWarning
	}
	return corev1.EventTypeNormal
}

// problems tells of mistakes in objects, each one when it first appears.
func (n *notices) problems(problems []lb.Problem, objects cluster.Objects) {
	n.mu.Lock()
	fresh := map[lb.Problem]struct{}{}
	var unseen []lb.Problem
	for _, p := range problems {
		if _, seen := n.reported[p]; !seen {
			unseen = append(unseen, p)
		}
		fresh[p] = struct{}{}
	}
	n.reported = fresh
	n.mu.Unlock()
	if len(unseen) == 0 {
		return
	}
	refs := problemRefs(objects, unseen)
	for _, p := range unseen {
		n.log.Warn("problem in an object", "kind", p.Kind, "object", p.Object, "field", p.Field,
			"reason", p.Reason, "message", p.Message)
		if ref := refs[objectID{p.Kind, p.Object}]; ref != nil {
			n.events.Event(ref, corev1.EventTypeWarning, string(p.Reason), eventText(p))
		}
	}
}

// eventText names the field of a mistake and the cure, but for deprecated annotations: that is an
// event of MetalLB's, and scripts may know its text, which names the annotation. The cure is logged.
func eventText(p lb.Problem) string {
	if p.Reason == lb.DeprecatedAnnotation {
		text, _, _ := strings.Cut(p.Message, ";")
		return text
	}
	return cluster.Summary([]lb.Problem{p})
}

// objectID names an object among those of all kinds.
type objectID struct {
	kind string
	key  lb.Key
}

// problemRefs returns what an event must know of each object that a problem is in.
func problemRefs(o cluster.Objects, problems []lb.Problem) map[objectID]*corev1.ObjectReference {
	refs := make(map[objectID]*corev1.ObjectReference, len(problems))
	for _, p := range problems {
		refs[objectID{p.Kind, p.Object}] = nil
	}
	for _, s := range o.Services {
		id := objectID{"Service", s.Key()}
		if _, wanted := refs[id]; wanted {
			refs[id] = kube.ServiceRef(id.key.Namespace, id.key.Name, string(s.GetUID()))
		}
	}
	for _, c := range o.Config() {
		id := objectID{c.Kind, lb.Key{Namespace: c.Object.GetNamespace(), Name: c.Object.GetName()}}
		if _, wanted := refs[id]; wanted {
			refs[id] = kube.CustomRef(c.APIVersion, c.Kind, id.key.Namespace, id.key.Name, string(c.Object.GetUID()))
		}
	}
	return refs
}
