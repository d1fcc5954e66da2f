// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"fmt"
	"slices"
	"sync"

	toolscache "k8s.io/client-go/tools/cache"

	"github.com/clarion-lb/clarion/internal/lb"
)

// object is an object of the API, or what is kept of one.
type object interface {
	GetNamespace() string
	GetName() string
	GetResourceVersion() string
}

// Store is a read-only view of the local copies of one kind. The objects are shared: treat
// them as constants.
type Store[T object] struct {
	copies interface {
		synced() bool
		list() []T
		get(k lb.Key) (T, bool)
	}
}

// Synced says whether the first complete list has arrived. Before that the store is
// unknown, which is not the same as empty.
func (s Store[T]) Synced() bool { return s.copies.synced() }

// List returns the objects in no particular order.
func (s Store[T]) List() []T { return s.copies.list() }

// Get returns one object, if there is a copy of it.
func (s Store[T]) Get(k lb.Key) (object T, ok bool) { return s.copies.get(k) }

// copies is what a reflector writes to. An informer would do as well, but it puts a queue and
// per-handler buffers between the watch and its store, and holds thousands of objects twice
// while it works them off; the loops want to know no more than that something changed.
type copies[O, T object] struct {
	keep   func(now O, before T) T
	regard regard[T]
	kick   func()

	mu    sync.RWMutex
	known bool
	byKey map[lb.Key]T
}

// regard is which changes of the copies are worth a kick. Every copy is stored before it is
// judged, and a judgement may therefore depend on the copies of another kind, see slicesOf.
type regard[T object] struct {
	matters func(T) bool          // nil: every object does
	same    func(old, now T) bool // nil: any other version is a change
}

func newCopies[O, T object](keep func(now O, before T) T, regard regard[T], kick func()) *copies[O, T] {
	return &copies[O, T]{keep: keep, regard: regard, kick: kick, byKey: map[lb.Key]T{}}
}

func (c *copies[O, T]) synced() bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.known
}

func (c *copies[O, T]) list() []T {
	c.mu.RLock()
	defer c.mu.RUnlock()
	out := make([]T, 0, len(c.byKey))
	for _, o := range c.byKey {
		out = append(out, o)
	}
	return out
}

func (c *copies[O, T]) get(k lb.Key) (T, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	o, ok := c.byKey[k]
	return o, ok
}

// kept marks what has been through keep.
type kept[T object] struct{ copy T }

// Transformer makes the reflector hold copies, and not objects, while the first list streams in.
func (c *copies[O, T]) Transformer() toolscache.TransformFunc {
	return func(o any) (any, error) {
		copied, err := c.copyOf(o)
		return kept[T]{copied}, err
	}
}

func (c *copies[O, T]) copyOf(o any) (copied T, err error) {
	switch o := o.(type) {
	case kept[T]:
		return o.copy, nil
	case O:
		var none T
		return c.keep(o, none), nil
	}
	return copied, fmt.Errorf("keep a copy: unexpected %T", o)
}

// Add implements cache.ReflectorStore.
func (c *copies[O, T]) Add(o any) error {
	named, ok := o.(O)
	if !ok {
		return fmt.Errorf("keep a copy: unexpected %T", o)
	}
	k := keyOf(named)
	before, existed := c.get(k) // nobody else writes
	now := c.keep(named, before)
	c.mu.Lock()
	c.byKey[k] = now
	c.mu.Unlock()
	if existed && c.regard.changed(before, now) || !existed && c.regard.any(now) {
		c.kick()
	}
	return nil
}

// Update implements cache.ReflectorStore.
func (c *copies[O, T]) Update(o any) error { return c.Add(o) }

// Delete implements cache.ReflectorStore.
func (c *copies[O, T]) Delete(o any) error {
	gone, ok := o.(O)
	if !ok {
		return fmt.Errorf("forget a copy: unexpected %T", o)
	}
	k := keyOf(gone)
	c.mu.Lock()
	before, existed := c.byKey[k]
	delete(c.byKey, k)
	c.mu.Unlock()
	if existed && c.regard.any(before) {
		c.kick()
	}
	return nil
}

// Replace implements cache.ReflectorStore: the list is complete.
func (c *copies[O, T]) Replace(list []any, _ string) error {
	byKey := make(map[lb.Key]T, len(list))
	for _, o := range list {
		copied, err := c.copyOf(o)
		if err != nil {
			return err
		}
		byKey[keyOf(copied)] = copied
	}
	c.mu.Lock()
	before, first := c.byKey, !c.known
	c.byKey, c.known = byKey, true
	c.mu.Unlock()
	if first || c.regard.differ(before, byKey) { // that there is nothing is news, too
		c.kick()
	}
	return nil
}

// Resync implements cache.ReflectorStore: nobody here wants to be told again of what did not
// change.
func (c *copies[O, T]) Resync() error { return nil }

// any says whether one of the objects matters.
func (r regard[T]) any(objects ...T) bool {
	return r.matters == nil || slices.ContainsFunc(objects, r.matters)
}

// changed says whether a new version is news. That of an object that stops mattering is.
func (r regard[T]) changed(before, now T) bool {
	if before.GetResourceVersion() == now.GetResourceVersion() {
		return false
	}
	return r.any(before, now) && (r.same == nil || !r.same(before, now))
}

// differ says whether a list is news.
func (r regard[T]) differ(before, now map[lb.Key]T) bool {
	for k, n := range now {
		if b, existed := before[k]; existed && r.changed(b, n) || !existed && r.any(n) {
			return true
		}
	}
	for k, b := range before {
		if _, exists := now[k]; !exists && r.any(b) {
			return true
		}
	}
	return false
}

func keyOf(o object) lb.Key { return lb.Key{Namespace: o.GetNamespace(), Name: o.GetName()} }
