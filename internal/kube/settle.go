// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarion-lb/clarion/internal/cluster"
	"github.com/clarion-lb/clarion/internal/lb"
)

// settle reads a Service whose write got no answer, until the server says what is stored: the write,
// perhaps. The assumption stands all the while: the address may have been granted.
func (w *ServiceWriter) settle(ctx context.Context, wr Write) {
	k := keyOf(wr.Service)
	pause := retryFirst
	for {
		attempt, cancel := context.WithTimeout(ctx, writeTimeout)
		stored, err := w.client.CoreV1().Services(k.Namespace).Get(attempt, k.Name, metav1.GetOptions{})
		cancel()
		switch {
		case err == nil:
			if sameAssignment(stored, wr.Service) {
				wr.Landed()
			}
			w.overlay.landed(stored)
			return
		case apierrors.IsNotFound(err):
			w.overlay.drop(k)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
			pause = min(2*pause, retryMost)
		}
	}
}

// sameAssignment compares what this writer writes. The server adds an ipMode, and keeps times to
// the second; conditions of others are theirs.
func sameAssignment(a, b *corev1.Service) bool {
	x := meta.FindStatusCondition(a.Status.Conditions, cluster.ConditionAddressAssigned)
	y := meta.FindStatusCondition(b.Status.Conditions, cluster.ConditionAddressAssigned)
	sameCondition := x == y || x != nil && y != nil && x.Status == y.Status && x.Reason == y.Reason && x.Message == y.Message
	return a.UID == b.UID && cluster.PoolAnnotation(a) == cluster.PoolAnnotation(b) && sameCondition &&
		slices.EqualFunc(a.Status.LoadBalancer.Ingress, b.Status.LoadBalancer.Ingress, func(x, y corev1.LoadBalancerIngress) bool {
			return x.IP == y.IP && x.Hostname == y.Hostname
		})
}

// forget lets the next failure of a Service be its first.
func (w *ServiceWriter) forget(k lb.Key) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.pauses, k)
}

func (w *ServiceWriter) retry(k lb.Key) {
	w.mu.Lock()
	after := min(max(retryFirst, 2*w.pauses[k]), retryMost)
	w.pauses[k] = after
	w.delayed[k] = time.Now().Add(after)
	w.mu.Unlock()
	time.AfterFunc(after, func() {
		w.mu.Lock()
		delete(w.delayed, k)
		w.mu.Unlock()
		w.kick()
	})
}

// forgetGone forgets the failures of Services that there are no more: nobody writes them again.
func (w *ServiceWriter) forgetGone(services []*cluster.Packed) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.pauses) == 0 {
		return
	}
	left := make(map[lb.Key]time.Duration, len(w.pauses))
	for _, s := range services {
		if pause, failed := w.pauses[s.Key()]; failed {
			left[s.Key()] = pause
		}
	}
	w.pauses = left
}
