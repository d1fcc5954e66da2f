// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/clarion-lb/clarion/api/v1beta1"
	"github.com/clarion-lb/clarion/internal/lb"
	"github.com/clarion-lb/clarion/internal/plan"
)

// moody answers every write alike: with what was sent, or with a refusal.
type moody struct {
	mu     sync.Mutex
	refuse metav1.StatusReason // "" for none
	count  int
}

func (m *moody) answer(r *http.Request) (*http.Response, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.count++
	switch m.refuse {
	case "":
		return &http.Response{StatusCode: http.StatusOK, Body: r.Body, Header: http.Header{"Content-Type": {"application/json"}}}, nil
	case metav1.StatusReasonForbidden:
		return respond(http.StatusForbidden, &metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Code: 403, Reason: m.refuse})
	case metav1.StatusReasonInvalid:
		return respond(http.StatusUnprocessableEntity, &metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Code: 422, Reason: m.refuse})
	}
	return nil, io.ErrUnexpectedEOF
}

// from now on the server answers like this; it returns how many requests there were before.
func (m *moody) from(refuse metav1.StatusReason) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.count
	m.refuse, m.count = refuse, 0
	return n
}

// reporting are the writers of status objects, with a number of objects to write.
func reporting(client rest.Interface, log *slog.Logger, objects int) map[string]func(context.Context) error {
	of := func(resource string) statusRounds {
		r := statusRounds{log, objectKind{client, "metallb-system", resource}, ownedBy(nil), make(chan struct{}, 1)}
		wake(r.wake)
		return r
	}
	var wanted []*v1beta1.ServiceBGPStatus
	desired := plan.Desired{Known: true, Self: "n1"}
	for i := range objects {
		name := fmt.Sprintf("s%03d", i)
		wanted = append(wanted, &v1beta1.ServiceBGPStatus{ObjectMeta: metav1.ObjectMeta{Name: name}})
		desired.L2 = append(desired.L2, lb.Announcement{Services: []lb.Key{{Namespace: "ns", Name: name}}})
	}
	bgp := &objectWriter[*v1beta1.ServiceBGPStatus]{
		statusRounds: of("servicebgpstatuses"), wanted: slices.Values(wanted),
		stored: Store[*v1beta1.ServiceBGPStatus]{someCopies[*v1beta1.ServiceBGPStatus](nil)},
	}
	l2 := &L2StatusWriter{
		statusRounds: of(l2StatusResource), wanted: desired,
		stored: Store[*v1beta1.ServiceL2Status]{someCopies[*v1beta1.ServiceL2Status](nil)},
	}
	return map[string]func(context.Context) error{"BGP": bgp.Run, "layer 2": l2.Run}
}

func TestRoundsThatFailAreFurtherAndFurtherApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := statusRounds{log: slog.New(slog.DiscardHandler), owner: ownedBy(nil), wake: make(chan struct{}, 1)}
		ctx, cancel := context.WithCancel(t.Context())
		last, pauses := time.Now(), []time.Duration(nil)
		wake(r.wake)
		err := r.run(ctx, func(context.Context) error {
			pauses = append(pauses, time.Since(last))
			last = time.Now()
			switch len(pauses) {
			case 7: // works once, and there is something new at once
				wake(r.wake)
				return nil
			case 9:
				cancel()
			}
			return io.ErrUnexpectedEOF
		})
		want := []time.Duration{1, 2, 4, 8, 10, 10, 10, 1, 2}
		for i := range want {
			want[i] *= time.Second
		}
		if err != nil || !slices.Equal(pauses, want) {
			t.Errorf("pauses %v, want %v; error %v", pauses, want, err)
		}
	})
}

// With a thousand nodes it matters what each of them does while the right is missing.
func TestRefusedStatusObjectsAreTriedEverLessOften(t *testing.T) {
	const objects = 100
	for _, kind := range []string{"BGP", "layer 2"} {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var logged bytes.Buffer
				server := &moody{refuse: metav1.StatusReasonForbidden}
				log := slog.New(slog.NewTextHandler(&logged, nil))
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error)
				go func() { done <- reporting(clientOf(t, server.answer), log, objects)[kind](ctx) }()

				time.Sleep(10 * time.Minute) // virtual
				tries := server.from("")
				if tries < 55 || tries > 65 {
					t.Errorf("%d requests in ten minutes, want one every %s in the end", tries, roundPauseMost)
				}
				time.Sleep(roundPauseMost + objects*objectGap)
				if n := server.from(metav1.StatusReasonInvalid); n != 2*objects {
					t.Errorf("%d requests once they are allowed, want two for each object", n)
				}
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
				if n := strings.Count(logged.String(), "level=WARN"); n != tries {
					t.Errorf("%d warnings for %d rounds", n, tries)
				}
			})
		})
	}
}

func TestARoundTellsTheFirstOfItsErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logged bytes.Buffer
		server := &moody{refuse: metav1.StatusReasonInvalid}
		log := slog.New(slog.NewTextHandler(&logged, nil))
		ctx, cancel := context.WithTimeout(t.Context(), roundPause+time.Second)
		defer cancel()
		if err := reporting(clientOf(t, server.answer), log, 100)["BGP"](ctx); err != nil {
			t.Error(err)
		}
		if got := logged.String(); strings.Count(got, "create s") != 1 || !strings.Contains(got, "create s000") || !strings.Contains(got, "and 99 more errors") {
			t.Errorf("logged %s", got)
		}
	})
}
