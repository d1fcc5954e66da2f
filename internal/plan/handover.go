// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"net/netip"
	"slices"

	"github.com/clarion-lb/clarion/internal/lb"
)

// Handovers lists the addresses, sorted, that move from this node to another live one in a
// planned way: this node is well and merely no longer the owner. It should go on answering
// for them until the new owner has announced itself. An address that nobody owns now, or
// that this node lost because it is cut off, is not among them and falls silent at once.
func Handovers(prev, next Desired) []netip.Addr {
	if !prev.Known || !next.Known {
		return nil
	}
	had := map[netip.Addr]bool{}
	for i := range prev.L2 {
		had[prev.L2[i].Addr] = true
	}
	for i := range next.L2 {
		delete(had, next.L2[i].Addr)
	}
	var out []netip.Addr
	for i := range next.Why {
		if e := &next.Why[i]; had[e.Addr] && e.Reason == lb.NotOwner && e.Owner != "" {
			out = append(out, e.Addr)
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}
