// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/clarion-lb/clarion/internal/lb"
)

// Kept remembers against which speakers, beyond the reach of gossip, this node keeps addresses.
// Those speakers have entered themselves into the record of owners of their side, and without
// an answer to that the addresses would move to them when gossip is back. The zero Kept is ready
// for use.
type Kept struct {
	from map[netip.Addr]string
}

// Of returns the addresses, sorted, that this node should claim anew (elect.Record.Insist): those
// on which it insists, by Settle, against a speaker that it cannot talk to, once for each speaker.
func (k *Kept) Of(insist []netip.Addr, v lb.View, rivals []lb.Rival) []netip.Addr {
	from := map[netip.Addr]string{}
	for _, r := range rivals {
		_, wanted := slices.BinarySearchFunc(insist, r.Addr, netip.Addr.Compare)
		if _, alive := slices.BinarySearch(v.Members, r.Node); wanted && !alive && r.Node != "" {
			from[r.Addr] = max(from[r.Addr], r.Node) // of several interfaces it may be more than one
		}
	}
	var anew []netip.Addr
	for _, a := range slices.SortedFunc(maps.Keys(from), netip.Addr.Compare) {
		if k.from[a] != from[a] {
			anew = append(anew, a)
		}
	}
	k.from = from
	return anew
}
