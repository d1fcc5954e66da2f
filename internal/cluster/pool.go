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
	// pool lacks Ranges, Quotas, and the namespaces that the selectors choose.
	pool       lb.Pool
	listed     []listedRange
	namespaces lb.Selectors
	quotas     []quota
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
			// The rest are additions to MetalLB.
			ReservationTime:  duration(r, "spec.reservationTime", in.Spec.ReservationTime),
			CooldownTime:     duration(r, "spec.cooldownTime", in.Spec.CooldownTime),
			DualStackPartner: in.Spec.DualStackPartner,
			PreferColocate:   in.Spec.SharingPolicy == v1beta1.PreferColocate,
		},
		quotas: compileQuotas(r, in.Spec.Quotas),
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

// resolve adds the namespaces that selectors choose. It copies what it changes.
func (p *pool) resolve(namespaces []*entry[namespace]) lb.Pool {
	out := p.pool
	if len(p.namespaces) > 0 {
		allocation := *out.Allocation
		allocation.Namespaces = chosen(allocation.Namespaces, p.namespaces, namespaces)
		out.Allocation = &allocation
	}
	for _, q := range p.quotas {
		quota := q.Quota
		quota.Namespaces = chosen(quota.Namespaces, q.selectors, namespaces)
		out.Quotas = append(out.Quotas, quota)
	}
	return out
}

// chosen returns the names and those of the namespaces that a selector matches, sorted.
func chosen(names []string, selectors lb.Selectors, namespaces []*entry[namespace]) []string {
	out := slices.Clone(names)
	for _, ns := range namespaces {
		if selectors.MatchesAny(ns.val.labels) {
			out = append(out, ns.val.name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
