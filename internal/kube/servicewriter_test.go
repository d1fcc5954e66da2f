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

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/clarion-lb/clarion/internal/cluster"
	"github.com/clarion-lb/clarion/internal/lb"
)

// answering is a client whose server answers status writes and reads as the test says.
func answering(update, get func() (*corev1.Service, error)) *fake.Clientset {
	c := fake.NewClientset()
	answer := func(f func() (*corev1.Service, error)) clienttesting.ReactionFunc {
		return func(clienttesting.Action) (bool, runtime.Object, error) {
			s, err := f()
			return true, s, err
		}
	}
	c.PrependReactor("update", "services", answer(update))
	c.PrependReactor("get", "services", answer(get))
	return c
}

// always is for a writer of a process that leads.
func always() bool { return true }

func TestServiceWriterAfterEachAnswer(t *testing.T) {
	services := schema.GroupResource{Resource: "services"}
	never := func() (*corev1.Service, error) { return nil, errors.New("not to be called") }
	for name, tc := range map[string]struct {
		update, get func() (*corev1.Service, error)
		landed      bool
		ip          string // what the next pass sees, over a store without an address
	}{
		"stored": {func() (*corev1.Service, error) { return stored("u", "6", "192.0.2.1"), nil }, never, true, "192.0.2.1"},
		"conflict": {func() (*corev1.Service, error) {
			return nil, apierrors.NewConflict(services, "web", errors.New("changed"))
		}, never, false, ""},
		"forbidden": {func() (*corev1.Service, error) {
			return nil, apierrors.NewForbidden(services, "web", errors.New("no"))
		}, never, false, ""},
		"deleted meanwhile": {func() (*corev1.Service, error) {
			return nil, apierrors.NewNotFound(services, "web")
		}, never, false, ""},
		"no answer, but stored": {
			func() (*corev1.Service, error) { return nil, errors.New("connection lost") },
			func() (*corev1.Service, error) { return stored("u", "6", "192.0.2.1"), nil }, true, "192.0.2.1",
		},
		"no answer, and somebody else's": {
			func() (*corev1.Service, error) { return nil, errors.New("connection lost") },
			func() (*corev1.Service, error) { return stored("u", "7", "192.0.2.2"), nil }, false, "192.0.2.2",
		},
		"no answer, and not stored": {
			func() (*corev1.Service, error) { return nil, errors.New("connection lost") },
			func() (*corev1.Service, error) { return stored("u", "5", ""), nil }, false, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				w := NewServiceWriter(slog.New(slog.DiscardHandler), answering(tc.update, tc.get), func() {}, always)
				done := make(chan error)
				go func() { done <- w.Run(ctx) }()
				var landed atomic.Bool
				w.Submit(ctx, []Write{{Service: stored("u", "5", "192.0.2.1"), Landed: func() { landed.Store(true) }}})
				synctest.Wait()
				key := lb.Key{Namespace: "ns", Name: "web"}
				if w.InFlight(key) {
					t.Error("the write still counts as on its way")
				}
				if landed.Load() != tc.landed {
					t.Errorf("landed was called: %t, want %t", landed.Load(), tc.landed)
				}
				if ip := ipOf(w.Overlay([]*cluster.Packed{packed("u", "5", "")})[0]); ip != tc.ip {
					t.Errorf("the next pass sees %q, want %q", ip, tc.ip)
				}
				time.Sleep(retryMost) // virtual: the pause after a failure is over
				synctest.Wait()
				if !w.Ready(key, time.Now()) {
					t.Error("the Service can never be written again")
				}
				cancel()
				if err := <-done; err != nil {
					t.Errorf("run: %v", err)
				}
			})
		})
	}
}

// TestServiceWriterAssumesTheWorstWhileTheServerIsSilent: an address that may have been granted
// stays assumed for as long as nobody can say.
func TestServiceWriterAssumesTheWorstWhileTheServerIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var up atomic.Bool
		lost := func() (*corev1.Service, error) { return nil, errors.New("connection refused") }
		w := NewServiceWriter(slog.New(slog.DiscardHandler), answering(lost, func() (*corev1.Service, error) {
			if !up.Load() {
				return lost()
			}
			return stored("u", "5", ""), nil
		}), func() {}, always)
		done := make(chan error)
		go func() { done <- w.Run(ctx) }()
		w.Submit(ctx, []Write{{Service: stored("u", "5", "192.0.2.1"), Landed: func() {}}})
		time.Sleep(10 * time.Minute) // virtual
		if ip := ipOf(w.Overlay([]*cluster.Packed{packed("u", "5", "")})[0]); ip != "192.0.2.1" {
			t.Errorf("after ten minutes without the server the address is %q", ip)
		}
		up.Store(true)
		time.Sleep(2 * retryMost)
		synctest.Wait()
		if ip := ipOf(w.Overlay([]*cluster.Packed{packed("u", "5", "")})[0]); ip != "" {
			t.Errorf("the server says that nothing was stored, and the pass still sees %q", ip)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
}

// What a leader has decided may be wrong when another one leads by now; when it still leads, it
// decides anew.
func TestServiceWriterSendsNothingWhenAnotherMayLead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var leads atomic.Bool
		kick, kicks := kicksOf()
		w := NewServiceWriter(slog.New(slog.DiscardHandler), answering(func() (*corev1.Service, error) {
			if !leads.Load() {
				t.Error("written")
			}
			return stored("u", "6", "192.0.2.1"), nil
		}, nil), kick, leads.Load)
		done := make(chan error)
		go func() { done <- w.Run(ctx) }()
		submit := func() { w.Submit(ctx, []Write{{Service: stored("u", "5", "192.0.2.1"), Landed: func() {}}}) }
		look := func() string { return ipOf(w.Overlay([]*cluster.Packed{packed("u", "5", "")})[0]) }

		submit()
		synctest.Wait()
		if ip := look(); ip != "" {
			t.Errorf("nothing was sent, and the next pass sees %q", ip)
		}
		time.Sleep(retryFirst)
		synctest.Wait()
		if kicks.Load() == 0 || !w.Ready(lb.Key{Namespace: "ns", Name: "web"}, time.Now()) {
			t.Errorf("nobody decides anew: %d kicks", kicks.Load())
		}
		leads.Store(true)
		submit()
		synctest.Wait()
		if ip := look(); ip != "192.0.2.1" {
			t.Errorf("the next pass sees %q", ip)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
}

// A pass that began while a write was on its way plans on top of it; when the answer comes
// before the plan is submitted, the plan is of no use.
func TestServiceWriterLeavesOutWhatIsBasedOnAnAssumption(t *testing.T) {
	w := NewServiceWriter(slog.New(slog.DiscardHandler), fake.NewClientset(), func() {}, always)
	first := stored("u", "5", "192.0.2.1")
	w.overlay.begin(first)
	seen := w.Overlay([]*cluster.Packed{packed("u", "5", "")})
	w.overlay.landed(stored("u", "6", "192.0.2.1"))
	w.Submit(t.Context(), []Write{{Service: seen[0].Unpack(), Landed: func() { t.Error("written") }}})
	if k := keyOf(first); w.overlay.inFlight(k) || !w.Ready(k, time.Now()) {
		t.Errorf("a write based on version %s is on its way", seen[0].GetResourceVersion())
	}
}

// kicksOf counts kicks.
func kicksOf() (kick func(), count *atomic.Int32) {
	count = new(atomic.Int32)
	return func() { count.Add(1) }, count
}

func TestServiceWriterKicksWhoeverWasToldToWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		kick, kicks := kicksOf()
		answer := make(chan struct{})
		w := NewServiceWriter(slog.New(slog.DiscardHandler), answering(func() (*corev1.Service, error) {
			<-answer
			return stored("u", "6", "192.0.2.1"), nil
		}, nil), kick, always)
		done := make(chan error)
		go func() { done <- w.Run(ctx) }()
		key := lb.Key{Namespace: "ns", Name: "web"}
		write := func() { w.Submit(ctx, []Write{{Service: stored("u", "5", "192.0.2.1"), Landed: func() {}}}) }

		write()
		answer <- struct{}{}
		synctest.Wait()
		if n := kicks.Load(); n != 0 {
			t.Errorf("%d kicks for a write that nobody waits for", n)
		}
		write()
		if w.Ready(key, time.Now()) {
			t.Error("ready while a write is on its way")
		}
		w.AwaitRoom()
		answer <- struct{}{}
		synctest.Wait()
		if n := kicks.Load(); n != 1 {
			t.Errorf("%d kicks, want 1 for the one who was told to wait", n)
		}
		select {
		case <-w.Freed():
		default:
			t.Error("room was awaited, there is room, and nobody is told")
		}
		w.AwaitRoom()
		if n := kicks.Load(); n != 2 {
			t.Error("with no write on its way nobody would ever tell of room")
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
}

// What the watch shows of an own write is no news; what others write is, also when it is seen
// before the answer to the own one.
func TestServiceWriterTellsItsEchoFromNews(t *testing.T) {
	w := NewServiceWriter(slog.New(slog.DiscardHandler), fake.NewClientset(), func() {}, always)
	if w.Echo(packed("u", "4", "")) {
		t.Error("nothing was written, and a change counts as an echo")
	}
	w.overlay.begin(stored("u", "5", "192.0.2.1"))
	if !w.Echo(packed("u", "6", "192.0.2.1")) {
		t.Error("a version that comes before the answer is news")
	}
	if overtaken := w.overlay.landed(stored("u", "6", "192.0.2.1")); overtaken {
		t.Error("the own write overtook itself")
	}
	if !w.Echo(packed("u", "6", "192.0.2.1")) || w.Echo(packed("u", "7", "192.0.2.1")) || w.Echo(packed("v", "6", "")) {
		t.Error("an echo is the version that was answered, of the same object, and no other")
	}
	w.overlay.begin(stored("u", "7", "192.0.2.2"))
	w.Echo(packed("u", "9", "192.0.2.2"))
	if overtaken := w.overlay.landed(stored("u", "8", "192.0.2.2")); !overtaken {
		t.Error("what was written after the own write, and seen before its answer, is never looked at")
	}
}
