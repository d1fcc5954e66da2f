// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// Timing of a watch that broke. client-go waits 0.8 to 1.6 s before it tries the first time again,
// and up to a minute later on; an address that a Service waits for is worth more than that.
// Most does not depend on how long the API server is away: a thousand speakers that try six
// kinds each make 600 attempts a second at worst.
const (
	watchRetryFirst  = 100 * time.Millisecond
	watchRetryMost   = 10 * time.Second
	watchRetryFactor = 2
	watchRetryJitter = 0.5 // up to half as long again

	// A server that starts refuses what it has not read the rules for yet, and does not know
	// kinds whose definitions it has not read. That is worth a word only when it lasts.
	refusalPatience = 3 * time.Second
	refusalForgiven = 3 * watchRetryMost // after so long without a refusal the next one is new

	// Lost connections, timeouts and the like come and go with each restart of an API server.
	failurePatience = 30 * time.Second
)

// Watcher runs the watches of one program. Every change of a watched object calls kick.
type Watcher struct {
	log     *slog.Logger
	kick    func()
	watches []watched
	outputs []watched               // begin when all of watches are synced
	later   []func(context.Context) // run watches of their own
}

// watched is one kind.
type watched struct {
	run    func(context.Context) // until the context ends
	synced func() bool
}

// NewWatcher returns a Watcher without watches; Watch adds them, Run starts them.
func NewWatcher(log *slog.Logger, kick func()) *Watcher {
	return &Watcher{log: log, kick: kick}
}

// watchable is an object that can be read from the API server.
type watchable interface {
	runtime.Object
	object
}

// Source says where the objects of one kind come from and what of them is kept.
type Source[T watchable] struct {
	Client    rest.Interface
	Resource  string // plural, lower case
	Namespace string // "" for all
	Name      string // of the one object to watch; "" for all
	Labels    string // label selector; "" for all
	Example   T
	Strip     func(T)               // drops what the program never reads, to save memory
	Same      func(old, new T) bool // optional: changes that nobody looks at cause no kick
	Kick      func()                // optional: called in place of the Watcher's
	Broken    func(error)           // optional: told why a watch could not begin
	// Output is for what the program itself writes. It is read after everything that the program
	// works from: at a start there may be as much of it as of all the rest.
	Output bool
}

// Watch adds the watch of one kind. Call it before Run.
func Watch[T watchable](w *Watcher, src Source[T]) (Store[T], error) {
	store, watch := newWatch(w, src, func(now, _ T) T {
		src.Strip(now)
		return now
	}, regard[T]{same: src.Same})
	if src.Output {
		w.outputs = append(w.outputs, watch)
	} else {
		w.watches = append(w.watches, watch)
	}
	return store, nil
}

// newWatch builds a watch that somebody else runs. What keep makes of the objects is stored;
// Strip and Same of the source are not looked at.
func newWatch[O watchable, T object](
	w *Watcher, src Source[O], keep func(now O, before T) T, regard regard[T],
) (Store[T], watched) {
	kick := w.kick
	if src.Kick != nil {
		kick = src.Kick
	}
	c := newCopies(keep, regard, kick)
	backoff := wait.Backoff{
		Duration: watchRetryFirst, Factor: watchRetryFactor, Jitter: watchRetryJitter, Cap: watchRetryMost, Steps: math.MaxInt32,
	}
	r := toolscache.NewReflectorWithOptions(listerWatcher(w, src), src.Example, c,
		toolscache.ReflectorOptions{Name: src.Resource, Backoff: &backoff})
	run := func(ctx context.Context) {
		// What goes wrong is logged by the listerWatcher, with what a user can do about it.
		r.RunWithContext(klog.NewContext(ctx, logr.Discard()))
	}
	return Store[T]{c}, watched{run: run, synced: c.synced}
}

// listerWatcher reads one kind and reports why that does not work.
func listerWatcher[T watchable](w *Watcher, src Source[T]) toolscache.ListerWatcher {
	from := toolscache.NewFilteredListWatchFromClient(src.Client, src.Resource, src.Namespace,
		func(o *metav1.ListOptions) {
			o.LabelSelector = src.Labels
			if src.Name != "" {
				o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, src.Name).String()
			}
		})
	f := failure{log: w.log.With("resource", src.Resource)}
	report := func(ctx context.Context, err error) {
		if err == nil || ctx.Err() != nil { // nobody wants to know any more
			return
		}
		f.tell(err, time.Now())
		if src.Broken != nil {
			src.Broken(err)
		}
	}
	return &toolscache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			list, err := from.ListWithContextFunc(ctx, o)
			report(ctx, err)
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			events, err := from.WatchFuncWithContext(ctx, o)
			report(ctx, err)
			if err == nil {
				f.over()
			}
			return events, err
		},
	}
}

// failure is for how long a kind could not be watched, and what was said about it. It is over when
// a watch begins, because a list alone grows old. It is not for concurrent use.
type failure struct {
	log         *slog.Logger
	since       time.Time // of the first error; zero when there is none
	refused     time.Time // of the first refusal
	refusedLast time.Time
	told        string // "" for nothing
}

// lasts says whether an error is one that has lasted.
func (f *failure) lasts(err error, now time.Time) bool {
	if f.since.IsZero() {
		f.since = now
	}
	if !refusal(err) {
		return now.Sub(f.since) >= failurePatience
	}
	if now.Sub(f.refusedLast) > refusalForgiven {
		f.refused = now
	}
	f.refusedLast = now
	return now.Sub(f.refused) >= refusalPatience
}

// refusal says whether the API server has refused to serve a kind.
func refusal(err error) bool { return apierrors.IsNotFound(err) || apierrors.IsForbidden(err) }

// tell logs why a watch does not work. Connections that are lost or refused are everyday life of a
// watch and stay at debug level. What lasts is said once; a refusal, which has a cure, also after
// anything else.
func (f *failure) tell(err error, now time.Time) {
	f.log.Debug("watch is started again", "error", err)
	log, what := f.log.Error, "reading is not allowed; check the RBAC of this service account"
	switch {
	case apierrors.IsNotFound(err):
		what = "kind is not served by the API server; install the CRDs"
	case !refusal(err):
		log, what = f.log.Warn, "reading does not work, and what is known grows old; trying again"
	}
	if !f.lasts(err, now) || what == f.told || f.told != "" && !refusal(err) {
		return
	}
	f.told = what
	log(what, "error", err)
}

// over notes that a watch has begun.
func (f *failure) over() {
	if f.told != "" {
		f.log.Info("reading works again")
	}
	*f = failure{log: f.log}
}

// Run feeds the stores until ctx ends. It kicks once more when everything is synced,
// because a program that waits for all kinds learns of the last one only then.
func (w *Watcher) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, watched := range w.watches {
		wg.Go(func() { watched.run(ctx) })
	}
	for _, run := range w.later {
		wg.Go(func() { run(ctx) })
	}
	wg.Go(func() {
		if !w.kickWhenSynced(ctx) {
			return
		}
		for _, output := range w.outputs {
			wg.Go(func() { output.run(ctx) })
		}
	})
	wg.Wait()
	return nil
}

// kickWhenSynced returns false when ctx ends before.
func (w *Watcher) kickWhenSynced(ctx context.Context) bool {
	start := time.Now()
	synced := make([]toolscache.InformerSynced, len(w.watches))
	for i, watched := range w.watches {
		synced[i] = watched.synced
	}
	if !toolscache.WaitForCacheSync(ctx.Done(), synced...) {
		return false
	}
	w.log.Info("read the cluster", "took", time.Since(start).Round(time.Millisecond))
	w.kick()
	return true
}

func syncedOrUnused[T object](s *Store[T]) func() bool {
	if s == nil {
		return func() bool { return true }
	}
	return s.Synced
}

func listOrNone[T object](s *Store[T]) []T {
	if s == nil {
		return nil
	}
	return s.List()
}
