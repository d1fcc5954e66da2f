// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"cmp"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarion-lb/clarion/internal/lb"
)

// poolTable compiles the pools and settles what they are to each other.
type poolTable struct {
	pools      memo[pool]
	namespaces memo[namespace]

	out      []lb.Pool
	problems []lb.Problem
}

// namespace is what pools need to know of a namespace.
type namespace struct {
	name   string
	labels map[string]string
}

// update brings the table up to date and says whether any result may have changed.
func (t *poolTable) update(o *Objects) bool {
	compileNamespace := func(ns *corev1.Namespace) namespace { return namespace{ns.Name, ns.Labels} }
	equalNamespaces := func(a, b *namespace) bool { return maps.Equal(a.labels, b.labels) }
	namespaces := update(&t.namespaces, o.Namespaces, compileNamespace, equalNamespaces)
	pools := update(&t.pools, o.Pools, compilePool, equalPools)
	if len(namespaces)+len(pools) == 0 {
		return false
	}
	t.rebuild()
	return true
}

// rebuild lets the pools claim their ranges in the order of their age, so that a new pool
// never takes anything from an old one.
func (t *poolTable) rebuild() {
	byAge := make([]*pool, 0, len(t.pools.order))
	for _, e := range t.pools.order {
		byAge = append(byAge, &e.val)
	}
	slices.SortFunc(byAge, func(a, b *pool) int {
		return cmp.Or(a.pool.Created.Compare(b.pool.Created), cmp.Compare(a.pool.Name, b.pool.Name), a.key.Compare(b.key))
	})
	t.out, t.problems = make([]lb.Pool, 0, len(byAge)), nil
	var held claims
	named := map[string]lb.Key{}
	for _, p := range byAge {
		r := &report{kind: "IPAddressPool", key: p.key, problems: slices.Clone(p.problems)}
		if other, taken := named[p.pool.Name]; taken {
			r.reject("metadata.name", "pool %s has this name already and is older; rename or delete one of them", other)
		} else if out, usable := p.claim(r, &held); usable {
			named[out.Name] = p.key
			resolved := p.resolve(t.namespaces.order)
			resolved.Ranges, resolved.Closed = out.Ranges, out.Closed
			t.out = append(t.out, resolved)
		}
		t.problems = append(t.problems, r.problems...)
	}
	for _, p := range byAge {
		if _, usable := named[p.pool.DualStackPartner]; p.pool.DualStackPartner == "" || usable {
			continue
		}
		r := &report{kind: "IPAddressPool", key: p.key}
		r.field("spec.dualStackPartner", "there is no usable pool %q; create or correct it, or name another", p.pool.DualStackPartner)
		t.problems = append(t.problems, r.problems...)
	}
	slices.SortFunc(t.out, func(a, b lb.Pool) int { return cmp.Compare(a.Name, b.Name) })
}

// claim takes the ranges of the pool that nobody holds. Ranges that overlap inside the pool are
// a slip without consequences. A pool that overlaps an older one is closed: nobody gets a new
// address from it, but Services that have one of its undisputed addresses keep it, since the
// cause may be an edit of the other pool. It says whether the pool has any range left.
func (p *pool) claim(r *report, held *claims) (out lb.Pool, usable bool) {
	out.Name = p.pool.Name
	for _, l := range p.listed {
		free, taken := held.take(claim{l.Range, out.Name, l.text})
		out.Ranges = append(out.Ranges, free...)
		said := map[claim]bool{}
		for _, other := range taken {
			other.Range = lb.Range{} // a listed range that was cut is still one text
			if said[other] {
				continue
			}
			said[other] = true
			if other.pool == out.Name {
				r.field(l.field, "%q overlaps with %q of the same pool; shorten or remove one of them", l.text, other.text)
				continue
			}
			out.Closed = true
			r.field(l.field, "%q overlaps with %q of the older pool %q, which keeps the addresses; "+
				"correct one of them, until then no Service gets a new address from this pool", l.text, other.text, other.pool)
		}
	}
	usable = len(out.Ranges) > 0
	for i := range r.problems {
		r.problems[i].Ignored = r.problems[i].Ignored || !usable
	}
	return out, usable
}

// poolNames returns the names of the pools that an advertisement chooses, sorted: those named
// and those selected, or all when it says nothing. Names of pools that do not exist are left
// out without a word, because objects may be created in any order.
func poolNames(pools []lb.Pool, names []string, selectors lb.Selectors) []string {
	all := len(names)+len(selectors) == 0
	var out []string
	for i := range pools {
		p := &pools[i]
		if all || slices.Contains(names, p.Name) || selectors.MatchesAny(p.Labels) {
			out = append(out, p.Name)
		}
	}
	return out
}
