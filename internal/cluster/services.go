// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"reflect"
	"slices"

	"github.com/clarion-lb/clarion/internal/lb"
)

// serviceTable compiles the Services together with their endpoints.
type serviceTable struct {
	services memo[service]
	slices   memo[slice]
	// byService holds, for each Service that has any, pointers to its values in slices.
	byService map[lb.Key][]*slice
	listed    bool

	out      []lb.Service
	released []lb.Key
	problems []lb.Problem
}

// update brings the table up to date and says whether any result changed.
func (t *serviceTable) update(o *Objects) bool {
	stale := map[lb.Key]struct{}{} // Services whose endpoints are to be counted again
	compile := func(p *Packed) service { return compilePacked(p, o.LoadBalancerClass) }
	changes := update(&t.services, o.Services, compile, equalServices)
	listChanged := false
	for _, c := range changes {
		stale[c.key] = struct{}{}
		listChanged = listChanged || c.old == nil || c.now == nil || !samePlace(c.old, c.now)
	}
	if o.EndpointSlicesListed {
		t.updateSlices(o, stale)
	}
	if t.listed != o.EndpointSlicesListed {
		t.listed = o.EndpointSlicesListed
		for _, e := range t.services.order {
			stale[e.key] = struct{}{}
		}
	}
	changed := len(changes) > 0
	for key := range stale {
		changed = t.recount(key) || changed
	}
	switch {
	case listChanged:
		t.rebuild()
	case changed:
		t.patch(stale)
	}
	return changed
}

// samePlace says whether two versions of a Service differ in nothing but the entry that the
// Service has in the output.
func samePlace(a, b *service) bool {
	return a.kind == b.kind && len(a.problems) == 0 && len(b.problems) == 0
}

// updateSlices notes in stale the Services whose EndpointSlices changed.
func (t *serviceTable) updateSlices(o *Objects, stale map[lb.Key]struct{}) {
	if t.byService == nil {
		t.byService = map[lb.Key][]*slice{}
	}
	unpack := func(p *PackedSlice) slice { return p.slice }
	for _, c := range update(&t.slices, o.EndpointSlices, unpack, equalSlices) {
		held := c.now // the address of the value in the memo, which byService refers to
		if held == nil {
			held = c.old
		}
		if c.old != nil {
			stale[c.old.service] = struct{}{}
			rest := slices.DeleteFunc(t.byService[c.old.service], func(s *slice) bool { return s == held })
			if len(rest) == 0 {
				delete(t.byService, c.old.service)
			} else {
				t.byService[c.old.service] = rest
			}
		}
		if c.now != nil {
			stale[c.now.service] = struct{}{}
			t.byService[c.now.service] = append(t.byService[c.now.service], held)
		}
	}
}

// recount counts the endpoints of one Service and says whether they changed.
func (t *serviceTable) recount(key lb.Key) bool {
	e, found := t.services.byKey[key]
	if !found || e.val.kind != ours {
		return false
	}
	var now lb.Endpoints
	if t.listed {
		now = countEndpoints(&e.val, t.byService[key])
	}
	if reflect.DeepEqual(e.val.svc.Endpoints, now) {
		return false
	}
	e.val.svc.Endpoints = now
	return true
}

// patch replaces the entries of some Services. Copying the output as a whole and looking up
// these is several times cheaper than collecting ten thousand Services again.
func (t *serviceTable) patch(keys map[lb.Key]struct{}) {
	t.out = slices.Clone(t.out)
	for key := range keys {
		i, found := slices.BinarySearchFunc(t.out, key, func(s lb.Service, k lb.Key) int { return s.Key.Compare(k) })
		if found {
			t.out[i] = t.services.byKey[key].val.svc
		}
	}
}

func (t *serviceTable) rebuild() {
	t.out = make([]lb.Service, 0, len(t.services.order))
	t.released, t.problems = nil, nil
	for _, e := range t.services.order {
		switch e.val.kind {
		case ours:
			t.out = append(t.out, e.val.svc)
			t.problems = append(t.problems, e.val.problems...)
		case released:
			t.released = append(t.released, e.key)
		}
	}
}
