// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/clarion-lb/clarion/internal/cluster"
	"github.com/clarion-lb/clarion/internal/lb"
)

const (
	// serviceWriters bounds the writes on their way. An API server on two cores takes 380
	// status writes a second from one writer, 730 from 4, 840 from 16 and no more from 64.
	serviceWriters = 16

	// writeTimeout bounds one write, so that a leader that lost its Lease cannot have an old
	// write land long after its successor began.
	writeTimeout = 3 * time.Second

	// queuedWrites bounds the writes that have been decided on and not been answered. What is
	// decided later is decided on what is known later; and a backlog of tens of thousands
	// would be in memory twice. The loop is asked for more when a quarter is left, so that the
	// writers have work while it looks at the whole cluster again.
	queuedWrites = 1024
	refillAt     = queuedWrites / 4

	retryFirst = 50 * time.Millisecond
	retryMost  = 10 * time.Second
)

// ServiceWriter writes Service status in parallel, at most one write per Service at a time,
// with optimistic locking: a write that is based on an old copy is refused by the server
// and dropped here; the next pass of the loop decides anew.
type ServiceWriter struct {
	log     *slog.Logger
	client  kubernetes.Interface
	kick    func()
	leads   func() bool
	overlay *overlay
	queue   chan Write
	freed   chan struct{}

	mu      sync.Mutex
	delayed map[lb.Key]time.Time     // no new attempt before
	pauses  map[lb.Key]time.Duration // after the last attempt, of those that failed
	awaited bool                     // somebody was told to wait for a write
	hungry  bool                     // somebody awaits room
	counts  WriteCounts
}

// WriteCounts are totals since the start.
type WriteCounts struct {
	Updates, Errors uint64
}

// NewServiceWriter returns a writer; kick is called when something that had to wait for a write
// may be tried again. What is decided while leads says no is not sent.
func NewServiceWriter(log *slog.Logger, client kubernetes.Interface, kick func(), leads func() bool) *ServiceWriter {
	return &ServiceWriter{
		log: log, client: client, kick: kick, leads: leads,
		overlay: newOverlay(),
		queue:   make(chan Write),
		freed:   make(chan struct{}, 1),
		delayed: map[lb.Key]time.Time{},
		pauses:  map[lb.Key]time.Duration{},
	}
}

// Overlay lays the writes that the store does not show yet over the list of all Services.
func (w *ServiceWriter) Overlay(services []*cluster.Packed) []*cluster.Packed {
	w.forgetGone(services)
	return w.overlay.apply(services)
}

// Ready says whether a write for the Service may be submitted now: none is on its way and
// none failed a moment ago. The writer kicks when that changes.
func (w *ServiceWriter) Ready(k lb.Key, now time.Time) bool {
	w.mu.Lock()
	until, wait := w.delayed[k]
	w.mu.Unlock()
	return (!wait || !now.Before(until)) && !w.InFlight(k)
}

// InFlight says whether a write for the Service is on its way. The writer kicks when those that
// are have been answered.
func (w *ServiceWriter) InFlight(k lb.Key) bool {
	if !w.overlay.inFlight(k) {
		return false
	}
	w.mu.Lock()
	w.awaited = true
	w.mu.Unlock()
	if !w.overlay.inFlight(k) { // answered before anybody could know that somebody waits
		w.kick()
	}
	return true
}

// Room says how many writes may be submitted now.
func (w *ServiceWriter) Room() int { return max(0, queuedWrites-w.overlay.onTheirWay()) }

// AwaitRoom asks for a token from Freed: there was not enough Room.
func (w *ServiceWriter) AwaitRoom() {
	w.mu.Lock()
	w.hungry = true
	w.mu.Unlock()
	if w.overlay.onTheirWay() == 0 { // there will be no answer to give a token for
		w.kick()
	}
}

// Freed has a token when somebody awaits room and the writers will soon be without work.
func (w *ServiceWriter) Freed() <-chan struct{} { return w.freed }

// answered tells those who wait, and not for each of hundreds of writes, but when most of them
// have been answered.
func (w *ServiceWriter) answered() {
	if w.overlay.onTheirWay() > refillAt {
		return
	}
	w.mu.Lock()
	awaited, hungry := w.awaited, w.hungry
	w.awaited, w.hungry = false, false
	w.mu.Unlock()
	if awaited {
		w.kick()
	}
	if hungry {
		wake(w.freed)
	}
}

// Echo says whether a version of a Service that the watch shows is no news: what this writer
// has written itself. A version that comes before the answer to a write counts as its echo
// until the answer tells.
func (w *ServiceWriter) Echo(now *cluster.Packed) bool { return w.overlay.echo(now) }

// Write is a Service as it shall be stored: status and annotations count, and the resource
// version it is based on.
type Write struct {
	Service *corev1.Service
	// Landed is called when the server says that it has stored it, never otherwise, from any goroutine.
	Landed func()
	// Awaited asks for a kick when it has been answered.
	Awaited bool
}

// Submit queues writes and returns at once; call it only for Services that are Ready. It
// leaves out what is based on a write that was on its way when the pass began and has been
// answered since: nothing stored has that version. The next pass, which it kicks, knows the answer.
func (w *ServiceWriter) Submit(ctx context.Context, writes []Write) {
	given := len(writes)
	writes = slices.DeleteFunc(writes, func(wr Write) bool { return assumed(wr.Service.ResourceVersion) })
	if len(writes) < given {
		w.kick()
	}
	if len(writes) == 0 {
		return
	}
	for _, wr := range writes {
		w.overlay.begin(wr.Service)
	}
	if slices.ContainsFunc(writes, func(wr Write) bool { return wr.Awaited }) {
		w.mu.Lock()
		w.awaited = true
		w.mu.Unlock()
	}
	go func() {
		for i, wr := range writes {
			select {
			case w.queue <- wr:
			case <-ctx.Done():
				for _, rest := range writes[i:] {
					w.overlay.drop(keyOf(rest.Service))
				}
				return
			}
		}
	}()
}

// Run performs the writes until ctx ends, and returns when the last one has been answered. If this
// process does not lead any more by then, it does not wait for answers.
func (w *ServiceWriter) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for range serviceWriters {
		wg.Go(func() {
			for ctx.Err() == nil {
				select {
				case wr := <-w.queue:
					w.write(ctx, wr)
				case <-ctx.Done():
				}
			}
		})
	}
	wg.Wait()
	return nil
}

func (w *ServiceWriter) write(parent context.Context, wr Write) {
	svc, k := wr.Service, keyOf(wr.Service)
	ctx, cancel := w.untilLost(parent)
	defer cancel()
	result, err := w.send(ctx, svc)
	w.count(err)
	switch {
	case err == nil:
		wr.Landed() // before the next pass can see the result
		w.forget(k)
		if w.overlay.landed(result) {
			w.kick()
		}
	case apierrors.IsNotFound(err), apierrors.IsGone(err):
		w.overlay.drop(k)
		w.forget(k)
	case errors.Is(err, errNotLeading), apierrors.IsConflict(err):
		// Somebody may have given the address to another Service, or has changed the Service since
		// it was read. The copy catches up within milliseconds, and the next pass decides on what is
		// there then.
		w.overlay.drop(k)
		w.retry(k)
	case refused(err):
		w.log.Error("write service status was refused", "service", k, "error", err)
		w.overlay.drop(k)
		w.retry(k)
	case parent.Err() != nil:
		w.log.Warn("write service status: stopped without an answer", "service", k, "error", err)
	default:
		w.log.Warn("write service status: no answer; reading what became of it", "service", k, "error", err)
		w.settle(parent, wr)
		w.retry(k)
	}
	w.answered()
}

// untilLost is the context of one write. One that is on its way when the work is to end is still
// waited for, since its answer comes within milliseconds; but not when the Lease is lost, which
// Term knows before the work is told.
func (w *ServiceWriter) untilLost(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(parent), writeTimeout)
	stop := context.AfterFunc(parent, func() {
		if !w.leads() {
			cancel()
		}
	})
	return ctx, func() { stop(); cancel() }
}

// send asks whether this process leads as the last thing before the request: see Term.
func (w *ServiceWriter) send(ctx context.Context, svc *corev1.Service) (*corev1.Service, error) {
	if !w.leads() {
		return nil, errNotLeading
	}
	return w.client.CoreV1().Services(svc.Namespace).UpdateStatus(ctx, svc, metav1.UpdateOptions{})
}

// refused says whether the server has certainly not stored the write.
func refused(err error) bool {
	return apierrors.IsForbidden(err) || apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) ||
		apierrors.IsUnauthorized(err) || apierrors.IsTooManyRequests(err) || apierrors.IsMethodNotSupported(err)
}

func (w *ServiceWriter) count(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.counts.Errors++
		return
	}
	w.counts.Updates++
}

// Busy says whether writes are waiting for a writer.
func (w *ServiceWriter) Busy() bool { return w.overlay.onTheirWay() > serviceWriters }

// Counts returns how many writes succeeded and failed since the start.
func (w *ServiceWriter) Counts() WriteCounts {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.counts
}
