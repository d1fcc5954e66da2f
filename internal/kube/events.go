// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"log/slog"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"

	"github.com/clarion-lb/clarion/internal/daemon"
)

// Events must not compete with the writes that they tell of, and client-go's recorder sends them
// one after the other and drops what does not fit in its queue of a thousand.
const (
	eventPause = 5 * time.Millisecond
	// While more important writes queue, what went well is told at a trickle, a few per cent of
	// what an API server takes. What went wrong is told at once.
	busyPause = 100 * time.Millisecond

	// eventMemory is how many objects the correlator remembers to count up their repeated
	// events; client-go's 4096 would cost more memory than thousands of Services.
	eventMemory = 512
)

// Events writes events in the background, warnings first and otherwise in order, none lost
// while the program runs. Repeated events are counted up on one object and floods are cut by
// client-go's correlator.
type Events struct {
	recorder    record.EventRecorder
	broadcaster record.EventBroadcaster
	busy        func() bool
	wake        chan struct{}

	mu     sync.Mutex
	urgent []queuedEvent // warnings
	normal []queuedEvent
}

type queuedEvent struct {
	object                     *corev1.ObjectReference
	eventType, reason, message string
}

// EventSource is who signs the events. While Busy, if given, says true, normal events trickle.
type EventSource struct {
	Component, Host string
	Busy            func() bool
}

// NewEvents returns a writer that signs as the given source.
func NewEvents(log *slog.Logger, c Clients, source EventSource) *Events {
	b := record.NewBroadcasterWithCorrelatorOptions(record.CorrelatorOptions{LRUCacheSize: eventMemory})
	b.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: c.Builtin.CoreV1().Events("")})
	b.StartEventWatcher(func(e *corev1.Event) {
		log.Debug("event", "object", e.InvolvedObject.Namespace+"/"+e.InvolvedObject.Name,
			"reason", e.Reason, "message", e.Message)
	})
	busy := source.Busy
	if busy == nil {
		busy = func() bool { return false }
	}
	return &Events{
		recorder:    b.NewRecorder(c.Scheme, corev1.EventSource{Component: source.Component, Host: source.Host}),
		broadcaster: b,
		busy:        busy,
		wake:        make(chan struct{}, 1),
	}
}

// Event reports something that happened to an object. The type is Normal or Warning.
func (e *Events) Event(object *corev1.ObjectReference, eventType, reason, message string) {
	next := queuedEvent{object, eventType, reason, message}
	e.mu.Lock()
	if eventType == corev1.EventTypeWarning {
		e.urgent = append(e.urgent, next)
	} else {
		e.normal = append(e.normal, next)
	}
	e.mu.Unlock()
	wake(e.wake)
}

// Run sends events until ctx ends.
func (e *Events) Run(ctx context.Context) error {
	defer e.broadcaster.Shutdown()
	for {
		next, ok := e.take()
		if !ok {
			select {
			case <-ctx.Done():
				return nil
			case <-e.wake:
			}
			continue
		}
		e.recorder.Event(next.object, next.eventType, next.reason, next.message)
		if daemon.Sleep(ctx, eventPause) != nil || e.yield(ctx) != nil {
			return nil
		}
	}
}

// yield lets more important writes go first, while no warning waits.
func (e *Events) yield(ctx context.Context) error {
	for waited := time.Duration(0); waited < busyPause && e.busy() && !e.warns(); waited += eventPause {
		if err := daemon.Sleep(ctx, eventPause); err != nil {
			return err
		}
	}
	return nil
}

func (e *Events) warns() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.urgent) > 0
}

func (e *Events) take() (queuedEvent, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, queue := range []*[]queuedEvent{&e.urgent, &e.normal} {
		if len(*queue) > 0 {
			next := (*queue)[0]
			*queue = (*queue)[1:]
			return next, true
		}
		*queue = nil // the array that the slice has moved through
	}
	return queuedEvent{}, false
}

// ServiceRef returns what an event needs to know of a Service.
func ServiceRef(namespace, name, uid string) *corev1.ObjectReference {
	return &corev1.ObjectReference{
		APIVersion: "v1", Kind: "Service", Namespace: namespace, Name: name, UID: types.UID(uid),
	}
}

// CustomRef returns what an event needs to know of one of the metallb.io objects.
func CustomRef(apiVersion, kind, namespace, name, uid string) *corev1.ObjectReference {
	return &corev1.ObjectReference{
		APIVersion: apiVersion, Kind: kind, Namespace: namespace, Name: name, UID: types.UID(uid),
	}
}
