// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// settled is when a leader has renewed its Lease for a while, and between two renewals.
const settled = 10*leaseDuration + retryPeriod/2

// machine is a clock that goes on while the machine is suspended, in a bubble whose clock does not.
type machine struct {
	start     time.Time
	suspended atomic.Int64
}

func (m *machine) sinceBoot() time.Duration {
	return time.Since(m.start) + time.Duration(m.suspended.Load())
}

// leaseServer serves one Lease, with optimistic locking, which the fake client does not have.
type leaseServer struct {
	*fake.Clientset
	taken atomic.Bool // by another process
	down  atomic.Bool // answers nothing
}

func newLeaseServer() *leaseServer {
	s := &leaseServer{Clientset: fake.NewClientset()}
	s.PrependReactor("*", "leases", func(a clienttesting.Action) (bool, runtime.Object, error) {
		if s.down.Load() {
			return true, nil, errors.New("connection refused")
		}
		if a.GetVerb() == "update" && s.taken.Load() {
			return true, nil, apierrors.NewConflict(schema.GroupResource{Resource: "leases"}, "l", errors.New("changed"))
		}
		return false, nil, nil
	})
	return s
}

// take makes the Lease another process's.
func (s *leaseServer) take(t *testing.T, holder string) {
	t.Helper()
	lease := s.lease(t)
	lease.Spec.HolderIdentity = &holder
	if err := s.Tracker().Update(coordinationv1.SchemeGroupVersion.WithResource("leases"), lease, "ns"); err != nil {
		t.Fatal(err)
	}
	s.taken.Store(true)
}

func (s *leaseServer) lease(t *testing.T) *coordinationv1.Lease {
	t.Helper()
	lease, err := s.CoordinationV1().Leases("ns").Get(context.Background(), "l", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return lease
}

// leading starts to lead with the Lease of the server. ended is closed when the work has ended.
func leading(ctx context.Context, s *leaseServer, m *machine) (term *Term, ended chan struct{}, result chan error) {
	term, ended, result = newTerm(m.sinceBoot), make(chan struct{}), make(chan error, 1)
	lease := Lease{Namespace: "ns", Name: "l", Identity: "a", Term: term}
	go func() {
		result <- Lead(ctx, slog.New(slog.DiscardHandler), s, lease, func(ctx context.Context) error {
			<-ctx.Done()
			close(ended)
			return nil
		})
	}()
	return term, ended, result
}

func TestALeaderThatStoodStillWritesNothingMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, m := newLeaseServer(), &machine{start: time.Now()}
		term, ended, result := leading(t.Context(), server, m)
		time.Sleep(settled)
		if !term.Holds() {
			t.Fatal("a leader that renews its Lease may not write")
		}
		m.suspended.Store(int64(4 * time.Second))
		server.take(t, "b")
		if term.Holds() {
			t.Error("it may write before it knows that another one leads")
		}
		begin := time.Now()
		<-ended
		if took := time.Since(begin); took > retryPeriod {
			t.Errorf("its work went on for %s", took)
		}
		if err := <-result; err == nil {
			t.Error("the Lease is lost, and there is no error")
		}
		time.Sleep(leaseDuration)
		if got := *server.lease(t).Spec.HolderIdentity; got != "b" || term.Holds() {
			t.Errorf("the Lease is held by %q; may write: %t", got, term.Holds())
		}
	})
}

func TestALeaderThatCannotRenewStopsBeforeAnotherCanLead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newLeaseServer()
		term, ended, result := leading(t.Context(), server, &machine{start: time.Now()})
		time.Sleep(settled)
		server.down.Store(true)
		time.Sleep(renewDeadline - retryPeriod)
		if !term.Holds() {
			t.Error("it gives up while nobody else can lead yet")
		}
		time.Sleep(retryPeriod)
		if term.Holds() {
			t.Errorf("it may write %s after the last renewal", renewDeadline)
		}
		<-ended
		if err := <-result; err == nil {
			t.Error("the Lease is lost, and there is no error")
		}
	})
}

func TestALeaderThatIsAskedToStopReleasesItsLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newLeaseServer()
		ctx, cancel := context.WithCancel(t.Context())
		term, _, result := leading(ctx, server, &machine{start: time.Now()})
		time.Sleep(settled)
		cancel()
		if err := <-result; err != nil {
			t.Error(err)
		}
		if got := *server.lease(t).Spec.HolderIdentity; got != "" || term.Holds() {
			t.Errorf("the Lease is held by %q; may write: %t", got, term.Holds())
		}
	})
}

// client-go releases a Lease without asking whose it is by then.
func TestALeaderDoesNotReleaseTheLeaseOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, m := newLeaseServer(), &machine{start: time.Now()}
		ctx, cancel := context.WithCancel(t.Context())
		_, _, result := leading(ctx, server, m)
		time.Sleep(settled)
		server.take(t, "b")
		server.taken.Store(false) // the release is based on what it has just read
		cancel()
		if err := <-result; err != nil {
			t.Error(err)
		}
		if got := *server.lease(t).Spec.HolderIdentity; got != "b" {
			t.Errorf("the Lease is held by %q", got)
		}
	})
}

func TestAStandbyHasNoTermToLose(t *testing.T) {
	server, m := newLeaseServer(), &machine{start: time.Now()}
	term := newTerm(m.sinceBoot)
	lock := &termLock{Lease{Namespace: "ns", Name: "l", Identity: "a"}.lock(server), term, func() { t.Error("lost") }}
	ctx := t.Context()
	other, own := resourcelock.LeaderElectionRecord{HolderIdentity: "b"}, resourcelock.LeaderElectionRecord{HolderIdentity: "a"}
	if err := lock.Interface.Create(ctx, other); err != nil {
		t.Fatal(err)
	}
	if _, _, err := lock.Get(ctx); err != nil || term.Holds() {
		t.Errorf("error %v; may write: %t", err, term.Holds())
	}
	if err := lock.Update(ctx, own); err != nil || !term.Holds() {
		t.Errorf("took the Lease over: error %v; may write: %t", err, term.Holds())
	}
}
