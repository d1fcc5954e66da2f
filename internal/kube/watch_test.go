// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// What the program writes itself is read after everything that it works from, and only then.
func TestOutputsAreReadLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var synced, began atomic.Bool
		w := NewWatcher(slog.New(slog.DiscardHandler), func() {})
		w.watches = []watched{{run: func(ctx context.Context) { <-ctx.Done() }, synced: synced.Load}}
		w.outputs = []watched{{run: func(ctx context.Context) { began.Store(true); <-ctx.Done() }}}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- w.Run(ctx) }()
		time.Sleep(time.Minute) // virtual
		if began.Load() {
			t.Error("outputs are read while the inputs are not known")
		}
		synced.Store(true)
		time.Sleep(time.Second)
		if !began.Load() {
			t.Error("outputs are not read")
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
