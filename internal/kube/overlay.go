// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"fmt"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	"github.com/clarion-lb/clarion/internal/cluster"
	"github.com/clarion-lb/clarion/internal/lb"
)

// overlay holds the program's own Service writes until the local copies show them. Without
// it, a pass that runs between a write and its echo would see a Service without its address
// and could give that address away, or give the Service another one.
type overlay struct {
	mu      sync.Mutex
	entries map[lb.Key]overlayEntry
	writes  uint64 // how many were begun
	flying  int    // how many of the entries have not landed
}

// overlayEntry is one write: on its way, or landed and not yet seen in the store.
type overlayEntry struct {
	service *corev1.Service // as sent, or as the server returned it
	landed  bool
	number  uint64
}

func newOverlay() *overlay { return &overlay{entries: map[lb.Key]overlayEntry{}} }

// begin assumes a write before it is sent.
func (o *overlay) begin(svc *corev1.Service) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.writes++
	o.flying++
	o.entries[keyOf(svc)] = overlayEntry{service: svc, number: o.writes}
}

// landed replaces the assumption by the server's answer, until the store has it too.
func (o *overlay) landed(result *corev1.Service) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.flying--
	o.entries[keyOf(result)] = overlayEntry{service: result, landed: true}
}

// drop gives up the assumption: the write failed for certain.
func (o *overlay) drop(k lb.Key) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.flying--
	delete(o.entries, k)
}

// inFlight says whether a write for the Service is on its way.
func (o *overlay) inFlight(k lb.Key) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	e, ok := o.entries[k]
	return ok && !e.landed
}

// busy says whether more writes are on their way than the writers take at once.
func (o *overlay) busy() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.flying > serviceWriters
}

// apply returns the Services with the pending writes laid over them and forgets the writes
// that the store shows by now. It replaces elements of the list, never the objects.
func (o *overlay) apply(services []*corev1.Service) []*corev1.Service {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.entries) == 0 {
		return services
	}
	pending := make(map[lb.Key]bool, len(o.entries))
	for i, s := range services {
		k := keyOf(s)
		e, ok := o.entries[k]
		switch {
		case !ok || e.service.UID != s.UID:
		case !e.landed:
			services[i] = withWritten(s, e)
			pending[k] = true
		case !notOlder(s.ResourceVersion, e.service.ResourceVersion):
			services[i] = e.service
			pending[k] = true
		}
	}
	for k, e := range o.entries {
		if e.landed && !pending[k] {
			delete(o.entries, k)
		}
	}
	return services
}

// withWritten returns the store's Service with the fields that this program writes taken
// from the write on its way, so that another writer's newer spec counts too. It gets a
// resource version that no stored object has: results memoized for the stored one do not
// apply, and nothing can be written on top of it.
func withWritten(stored *corev1.Service, e overlayEntry) *corev1.Service {
	out := *stored
	out.Status = e.service.Status
	out.Annotations = cluster.WithPoolAnnotation(stored.Annotations, cluster.PoolAnnotation(e.service))
	out.ResourceVersion = fmt.Sprintf("%s+%d", stored.ResourceVersion, e.number)
	return &out
}

// assumed says whether a Service comes from withWritten, so that no stored object is like it.
func assumed(s *corev1.Service) bool { return strings.Contains(s.ResourceVersion, "+") }

// notOlder says whether resource version a is b or newer. Versions that cannot be compared
// count as newer only when they are equal.
func notOlder(a, b string) bool {
	if c, err := resourceversion.CompareResourceVersion(a, b); err == nil {
		return c >= 0
	}
	return a == b
}

func keyOf(s *corev1.Service) lb.Key { return lb.Key{Namespace: s.Namespace, Name: s.Name} }
