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

	"github.com/clarion-lb/clarion/api/v1beta2"
	"github.com/clarion-lb/clarion/internal/cluster"
	"github.com/clarion-lb/clarion/internal/daemon"
)

// statusPause is the least time between two rounds of status writes. A backlog of thousands
// of Services changes a pool's counters thousands of times; users need a few.
const statusPause = 500 * time.Millisecond

// retryPause is how long a refused write rests. What is refused once, for want of rights say,
// is likely refused again.
const retryPause = 5 * time.Second

// StatusWriter keeps the status of the configuration objects. Only the newest wanted status
// counts.
type StatusWriter struct {
	log     *slog.Logger
	clients Clients
	kick    func()
	wake    chan struct{}

	mu     sync.Mutex
	wanted []cluster.ConfigObject // not tried yet
	round  uint64                 // counts the calls of Set
}

// NewStatusWriter returns a writer that wants nothing yet. It kicks when a wanted status was
// based on an old copy: no other change of an object may be worth a look.
func NewStatusWriter(log *slog.Logger, clients Clients, kick func()) *StatusWriter {
	return &StatusWriter{log: log, clients: clients, kick: kick, wake: make(chan struct{}, 1)}
}

// Set says which objects shall be stored with which status; what was wanted before is forgotten.
// The objects must not change any more.
func (w *StatusWriter) Set(objects []cluster.ConfigObject) {
	w.mu.Lock()
	w.wanted = objects
	w.round++
	w.mu.Unlock()
	if len(objects) > 0 {
		wake(w.wake)
	}
}

// Run writes until ctx ends.
func (w *StatusWriter) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.wake:
		}
		pause := statusPause
		ok, stale := w.writeAll(ctx)
		if !ok {
			pause = retryPause
		}
		if daemon.Sleep(ctx, pause) != nil {
			return nil
		}
		if stale {
			w.kick()
		}
	}
}

// writeAll tries each wanted object once, and says whether all is well and whether any copy was
// stale. What failed stays wanted, unless Set has said something newer by then.
func (w *StatusWriter) writeAll(ctx context.Context) (ok, stale bool) {
	w.mu.Lock()
	objects, round := w.wanted, w.round
	w.wanted = nil
	w.mu.Unlock()
	var failed []cluster.ConfigObject
	for _, o := range objects {
		err := w.write(ctx, o)
		switch {
		case err == nil, apierrors.IsNotFound(err):
		case apierrors.IsConflict(err):
			stale = true // the newer copy arrives during the pause
		default:
			failed = append(failed, o)
			if ctx.Err() == nil {
				w.log.Warn("write status; trying again", "kind", o.Kind, "object", o.Object.GetName(), "error", err)
			}
		}
	}
	if len(failed) == 0 {
		return true, stale
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.round == round {
		w.wanted = failed
		wake(w.wake)
	}
	return false, stale
}

func (w *StatusWriter) write(ctx context.Context, o cluster.ConfigObject) error {
	return w.client(o).Put().Namespace(o.Object.GetNamespace()).Resource(o.Resource).Name(o.Object.GetName()).
		SubResource("status").Body(o.Object).Do(ctx).Error()
}

func (w *StatusWriter) client(o cluster.ConfigObject) rest.Interface {
	if o.APIVersion == v1beta2.GroupVersion().String() {
		return w.clients.V1beta2
	}
	return w.clients.V1beta1
}

// wake puts the one token into a one-slot channel.
func wake(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
