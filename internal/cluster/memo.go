// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/clarion-lb/clarion/internal/lb"
)

// memo keeps what the objects of one kind compiled to, so that a pass over an unchanged
// cluster compiles nothing. An object without UID or resourceVersion, such as one read from
// a file, is compiled anew each time.
type memo[T any] struct {
	byKey map[lb.Key]*entry[T]
	order []*entry[T] // sorted by key
	pass  uint64
}

type entry[T any] struct {
	key  lb.Key
	uid  types.UID
	rv   string
	pass uint64 // the last pass that saw the object
	val  T
}

// identified is what the memo asks of an object.
type identified interface {
	GetNamespace() string
	GetName() string
	GetUID() types.UID
	GetResourceVersion() string
}

// change is what a pass did to one object: old is nil for a new object, now is nil for one
// that is gone.
type change[T any] struct {
	key      lb.Key
	old, now *T
}

// update makes the memo hold what objs compile to and returns what changed. An object whose
// new value equals the old one did not change: the controller writes the status of pools all
// the time, and nobody needs to look at the pools again for that.
func update[O identified, T any](m *memo[T], objs []O, compile func(O) T, equal func(a, b *T) bool) []change[T] {
	if m.byKey == nil {
		m.byKey = make(map[lb.Key]*entry[T], len(objs))
	}
	m.pass++
	var changes []change[T]
	seen, known := 0, len(m.order)
	for _, obj := range objs {
		key := lb.Key{Namespace: obj.GetNamespace(), Name: obj.GetName()}
		uid, rv := obj.GetUID(), obj.GetResourceVersion()
		e, found := m.byKey[key]
		if !found {
			e = &entry[T]{key: key, uid: uid, rv: rv, pass: m.pass, val: compile(obj)}
			m.byKey[key] = e
			m.order = append(m.order, e)
			changes = append(changes, change[T]{key: key, now: &e.val})
			continue
		}
		if e.pass != m.pass {
			e.pass = m.pass
			seen++
		}
		if e.uid == uid && e.rv == rv && uid != "" && rv != "" {
			continue
		}
		e.uid, e.rv = uid, rv
		now := compile(obj)
		if equal(&e.val, &now) {
			continue
		}
		old := e.val
		e.val = now
		changes = append(changes, change[T]{key: key, old: &old, now: &e.val})
	}
	added := len(m.order) > known
	if seen < known {
		changes = m.forget(changes)
	}
	if added {
		slices.SortFunc(m.order, func(a, b *entry[T]) int { return a.key.Compare(b.key) })
	}
	return changes
}

// forget drops the objects that the current pass did not see.
func (m *memo[T]) forget(changes []change[T]) []change[T] {
	kept := m.order[:0]
	for _, e := range m.order {
		if e.pass == m.pass {
			kept = append(kept, e)
			continue
		}
		delete(m.byKey, e.key)
		changes = append(changes, change[T]{key: e.key, old: &e.val})
	}
	clear(m.order[len(kept):])
	m.order = kept
	return changes
}
