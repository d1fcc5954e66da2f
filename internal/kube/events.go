// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"log/slog"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"

	"github.com/clarion-lb/clarion/internal/daemon"
)

// eventPause spaces the events of a mass change. client-go's recorder sends them one after
// the other and drops what does not fit in its queue of a thousand; and they must not compete
// with the writes that they tell of.
const (
	eventPause    = 5 * time.Millisecond
	eventPatience = 30 * time.Second // an event waits no longer for more important writes
)

// Events writes events in the background, in order, none lost while the program runs. Repeated
// events are counted up on one object and floods are cut by client-go's correlator.
type Events struct {
	recorder    record.EventRecorder
	broadcaster record.EventBroadcaster
	busy        func() bool
	wake        chan struct{}

	mu    sync.Mutex
	queue []queuedEvent
}

type queuedEvent struct {
	object                     runtime.Object
	eventType, reason, message string
	since                      time.Time
}

// EventSource is who signs the events. While Busy, if given, says true, events wait.
type EventSource struct {
	Component, Host string
	Busy            func() bool
}

// NewEvents returns a writer that signs as the given source.
func NewEvents(log *slog.Logger, c Clients, source EventSource) *Events {
	b := record.NewBroadcaster()
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
func (e *Events) Event(object runtime.Object, eventType, reason, message string) {
	e.mu.Lock()
	e.queue = append(e.queue, queuedEvent{object, eventType, reason, message, time.Now()})
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
		for e.busy() && time.Since(next.since) < eventPatience {
			if daemon.Sleep(ctx, 10*eventPause) != nil {
				return nil
			}
		}
		e.recorder.Event(next.object, next.eventType, next.reason, next.message)
		if daemon.Sleep(ctx, eventPause) != nil {
			return nil
		}
	}
}

func (e *Events) take() (queuedEvent, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.queue) == 0 {
		e.queue = nil
		return queuedEvent{}, false
	}
	next := e.queue[0]
	e.queue = e.queue[1:]
	return next, true
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
