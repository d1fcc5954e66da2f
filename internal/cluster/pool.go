// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"reflect"
	"slices"

	"github.com/clarion-lb/clarion/api/v1beta1"
	"github.com/clarion-lb/clarion/internal/lb"
)

// pool is one IPAddressPool compiled as far as it goes without looking at other objects.
type pool struct {
	key lb.Key
	// pool lacks Ranges, and the namespaces that the selectors choose.
	pool       lb.Pool
	listed     []listedRange
	namespaces lb.Selectors
	problems   []lb.Problem
}

// listedRange is a range as it stands in spec.addresses.
type listedRange struct {
	lb.Range
	field, text string
}

func equalPools(a, b *pool) bool { return reflect.DeepEqual(a, b) }

func compilePool(in *v1beta1.IPAddressPool) pool {
	r := newReport("IPAddressPool", in)
	out := pool{
		key: r.key,
		pool: lb.Pool{
			Name:          in.Name,
			Created:       in.CreationTimestamp.Time,
			Labels:        in.Labels,
			AutoAssign:    deref(in.Spec.AutoAssign, true),
			AvoidBuggyIPs: in.Spec.AvoidBuggyIPs,
		},
	}
	for i, text := range in.Spec.Addresses {
		field := index("spec.addresses", i)
		parsed, err := ParseRange(text)
		if err != nil {
			r.field(field, "%q %v", text, err)
			continue
		}
		out.listed = append(out.listed, listedRange{parsed, field, text})
	}
	if len(in.Spec.Addresses) == 0 {
		r.reject("spec.addresses", "names no addresses; add a prefix or a range")
	}
	if to := in.Spec.AllocateTo; to != nil {
		const path = "spec.serviceAllocation."
		out.namespaces = compileSelectors(r, path+"namespaceSelectors", to.NamespaceSelectors)
		out.pool.Allocation = &lb.Allocation{
			Priority:     to.Priority,
			AnyNamespace: len(to.Namespaces)+len(to.NamespaceSelectors) == 0,
			Namespaces:   sortedNames(r, path+"namespaces", to.Namespaces),
			Services:     compileSelectors(r, path+"serviceSelectors", to.ServiceSelectors),
		}
	}
	out.problems = r.problems
	return out
}

// resolve adds the namespaces that the selectors choose. It copies what it changes.
func (p *pool) resolve(namespaces []*entry[namespace]) lb.Pool {
	out := p.pool
	if len(p.namespaces) == 0 {
		return out
	}
	allocation := *out.Allocation
	names := slices.Clone(allocation.Namespaces)
	for _, ns := range namespaces {
		if p.namespaces.MatchesAny(ns.val.labels) {
			names = append(names, ns.val.name)
		}
	}
	slices.Sort(names)
	allocation.Namespaces = slices.Compact(names)
	out.Allocation = &allocation
	return out
}
