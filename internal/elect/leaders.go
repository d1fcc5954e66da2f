// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package elect

import (
	"net/netip"
	"slices"
)

// Leaders returns the first n names of Ranked without ordering the rest.
func (e *Elector) Leaders(addr netip.Addr, set Set, n int) []string {
	sums := e.row(addr)
	best := make([]int, 0, n+1)
	for i := range set.candidates {
		at := len(best)
		for at > 0 && e.compare(addr, sums, set, i, best[at-1]) < 0 {
			at--
		}
		if at < n {
			best = slices.Insert(best, at, i)
			best = best[:min(len(best), n)]
		}
	}
	names := make([]string, len(best))
	for k, i := range best {
		names[k] = set.candidates[i].Node
	}
	return names
}
