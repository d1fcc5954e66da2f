// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/clarion-lb/clarion/internal/daemon"
)

// A writer lets things settle for roundPause before a round. Status objects are for people to
// read; they must not compete with the Service writes of a mass change. After a round that
// failed it waits longer, twice as long each time: what is refused for want of rights, say, is
// refused again, on every node.
const (
	roundPause     = time.Second
	roundPauseMost = 10 * time.Second
)

// statusRounds is what the writers of a node's status objects have in common.
type statusRounds struct {
	log   *slog.Logger
	kind  objectKind
	owner *Owner
	wake  chan struct{}
}

// run does a round after each wake, until ctx ends.
func (r *statusRounds) run(ctx context.Context, round func(context.Context) error) error {
	if r.owner.wait(ctx) != nil {
		return nil
	}
	for pause := roundPause; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-r.wake:
		}
		if daemon.Sleep(ctx, pause) != nil {
			return nil
		}
		err := round(ctx)
		if err == nil {
			pause = roundPause
			continue
		}
		if ctx.Err() == nil {
			pause = min(2*pause, roundPauseMost)
			r.log.Warn("write status objects; trying again", "resource", r.kind.resource, "again", pause, "error", err)
			wake(r.wake)
		}
	}
}

// failures are the errors of a round: there may be one for each of thousands of objects.
type failures struct {
	first error
	more  int
}

// add counts an error, if it is one, and says whether the next object would meet it, too: a
// right is missing, the namespace is about to go, or the API server is away or has too much to do.
func (f *failures) add(err error) (general bool) {
	switch {
	case err == nil:
		return false
	case f.first == nil:
		f.first = err
	default:
		f.more++
	}
	return apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) || !answered(err)
}

// err returns the first error with the number of the others.
func (f *failures) err() error {
	if f.more == 0 {
		return f.first
	}
	return fmt.Errorf("%w (and %d more errors)", f.first, f.more)
}
