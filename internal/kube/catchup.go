// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes"

	"github.com/clarion-lb/clarion/internal/cluster"
	"github.com/clarion-lb/clarion/internal/daemon"
)

const (
	catchUpPage  = 500 // Services read at a time, so that few are in memory twice
	catchUpFirst = 20 * time.Millisecond
	catchUpMost  = time.Second
)

// CatchUp returns when the local copies show every address that the API server has stored by
// now. A new leader needs it: its watch may hang behind, as after a restart of the API server,
// and optimistic locking does not help against giving one Service what another one was given
// by the last leader, because those are two objects. It returns an error only when ctx ends.
func (s *Sources) CatchUp(ctx context.Context, log *slog.Logger, client kubernetes.Interface) error {
	begin := time.Now()
	for pause := catchUpFirst; ; pause = min(2*pause, catchUpMost) {
		if s.Services.Synced() {
			behind, err := unseen(ctx, client, s.Services)
			switch {
			case err != nil:
				log.Warn("compare the local copies with the API server; trying again", "error", err)
			case behind == 0:
				log.Info("caught up", "took", time.Since(begin).Round(time.Millisecond))
				return nil
			default:
				log.Info("the watch is behind", "services", behind)
			}
		}
		if err := daemon.Sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// unseen counts the Services with addresses that the store has not, or older than stored.
func unseen(ctx context.Context, client kubernetes.Interface, copies Store[*cluster.Packed]) (behind int, err error) {
	// Without a resource version the list is what etcd has, not what a cache has.
	o := metav1.ListOptions{
		Limit:         catchUpPage,
		FieldSelector: fields.OneTermEqualSelector("spec.type", string(corev1.ServiceTypeLoadBalancer)).String(),
	}
	for {
		page, err := client.CoreV1().Services(metav1.NamespaceAll).List(ctx, o)
		if err != nil {
			return behind, fmt.Errorf("list services: %w", err)
		}
		for i := range page.Items {
			now := &page.Items[i]
			if len(now.Status.LoadBalancer.Ingress) == 0 {
				continue
			}
			seen, ok := copies.Get(keyOf(now))
			if !ok || seen.GetUID() != now.UID || !notOlder(seen.GetResourceVersion(), now.ResourceVersion) {
				behind++
			}
		}
		if o.Continue = page.Continue; o.Continue == "" {
			return behind, nil
		}
	}
}
