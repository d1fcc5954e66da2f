// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/clarion-lb/clarion/internal/cluster"
)

// A server adds to what it stores, and a write is stored all the same.
func TestWhatIsStoredIsComparedWithWhatWasSent(t *testing.T) {
	sent := func() *corev1.Service {
		s := stored("u", "5", "192.0.2.1")
		s.Annotations = map[string]string{cluster.AnnotationAllocatedPool: "pool"}
		s.Status.Conditions = []metav1.Condition{{
			Type: cluster.ConditionAddressAssigned, Status: metav1.ConditionTrue, Reason: "IPAllocated", Message: "m",
			LastTransitionTime: metav1.NewTime(time.Unix(1, 5)),
		}}
		return s
	}
	for name, c := range map[string]struct {
		change func(*corev1.Service)
		same   bool
	}{
		"as it was sent": {func(*corev1.Service) {}, true},
		"completed": {func(s *corev1.Service) {
			vip := corev1.LoadBalancerIPModeVIP
			s.ResourceVersion, s.Status.LoadBalancer.Ingress[0].IPMode = "6", &vip
			s.Status.Conditions[0].LastTransitionTime = metav1.NewTime(time.Unix(1, 0))
		}, true},
		"with somebody else's": {func(s *corev1.Service) {
			s.Status.Conditions = append(s.Status.Conditions, metav1.Condition{Type: "X"})
			s.Annotations["x"] = "y"
		}, true},
		"with another address":     {func(s *corev1.Service) { s.Status.LoadBalancer.Ingress[0].IP = "192.0.2.2" }, false},
		"without the address":      {func(s *corev1.Service) { s.Status.LoadBalancer.Ingress = nil }, false},
		"with another pool":        {func(s *corev1.Service) { s.Annotations[cluster.AnnotationAllocatedPool] = "other" }, false},
		"with another message":     {func(s *corev1.Service) { s.Status.Conditions[0].Message = "n" }, false},
		"without the condition":    {func(s *corev1.Service) { s.Status.Conditions = nil }, false},
		"another of the same name": {func(s *corev1.Service) { s.UID = "v" }, false},
	} {
		now := sent()
		c.change(now)
		if got := sameAssignment(now, sent()); got != c.same {
			t.Errorf("%s: same is %t, want %t", name, got, c.same)
		}
	}
}

// What fails is tried ever later; of a Service that is gone nothing is remembered.
func TestFailuresOfServicesThatAreGoneAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		conflict := apierrors.NewConflict(schema.GroupResource{Resource: "services"}, "web", errors.New("changed"))
		w := NewServiceWriter(slog.New(slog.DiscardHandler), answering(func() (*corev1.Service, error) { return nil, conflict }, nil), func() {}, always)
		done := make(chan error)
		go func() { done <- w.Run(ctx) }()
		k := keyOf(stored("u", "5", ""))
		for _, pause := range []time.Duration{retryFirst, 2 * retryFirst, 4 * retryFirst} {
			w.Submit(ctx, []Write{{Service: stored("u", "5", "192.0.2.1"), Landed: func() {}}})
			synctest.Wait()
			time.Sleep(pause - time.Millisecond)
			if w.Ready(k, time.Now()) {
				t.Errorf("tried again before %s are over", pause)
			}
			time.Sleep(time.Millisecond)
			synctest.Wait()
			if !w.Ready(k, time.Now()) {
				t.Errorf("not tried again after %s", pause)
			}
		}
		w.Overlay([]*cluster.Packed{packed("u", "5", "")})
		if len(w.pauses) != 1 {
			t.Errorf("remembers %v, want the one that failed", w.pauses)
		}
		w.Overlay(nil)
		if len(w.pauses) != 0 {
			t.Errorf("remembers %v of a Service that is gone", w.pauses)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
}

// slowly answers each write after a while; unlike a fake client it sees when nobody waits any more.
type slowly struct{ takes time.Duration }

func (s slowly) RoundTrip(r *http.Request) (*http.Response, error) {
	select {
	case <-r.Context().Done():
		return nil, r.Context().Err()
	case <-time.After(s.takes):
		return respond(http.StatusOK, stored("u", "6", "192.0.2.1"))
	}
}

func (s slowly) client(t *testing.T) kubernetes.Interface {
	t.Helper()
	c, err := kubernetes.NewForConfigAndClient(&rest.Config{QPS: -1}, &http.Client{Transport: s})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The Lease is released when Run has returned: a successor must not begin while a write is on its
// way. A Lease that is lost is another's by then.
func TestServiceWriterThatIsStoppedWaitsForAnswersWhileItLeads(t *testing.T) {
	for name, c := range map[string]struct {
		answer  time.Duration
		leads   bool // when it is stopped
		took    time.Duration
		landed  bool
		warning string
	}{
		"asked to stop":                {time.Second, true, time.Second, true, ""},
		"asked to stop, and no answer": {time.Hour, true, writeTimeout, false, "stopped without an answer"},
		"the Lease is lost":            {time.Second, false, 0, false, "stopped without an answer"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var logged bytes.Buffer
				var leads, landed atomic.Bool
				leads.Store(true)
				ctx, cancel := context.WithCancel(t.Context())
				w := NewServiceWriter(slog.New(slog.NewTextHandler(&logged, nil)), slowly{c.answer}.client(t), func() {}, leads.Load)
				done := make(chan error)
				go func() { done <- w.Run(ctx) }()
				w.Submit(ctx, []Write{{Service: stored("u", "5", "192.0.2.1"), Landed: func() { landed.Store(true) }}})
				synctest.Wait()
				begin := time.Now()
				leads.Store(c.leads)
				cancel()
				if err := <-done; err != nil {
					t.Errorf("run: %v", err)
				}
				if took := time.Since(begin); took != c.took || landed.Load() != c.landed {
					t.Errorf("ended after %s, landed: %t; want %s and %t", took, landed.Load(), c.took, c.landed)
				}
				if got := logged.String(); strings.Contains(got, "WARN") != (c.warning != "") || !strings.Contains(got, c.warning) {
					t.Errorf("logged %q", got)
				}
			})
		})
	}
}
