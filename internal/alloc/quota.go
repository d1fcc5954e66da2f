// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package alloc

import "math"

// quotas counts the addresses of namespaces in the pools that limit them.
type quotas struct {
	pools *pools
	count map[quotaKey]int
	limit map[quotaKey]int // found so far
}

type quotaKey struct {
	pool      int32
	namespace string
}

func newQuotas(p *pools) quotas {
	return quotas{pools: p, count: make(map[quotaKey]int), limit: make(map[quotaKey]int)}
}

// limits says whether a pool has quotas at all.
func (q *quotas) limits(pool int32) bool { return len(q.pools.list[pool].Quotas) > 0 }

// add counts in a pool that has quotas.
func (q *quotas) add(pool int32, namespace string, by int) {
	q.count[quotaKey{pool, namespace}] += by
}

// max is the number of addresses that a namespace may have in a pool.
func (q *quotas) max(pool int32, namespace string) int {
	k := quotaKey{pool, namespace}
	n, found := q.limit[k]
	if found {
		return n
	}
	n = math.MaxInt
	for _, x := range q.pools.list[pool].Quotas {
		if x.Covers(namespace) {
			n = min(n, x.Max)
		}
	}
	q.limit[k] = n
	return n
}

// room says whether a namespace may have one address more than it has and was spoken of.
func (q *quotas) room(pool int32, namespace string, spoken int) bool {
	return q.count[quotaKey{pool, namespace}]+spoken < q.max(pool, namespace)
}
