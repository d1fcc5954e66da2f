// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarion-lb/clarion/api/v1beta1"
	"github.com/clarion-lb/clarion/internal/lb"
	"github.com/clarion-lb/clarion/internal/plan"
)

// MetalLB's labels on the status objects of announcements.
const (
	labelStatusNode      = "metallb.io/node"
	labelStatusService   = "metallb.io/service-name"
	labelStatusNamespace = "metallb.io/service-namespace"

	l2StatusResource = "servicel2statuses"
)

// L2StatusWriter keeps one ServiceL2Status for each Service that this node announces.
type L2StatusWriter struct {
	statusRounds
	stored Store[*v1beta1.ServiceL2Status]

	mu     sync.Mutex
	wanted plan.Desired
	view   lb.View
}

// NewL2StatusWriter returns a writer of objects in the namespace, owned by this speaker's Pod.
func NewL2StatusWriter(w *Watcher, c Clients, namespace string, owner *Owner, log *slog.Logger) (*L2StatusWriter, error) {
	out := &L2StatusWriter{statusRounds: statusRounds{log, objectKind{c.V1beta1, namespace, l2StatusResource}, owner, make(chan struct{}, 1)}}
	stored, err := Watch(w, Source[*v1beta1.ServiceL2Status]{
		Client: c.V1beta1, Resource: l2StatusResource, Namespace: namespace,
		Example: &v1beta1.ServiceL2Status{}, Strip: stripManaged[*v1beta1.ServiceL2Status],
		Same: sameIdentity, Kick: func() { wake(out.wake) }, Output: true,
	})
	out.stored = stored
	return out, err
}

// sameIdentity is sameOwner for objects whose labels are among the copies: these are read without.
func sameIdentity(a, b *v1beta1.ServiceL2Status) bool {
	return sameOwner(a, b) && maps.Equal(a.Labels, b.Labels)
}

// Set says what this node announces, and who is alive, from now on.
func (w *L2StatusWriter) Set(d plan.Desired, v lb.View) {
	w.mu.Lock()
	w.wanted, w.view = d, v
	w.mu.Unlock()
	wake(w.wake)
}

// Run writes until ctx ends.
func (w *L2StatusWriter) Run(ctx context.Context) error { return w.run(ctx, w.round) }

func (w *L2StatusWriter) round(ctx context.Context) error {
	w.mu.Lock()
	desired, view := w.wanted, w.view
	w.mu.Unlock()
	if !desired.Known || !w.stored.Synced() {
		return nil
	}
	stored := map[string]*v1beta1.ServiceL2Status{}
	var existing []plan.L2Status
	for _, s := range w.stored.List() {
		stored[s.Name] = s
		existing = append(existing, readL2Status(s))
	}
	var failed failures
	for _, s := range plan.L2Statuses(desired) {
		if failed.add(w.put(ctx, s, stored[s.Name])) {
			break
		}
	}
	for _, s := range plan.StaleL2Statuses(desired, view, existing) {
		if failed.add(deleteObject(ctx, w.kind, s.Name)) {
			break
		}
	}
	return failed.err()
}

// put makes one object right.
func (w *L2StatusWriter) put(ctx context.Context, s plan.L2Status, stored *v1beta1.ServiceL2Status) error {
	want := &v1beta1.ServiceL2Status{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: w.kind.namespace, Name: s.Name, OwnerReferences: w.owner.references,
			Labels: map[string]string{
				labelStatusNode: s.Node, labelStatusService: s.Service.Name, labelStatusNamespace: s.Service.Namespace,
			},
		},
		Status: renderL2Status(s),
	}
	if stored == nil {
		keepTransitionTimes(want.Status.Conditions, nil)
		return putObject(ctx, w.kind, want, nil, false)
	}
	keepTransitionTimes(want.Status.Conditions, stored.Status.Conditions)
	if !maps.Equal(stored.Labels, withLabels(stored.Labels, want.Labels)) {
		return putObject(ctx, w.kind, want, nil, false) // like one that is not among the copies
	}
	if sameL2Status(stored.Status, want.Status) && reflect.DeepEqual(stored.OwnerReferences, want.OwnerReferences) {
		return nil
	}
	return putObject(ctx, w.kind, want, stored, true)
}

func renderL2Status(s plan.L2Status) v1beta1.ServiceL2StatusStatus {
	out := v1beta1.ServiceL2StatusStatus{
		Node: s.Node, ServiceName: s.Service.Name, ServiceNamespace: s.Service.Namespace,
	}
	for _, i := range s.Interfaces {
		out.Interfaces = append(out.Interfaces, v1beta1.InterfaceInfo{Name: i})
	}
	if s.Conflict != "" {
		out.Conditions = []metav1.Condition{{
			Type: v1beta1.ConditionAddressConflict, Status: metav1.ConditionTrue, Reason: "ForeignHost",
			Message: s.Conflict,
		}}
	}
	return out
}

func readL2Status(s *v1beta1.ServiceL2Status) plan.L2Status {
	out := plan.L2Status{
		Name: s.Name, Node: s.Status.Node,
		Service: lb.Key{Namespace: s.Status.ServiceNamespace, Name: s.Status.ServiceName},
	}
	for _, i := range s.Status.Interfaces {
		out.Interfaces = append(out.Interfaces, i.Name)
	}
	return out
}

func sameL2Status(a, b v1beta1.ServiceL2StatusStatus) bool {
	return a.Node == b.Node && a.ServiceName == b.ServiceName && a.ServiceNamespace == b.ServiceNamespace &&
		slices.Equal(a.Interfaces, b.Interfaces) && slices.Equal(a.Conditions, b.Conditions)
}
