// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"

	"github.com/clarion-lb/clarion/internal/lb"
)

// Watcher runs the informers of one program. Every change of a watched object calls kick.
type Watcher struct {
	log       *slog.Logger
	kick      func()
	informers []toolscache.SharedIndexInformer
	later     []func(context.Context) // run informers of their own
}

// NewWatcher returns a Watcher without informers; Watch adds them, Run starts them.
func NewWatcher(log *slog.Logger, kick func()) *Watcher {
	return &Watcher{log: log, kick: kick}
}

// Store is a read-only view of the local copies of one kind. The objects are shared: treat
// them as constants.
type Store[T runtime.Object] struct {
	informer toolscache.SharedIndexInformer
}

// Synced says whether the first complete list has arrived. Before that the store is
// unknown, which is not the same as empty.
func (s Store[T]) Synced() bool { return s.informer.HasSynced() }

// List returns the objects in no particular order.
func (s Store[T]) List() []T {
	items := s.informer.GetStore().List()
	out := make([]T, len(items))
	for i, it := range items {
		out[i] = it.(T)
	}
	return out
}

// Get returns one object, if there is a copy of it.
func (s Store[T]) Get(k lb.Key) (object T, ok bool) {
	item, found, err := s.informer.GetStore().GetByKey(k.String())
	if err != nil || !found {
		return object, false
	}
	object, ok = item.(T)
	return object, ok
}

// Source says where the objects of one kind come from and what of them is kept.
type Source[T runtime.Object] struct {
	Client    rest.Interface
	Resource  string // plural, lower case
	Namespace string // "" for all
	Labels    string // label selector; "" for all
	Name      string // of the one object to watch; "" for all
	Example   T
	Strip     func(T)               // drops what the program never reads, to save memory
	Same      func(old, new T) bool // optional: changes that nobody looks at cause no kick
	Broken    func(error)           // optional: told why a watch could not begin or has ended
}

// Watch adds an informer for one kind. Call it before Run.
func Watch[T runtime.Object](w *Watcher, src Source[T]) (Store[T], error) {
	inf, err := newInformer(w, src)
	if err != nil {
		return Store[T]{}, fmt.Errorf("watch %s: %w", src.Resource, err)
	}
	w.informers = append(w.informers, inf)
	return Store[T]{informer: inf}, nil
}

// newInformer builds an informer that somebody else runs.
func newInformer[T runtime.Object](w *Watcher, src Source[T]) (toolscache.SharedIndexInformer, error) {
	lw := toolscache.NewFilteredListWatchFromClient(src.Client, src.Resource, src.Namespace,
		func(o *metav1.ListOptions) {
			o.LabelSelector = src.Labels
			if src.Name != "" {
				o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, src.Name).String()
			}
		})
	inf := toolscache.NewSharedIndexInformer(lw, src.Example, 0, toolscache.Indexers{})
	if err := inf.SetTransform(func(o any) (any, error) {
		if t, ok := o.(T); ok {
			src.Strip(t)
		}
		return o, nil
	}); err != nil {
		return nil, fmt.Errorf("set transformation: %w", err)
	}
	if err := inf.SetWatchErrorHandler(func(_ *toolscache.Reflector, err error) {
		w.watchError(src.Resource, err)
		if src.Broken != nil {
			src.Broken(err)
		}
	}); err != nil {
		return nil, fmt.Errorf("set error handler: %w", err)
	}
	if _, err := inf.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { w.kick() },
		DeleteFunc: func(any) { w.kick() },
		UpdateFunc: func(before, after any) {
			if src.changed(before, after) {
				w.kick()
			}
		},
	}); err != nil {
		return nil, fmt.Errorf("add event handler: %w", err)
	}
	return inf, nil
}

func (src Source[T]) changed(before, after any) bool {
	b, okb := before.(T)
	a, oka := after.(T)
	if !okb || !oka {
		return true
	}
	if version(b) == version(a) {
		return false
	}
	return src.Same == nil || !src.Same(b, a)
}

func version(o runtime.Object) string {
	acc, err := meta.Accessor(o)
	if err != nil {
		return ""
	}
	return acc.GetResourceVersion()
}

// watchError logs why a watch broke. Expired resource versions and closed connections are
// everyday life of a watch and stay at debug level.
func (w *Watcher) watchError(resource string, err error) {
	switch {
	case apierrors.IsNotFound(err):
		w.log.Error("kind is not served by the API server; install the CRDs", "resource", resource, "error", err)
	case apierrors.IsForbidden(err):
		w.log.Error("reading is not allowed; check the RBAC of this service account", "resource", resource, "error", err)
	default:
		w.log.Debug("watch ended and is started again", "resource", resource, "error", err)
	}
}

// Run feeds the stores until ctx ends. It kicks once more when everything is synced,
// because a program that waits for all kinds learns of the last one only then.
func (w *Watcher) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, inf := range w.informers {
		wg.Go(func() { inf.RunWithContext(ctx) })
	}
	for _, run := range w.later {
		wg.Go(func() { run(ctx) })
	}
	wg.Go(func() { w.kickWhenSynced(ctx) })
	wg.Wait()
	return nil
}

func (w *Watcher) kickWhenSynced(ctx context.Context) {
	start := time.Now()
	synced := make([]toolscache.InformerSynced, len(w.informers))
	for i, inf := range w.informers {
		synced[i] = inf.HasSynced
	}
	if toolscache.WaitForCacheSync(ctx.Done(), synced...) {
		w.log.Info("read the cluster", "took", time.Since(start).Round(time.Millisecond))
		w.kick()
	}
}

func syncedOrUnused[T runtime.Object](s *Store[T]) func() bool {
	if s == nil {
		return func() bool { return true }
	}
	return s.Synced
}

func listOrNone[T runtime.Object](s *Store[T]) []T {
	if s == nil {
		return nil
	}
	return s.List()
}
