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
	writes  uint64 // grows with each version made up
	flying  int    // how many of the entries have not landed
}

// overlayEntry is one write: on its way, or landed and not yet seen in the store.
type overlayEntry struct {
	service *cluster.Packed // as sent, with a version that no server has; or as the server answered
	landed  bool
	base    string // the version that the write is based on
	echoed  string // the last version that the watch showed while the write was on its way
}

func newOverlay() *overlay { return &overlay{entries: map[lb.Key]overlayEntry{}} }

// begin assumes a write before it is sent.
func (o *overlay) begin(svc *corev1.Service) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.writes++
	o.flying++
	o.entries[keyOf(svc)] = overlayEntry{service: cluster.Pack(svc).WithVersion(o.version(svc.ResourceVersion)), base: svc.ResourceVersion}
}

// version makes up a resource version that no stored object has: results memoized for the
// stored one do not apply, and nothing can be written on top of it.
func (o *overlay) version(base string) string { return fmt.Sprintf("%s+%d", base, o.writes) }

// assumed says whether a Service comes from the overlay, so that no stored object is like it.
func assumed(version string) bool { return strings.Contains(version, "+") }

// landed replaces the assumption by the server's answer, until the store has it too. It says
// whether the watch has shown something newer already, which echo took for this write.
func (o *overlay) landed(answer *corev1.Service) (overtaken bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.flying--
	sent := o.entries[keyOf(answer)]
	o.entries[keyOf(answer)] = overlayEntry{service: cluster.PackNext(answer, sent.service), landed: true}
	return sent.echoed != "" && !notOlder(answer.ResourceVersion, sent.echoed)
}

// echo says whether what the watch shows is a write of this program.
func (o *overlay) echo(now *cluster.Packed) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	e, ok := o.entries[now.Key()]
	switch {
	case !ok || e.service.GetUID() != now.GetUID():
		return false
	case e.landed:
		return notOlder(e.service.GetResourceVersion(), now.GetResourceVersion())
	}
	e.echoed = now.GetResourceVersion()
	o.entries[now.Key()] = e
	return true
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

// onTheirWay counts the writes without an answer.
func (o *overlay) onTheirWay() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.flying
}

// apply returns the Services with the pending writes laid over them and forgets the writes
// that the store shows by now. It replaces elements of the list, never the objects.
func (o *overlay) apply(services []*cluster.Packed) []*cluster.Packed {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.entries) == 0 {
		return services
	}
	pending := make(map[lb.Key]bool, len(o.entries))
	for i, s := range services {
		k := s.Key()
		e, ok := o.entries[k]
		switch {
		case !ok || e.service.GetUID() != s.GetUID():
		case !e.landed:
			if e.base != s.GetResourceVersion() {
				e = o.rebase(e, s)
				o.entries[k] = e
			}
			services[i] = e.service
			pending[k] = true
		case !notOlder(s.GetResourceVersion(), e.service.GetResourceVersion()):
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

// rebase returns the entry for a Service that somebody else has written meanwhile: the fields
// that this program writes are those of the write on its way, and the others count as stored.
func (o *overlay) rebase(e overlayEntry, stored *cluster.Packed) overlayEntry {
	out, sent := stored.Unpack(), e.service.Unpack()
	out.Status = sent.Status
	out.Annotations = cluster.WithPoolAnnotation(out.Annotations, cluster.PoolAnnotation(sent))
	o.writes++ // another version than before
	e.service = cluster.Pack(out).WithVersion(o.version(out.ResourceVersion))
	e.base = out.ResourceVersion
	return e
}

// notOlder says whether resource version a is b or newer. Versions that cannot be compared
// count as newer only when they are equal.
func notOlder(a, b string) bool {
	if c, err := resourceversion.CompareResourceVersion(a, b); err == nil {
		return c >= 0
	}
	return a == b
}
