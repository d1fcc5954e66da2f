// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"errors"
	"hash/fnv"
	"log/slog"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/tools/record/util"

	"github.com/clarion-lb/clarion/internal/daemon"
)

const (
	// eventWriters send events side by side, those of one object always by the same one, so that
	// they stay in order. One alone takes half a minute for what a pool of thousands has to say.
	eventWriters = 4

	// While more important writes queue, what went well is told at a trickle, a few per cent of
	// what an API server takes. What went wrong is told at once.
	busyPause = eventWriters * 100 * time.Millisecond
	busyLook  = 10 * time.Millisecond

	// An event that got no answer is sent again, ever later.
	eventRetryFirst = 200 * time.Millisecond
	eventRetryMost  = 5 * time.Second

	// eventMemory is how many objects a writer remembers to count up their repeated events;
	// client-go's 4096 would cost more memory than thousands of Services.
	eventMemory = 512 / eventWriters

	// eventsKept is how many events may wait for a writer: with all writers more than there are
	// after a start with 20,000 Services. What an API server that is away keeps waiting for longer
	// is of the past by then.
	eventsKept = 32 * 1024 / eventWriters
)

// Events writes events in the background, warnings first and otherwise in order. None is lost while
// the program runs, unless so many wait that the oldest are dropped. Repeated events are counted up
// on one object and floods are cut by client-go's correlator. Its recorder is not used, because it drops what does not fit in a queue
// of a thousand, and holds all events for ten seconds when the API server does not answer one.
type Events struct {
	writers [eventWriters]*eventWriter
}

// EventSource is who signs the events. While Busy, if given, says true, normal events trickle.
type EventSource struct {
	Component, Host string
	Busy            func() bool
}

// NewEvents returns a writer that signs as the given source.
func NewEvents(log *slog.Logger, client typedcorev1.EventsGetter, source EventSource) *Events {
	if source.Busy == nil {
		source.Busy = func() bool { return false }
	}
	e := &Events{}
	for i := range e.writers {
		sink := &typedcorev1.EventSinkImpl{Interface: client.Events("")}
		e.writers[i] = &eventWriter{
			log: log, sink: sink, source: &source, wake: make(chan struct{}, 1),
			correlator: record.NewEventCorrelatorWithOptions(record.CorrelatorOptions{LRUCacheSize: eventMemory}),
		}
	}
	return e
}

// Event reports something that happened to an object. The type is Normal or Warning.
func (e *Events) Event(object *corev1.ObjectReference, eventType, reason, message string) {
	e.writerOf(object).put(happening{object, metav1.Now(), eventType, reason, message})
}

// happening is an event that waits to be sent, in a fifth of the memory: after a start with 20,000
// Services as many may wait.
type happening struct {
	object                     *corev1.ObjectReference
	at                         metav1.Time
	eventType, reason, message string
}

// event returns what is sent, signed by the source.
func (h *happening) event(source *EventSource) *corev1.Event {
	namespace := h.object.Namespace
	if namespace == "" {
		namespace = metav1.NamespaceDefault
	}
	return &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: namespace, Name: util.GenerateEventName(h.object.Name, h.at.UnixNano())},
		InvolvedObject: *h.object,
		Type:           h.eventType, Reason: h.reason, Message: h.message,
		Source:              corev1.EventSource{Component: source.Component, Host: source.Host},
		ReportingController: source.Component, ReportingInstance: source.Host,
		FirstTimestamp: h.at, LastTimestamp: h.at, Count: 1,
	}
}

func (e *Events) writerOf(object *corev1.ObjectReference) *eventWriter {
	h := fnv.New32a()
	for _, s := range []string{object.Kind, object.Namespace, object.Name} {
		_, _ = h.Write([]byte(s)) // never fails
	}
	return e.writers[h.Sum32()%eventWriters]
}

// Run sends events until ctx ends.
func (e *Events) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, w := range e.writers {
		wg.Go(func() { w.run(ctx) })
	}
	wg.Wait()
	return nil
}

// eventWriter sends the events of some of the objects, one after the other.
type eventWriter struct {
	log        *slog.Logger
	sink       record.EventSink
	correlator *record.EventCorrelator
	source     *EventSource
	wake       chan struct{}

	mu      sync.Mutex
	urgent  []happening // warnings
	normal  []happening
	dropped int // since both were empty
}

func (w *eventWriter) put(h happening) {
	w.mu.Lock()
	if h.eventType == corev1.EventTypeWarning {
		w.urgent = append(w.urgent, h)
	} else {
		w.normal = append(w.normal, h)
	}
	if len(w.urgent)+len(w.normal) > eventsKept {
		w.drop()
	}
	w.mu.Unlock()
	wake(w.wake)
}

// drop forgets the oldest event, a warning only when there is nothing else.
func (w *eventWriter) drop() {
	queue := &w.normal
	if len(*queue) == 0 {
		queue = &w.urgent
	}
	shift(queue)
	w.dropped++
}

func (w *eventWriter) run(ctx context.Context) {
	for ctx.Err() == nil {
		next, ok := w.take()
		if !ok {
			w.tellDropped()
			select {
			case <-ctx.Done():
			case <-w.wake:
			}
			continue
		}
		w.log.Debug("event", "object", next.object.Namespace+"/"+next.object.Name, "reason", next.reason, "message", next.message)
		w.send(ctx, next.event(w.source))
		w.yield(ctx)
	}
}

// send stores an event, or counts up the one before it that is alike. It returns when the API
// server has answered.
func (w *eventWriter) send(ctx context.Context, event *corev1.Event) {
	result, err := w.correlator.EventCorrelate(event)
	if err != nil || result.Skip {
		if err != nil {
			w.log.Warn("correlate events", "error", err)
		}
		return
	}
	for pause := eventRetryFirst; ; pause = min(2*pause, eventRetryMost) {
		stored, err := w.store(result)
		switch {
		case err == nil:
			w.correlator.UpdateState(stored)
			return
		case answered(err):
			w.log.Debug("event was refused", "object", event.InvolvedObject.Name, "reason", event.Reason, "error", err)
			return
		}
		w.log.Debug("event got no answer and is sent again", "object", event.InvolvedObject.Name, "reason", event.Reason, "error", err)
		if daemon.Sleep(ctx, pause) != nil {
			return
		}
	}
}

func (w *eventWriter) store(r *record.EventCorrelateResult) (*corev1.Event, error) {
	if r.Event.Count > 1 {
		stored, err := w.sink.Patch(r.Event, r.Patch)
		if !apierrors.IsNotFound(err) {
			return stored, err //nolint:wrapcheck // looked at by the only caller
		}
		// It has expired: an hour is the API server's default.
	}
	r.Event.ResourceVersion = ""
	return w.sink.Create(r.Event) //nolint:wrapcheck // looked at by the only caller
}

// answered says whether the API server has refused an event for good: the namespace is about to
// go, say, or rights are missing.
func answered(err error) bool {
	var status *apierrors.StatusError
	return errors.As(err, &status) && !apierrors.IsTooManyRequests(err) && !apierrors.IsServerTimeout(err) &&
		!apierrors.IsTimeout(err) && !apierrors.IsServiceUnavailable(err) && !apierrors.IsInternalError(err)
}

// yield lets more important writes go first, while no warning waits.
func (w *eventWriter) yield(ctx context.Context) {
	for waited := time.Duration(0); waited < busyPause && w.source.Busy() && !w.warns(); waited += busyLook {
		if daemon.Sleep(ctx, busyLook) != nil {
			return
		}
	}
}

func (w *eventWriter) warns() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.urgent) > 0
}

func (w *eventWriter) take() (happening, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, queue := range []*[]happening{&w.urgent, &w.normal} {
		if len(*queue) > 0 {
			return shift(queue), true
		}
		*queue = nil // the array that the slice has moved through
	}
	return happening{}, false
}

// shift takes the first of a queue that is not empty.
func shift(queue *[]happening) happening {
	first := (*queue)[0]
	(*queue)[0] = happening{} // the array lives until the queue is empty
	*queue = (*queue)[1:]
	return first
}

// tellDropped logs how many events were dropped, once no more wait.
func (w *eventWriter) tellDropped() {
	w.mu.Lock()
	n := w.dropped
	w.dropped = 0
	w.mu.Unlock()
	if n > 0 {
		w.log.Warn("events were dropped: more than fit waited for the API server", "count", n, "kept", eventsKept)
	}
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
