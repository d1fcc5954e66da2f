// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
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

// An API server that is away for long must not cost the program its memory.
func TestTheOldestEventsAreDroppedWhenTooManyWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		var away atomic.Bool
		var stored atomic.Int32
		away.Store(true)
		client.PrependReactor("create", "events", func(k8stesting.Action) (bool, runtime.Object, error) {
			if away.Load() {
				return true, nil, errors.New("connection refused")
			}
			stored.Add(1)
			return true, &corev1.Event{}, nil
		})
		var logged bytes.Buffer
		e := NewEvents(slog.New(slog.NewTextHandler(&logged, nil)), client.CoreV1(), EventSource{Component: "test", Host: "n1"})
		w := e.writers[0]
		put := func(eventType string, from, to int) {
			for i := from; i < to; i++ {
				name := fmt.Sprintf("s%06d", i)
				w.put(happening{ServiceRef("ns", name, name), metav1.Now(), eventType, "R", "m"})
			}
		}
		put(corev1.EventTypeWarning, 0, 10)
		put(corev1.EventTypeNormal, 10, eventsKept+15)
		if len(w.urgent) != 10 || len(w.normal) != eventsKept-10 || w.normal[0].object.Name != "s000025" {
			t.Errorf("%d warnings and %d others wait, the first of them %s", len(w.urgent), len(w.normal), w.normal[0].object.Name)
		}
		put(corev1.EventTypeWarning, eventsKept+15, 2*eventsKept+15) // more than fit in place of the others
		put(corev1.EventTypeNormal, 2*eventsKept+15, 2*eventsKept+16)
		if len(w.urgent) != eventsKept || len(w.normal) != 0 || w.urgent[0].object.Name != fmt.Sprintf("s%06d", eventsKept+15) {
			t.Errorf("%d warnings and %d others wait, the first %s", len(w.urgent), len(w.normal), w.urgent[0].object.Name)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- e.Run(ctx) }()
		time.Sleep(time.Minute)
		if logged.Len() > 0 {
			t.Errorf("logged %s", &logged)
		}
		away.Store(false)
		time.Sleep(eventRetryMost)
		synctest.Wait()
		if got := stored.Load(); got != eventsKept {
			t.Errorf("%d events are stored, want %d", got, eventsKept)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if got, want := logged.String(), fmt.Sprintf("count=%d ", eventsKept+16); strings.Count(got, "\n") != 1 || !strings.Contains(got, want) {
			t.Errorf("logged %q, want %s once", got, want)
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
