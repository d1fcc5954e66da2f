// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// Timing of the controller's Lease. The leader renews every retryPeriod and stops by itself when
// it could not for renewDeadline; leaseDuration - renewDeadline is the time in which such a leader
// has stopped and its successor has not begun. A standby looks every retryPeriod, drawn out by up
// to 1.2 of it at random (0.2 to 0.44 s), and counts leaseDuration from when it saw the last
// renewal. So a leader that dies is replaced 2.88 s later at worst: 0.44 s until its last renewal
// is seen, 2 s, and 0.44 s until the next look. The Lease stores whole seconds only.
const (
	leaseDuration = 2 * time.Second
	renewDeadline = 1500 * time.Millisecond
	retryPeriod   = 200 * time.Millisecond
)

// Lease names the object that replicas compete for, and this replica, whose Term is kept.
type Lease struct {
	Namespace, Name string
	Identity        string
	Term            *Term
}

// String returns "namespace/name".
func (l Lease) String() string { return l.Namespace + "/" + l.Name }

// ErrLeaseLost means that another replica leads, or may soon. What this one knows may be older than what that
// one decides, so nothing of it is to be used again.
var ErrLeaseLost = errors.New("lost the lease")

// Lead runs work while this process holds the Lease, and returns when ctx ends (the Lease is
// then released, so that a successor starts at once) or with ErrLeaseLost when the Lease was lost.
func Lead(ctx context.Context, log *slog.Logger, client kubernetes.Interface, l Lease, work func(context.Context) error) error {
	// The elector ends the context of its work only after the Lease is gone. The work must
	// have ended first, or a successor could begin while our last write is on its way.
	electorCtx, releaseLease := context.WithCancel(context.WithoutCancel(ctx))
	defer releaseLease()

	var result error
	started := make(chan struct{})
	done := make(chan struct{})
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Name:            l.Name,
		Lock:            &termLock{l.lock(client), l.Term, releaseLease},
		LeaseDuration:   leaseDuration,
		RenewDeadline:   renewDeadline,
		RetryPeriod:     retryPeriod,
		ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(leading context.Context) {
				close(started)
				defer close(done)
				log.Info("leading", "lease", l.String())
				result = workUntil(ctx, leading, work)
				releaseLease()
			},
			OnStoppedLeading: func() {},
			OnNewLeader: func(id string) {
				if id != l.Identity {
					log.Info("standing by", "leader", id)
				}
			},
		},
	})
	if err != nil {
		return fmt.Errorf("set up lease %s: %w", l, err)
	}
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-started: // work ends first and releases the Lease
		default:
			releaseLease()
		}
	})
	defer stop()
	elector.Run(electorCtx)

	select {
	case <-started:
		<-done
	default: // never led
	}
	if ctx.Err() != nil {
		return result
	}
	if result != nil {
		return result
	}
	return fmt.Errorf("%w %s", ErrLeaseLost, l)
}

// workUntil runs work until the program is asked to stop or the Lease is lost.
func workUntil(ctx, leading context.Context, work func(context.Context) error) error {
	both, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(leading, cancel)()
	return work(both)
}

func (l Lease) lock(client kubernetes.Interface) resourcelock.Interface {
	return &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Namespace: l.Namespace, Name: l.Name},
		Client:     client.CoordinationV1(),
		LockConfig: resourcelock.ResourceLockConfig{Identity: l.Identity},
	}
}
