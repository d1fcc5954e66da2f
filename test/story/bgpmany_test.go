// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarion-lb/clarion/internal/labctl"
	"github.com/clarion-lb/clarion/internal/labctl/frr"
)

// manyChanges: a thousand changes of Services, and no session notices.
func manyChanges(t *testing.T, r bgpRouter) {
	ns := namespace(t)
	apply(t, peerWith("router4", router4)+bgpPool("many", "198.51.100.0/24"))
	create(t, podOn(ns, "web", "n1"))
	stays := onEveryNode(t, namespaceFor(t, "stays"))
	r.leads(t, stays, 1, 2, 3)
	before, held := r.sessions(t), r.unchanged(t, stays)

	const services, times = 100, 4 // one creation, eight edits and one deletion of each
	client := connect(t).CoreV1().Services(ns)
	each := func(change func(ctx context.Context, name string) error) {
		t.Helper()
		if err := inParallel(services, 8, func(i int) error { return change(t.Context(), fmt.Sprintf("many-%03d", i)) }); err != nil {
			t.Fatal(err)
		}
	}
	start := time.Now()
	each(func(ctx context.Context, name string) error {
		none := false
		_, err := client.Create(ctx, &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{"metallb.io/address-pool": "many"}},
			Spec: corev1.ServiceSpec{
				Type: corev1.ServiceTypeLoadBalancer, Selector: map[string]string{"app": "web"}, AllocateLoadBalancerNodePorts: &none,
				Ports: []corev1.ServicePort{{Port: 80}},
			},
		}, metav1.CreateOptions{})
		return err
	})
	n1 := frr.NodeAddress(1, false).String()
	r.received(t, n1, services+1)
	t.Logf("%d Services on the router after %s", services, time.Since(start).Round(time.Millisecond))
	patch := func(body string) func(context.Context, string) error {
		return func(ctx context.Context, name string) error {
			_, err := client.Patch(ctx, name, types.MergePatchType, []byte(body), metav1.PatchOptions{})
			return err
		}
	}
	for range times {
		each(patch(`{"spec":{"selector":{"app":"nobody"}}}`)) // the route goes with the last endpoint
		r.received(t, n1, 1)
		each(patch(`{"spec":{"selector":{"app":"web"}}}`))
		r.received(t, n1, services+1)
	}
	each(func(ctx context.Context, name string) error { return client.Delete(ctx, name, metav1.DeleteOptions{}) })
	r.received(t, n1, 1)
	t.Logf("%d changes in %s", (2+2*times)*services, time.Since(start).Round(time.Millisecond))
	held()
	if after := r.sessions(t); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("sessions flapped: %v, before %v", after, before)
	}
}

// received waits until the router has so many prefixes from a neighbour.
func (r bgpRouter) received(t *testing.T, neighbor string, want int) {
	t.Helper()
	if err := labctl.Eventually(t.Context(), time.Minute, func(ctx context.Context) error {
		n, err := r.Prefixes(ctx, "ipv4", neighbor)
		if err == nil && n != want {
			err = fmt.Errorf("the router has %d prefixes from %s, want %d", n, neighbor, want)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// inParallel calls f with 0..n-1 from several goroutines.
func inParallel(n, workers int, f func(i int) error) error {
	var next atomic.Int64
	done := make(chan error)
	for range workers {
		go func() {
			var errs []error
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				errs = append(errs, f(i))
			}
			done <- errors.Join(errs...)
		}()
	}
	var errs []error
	for range workers {
		errs = append(errs, <-done)
	}
	return errors.Join(errs...)
}
