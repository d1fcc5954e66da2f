// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"log/slog"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"

	"github.com/clarion-lb/clarion/api/v1beta1"
	"github.com/clarion-lb/clarion/internal/daemon"
)

// poolPause is the least time between two rounds of pool status writes. A backlog of
// thousands of Services changes a pool's counters thousands of times; users need a few.
const poolPause = 500 * time.Millisecond

// PoolWriter keeps the status of the pools. Only the newest wanted status counts.
type PoolWriter struct {
	log    *slog.Logger
	client rest.Interface
	pools  Store[*v1beta1.IPAddressPool]
	wake   chan struct{}

	mu     sync.Mutex
	wanted RenderPool
}

// RenderPool returns the pool as it shall be stored, and false when it is right already.
type RenderPool func(*v1beta1.IPAddressPool) (*v1beta1.IPAddressPool, bool)

// NewPoolWriter returns a writer for the pools of a store.
func NewPoolWriter(log *slog.Logger, client rest.Interface, pools Store[*v1beta1.IPAddressPool]) *PoolWriter {
	return &PoolWriter{log: log, client: client, pools: pools, wake: make(chan struct{}, 1)}
}

// Set says what the status of every pool shall be from now on. Render is called later, from
// another goroutine.
func (w *PoolWriter) Set(render RenderPool) {
	w.mu.Lock()
	w.wanted = render
	w.mu.Unlock()
	wake(w.wake)
}

// Run writes until ctx ends.
func (w *PoolWriter) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.wake:
		}
		w.round(ctx)
		if daemon.Sleep(ctx, poolPause) != nil {
			return nil
		}
	}
}

func (w *PoolWriter) round(ctx context.Context) {
	w.mu.Lock()
	render := w.wanted
	w.mu.Unlock()
	for _, p := range w.pools.List() {
		out, changed := render(p)
		if !changed {
			continue
		}
		err := w.client.Put().Namespace(out.Namespace).Resource("ipaddresspools").Name(out.Name).
			SubResource("status").Body(out).Do(ctx).Error()
		switch {
		case err == nil, apierrors.IsNotFound(err):
		case apierrors.IsConflict(err): // our copy is old; the next round has a newer one
			wake(w.wake)
		case ctx.Err() == nil:
			w.log.Warn("write pool status; trying again", "pool", out.Name, "error", err)
			wake(w.wake)
		}
	}
}

// wake puts the one token into a one-slot channel.
func wake(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
