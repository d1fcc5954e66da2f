// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"
)

// startEvents runs a writer of events on a fake API server until the test ends.
func startEvents(t *testing.T, client *fake.Clientset, busy func() bool) *Events {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	e := NewEvents(slog.New(slog.DiscardHandler), client.CoreV1(), EventSource{Component: "test", Host: "n1", Busy: busy})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = e.Run(ctx) // returns nil
	}()
	t.Cleanup(func() { cancel(); <-done })
	return e
}

func storedEvents(t *testing.T, client *fake.Clientset) []corev1.Event {
	t.Helper()
	list, err := client.CoreV1().Events("").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return list.Items
}

func TestNoEventIsLostInAFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 3000
		client := fake.NewClientset()
		e := startEvents(t, client, nil)
		for i := range n {
			name := fmt.Sprintf("s%04d", i)
			e.Event(ServiceRef("ns", name, name), corev1.EventTypeNormal, "IPAllocated", "Assigned IP")
		}
		synctest.Wait()
		if got := len(storedEvents(t, client)); got != n {
			t.Errorf("%d events are stored, want %d", got, n)
		}
	})
}

func TestRepeatedEventsAreCountedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		e := startEvents(t, client, nil)
		for range 3 {
			e.Event(ServiceRef("ns", "web", "1"), corev1.EventTypeWarning, "AllocationFailed", "no pool")
			synctest.Wait()
			time.Sleep(time.Second)
		}
		got := storedEvents(t, client)
		if len(got) != 1 || got[0].Count != 3 || got[0].Source.Host != "n1" || got[0].ReportingController != "test" {
			t.Errorf("stored are %+v, want one event that happened three times, signed", got)
		}
	})
}

func TestEventWithoutAnswerIsSentAgain(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want int // events stored in the end
	}{
		"connection refused": {errors.New("connection refused"), 1},
		"overload":           {apierrors.NewTooManyRequests("later", 1), 1},
		"namespace is gone":  {apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "ns"), 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := fake.NewClientset()
				var tries atomic.Int32
				client.PrependReactor("create", "events", func(k8stesting.Action) (bool, runtime.Object, error) {
					return tries.Add(1) < 4, nil, c.err
				})
				e := startEvents(t, client, nil)
				e.Event(ServiceRef("ns", "web", "1"), corev1.EventTypeNormal, "IPAllocated", "Assigned IP")
				time.Sleep(2 * time.Second)
				if got := len(storedEvents(t, client)); got != c.want {
					t.Errorf("%d events are stored after %d tries, want %d", got, tries.Load(), c.want)
				}
			})
		})
	}
}

func TestWarningsOvertakeWhileWritesQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		e := startEvents(t, client, func() bool { return true })
		const n = 100
		for i := range n {
			name := fmt.Sprintf("s%04d", i)
			e.Event(ServiceRef("ns", name, name), corev1.EventTypeNormal, "IPAllocated", "Assigned IP")
		}
		time.Sleep(time.Second)
		e.Event(ServiceRef("ns", "bad", "bad"), corev1.EventTypeWarning, "AllocationFailed", "no pool")
		time.Sleep(50 * time.Millisecond)
		told, warned := 0, false
		for _, ev := range storedEvents(t, client) {
			told++
			warned = warned || ev.Reason == "AllocationFailed"
		}
		if !warned || told > 25 {
			t.Errorf("%d events are stored after a second, the warning among them: %v; want few, and it", told, warned)
		}
	})
}
