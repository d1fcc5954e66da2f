// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import "net/netip"

// Newcomers remembers from plan to plan which addresses nobody in the cluster can have
// announced yet: those that were given to a Service while this program watched, and that no
// node has owned since. Only they may be probed for at leisure; whatever else comes to this
// node is taken over from somebody, and clients wait. The zero Newcomers is ready for use.
type Newcomers struct {
	seen  map[netip.Addr]bool // by address: it had an owner, or was there from the start
	begun bool
}

// Of returns the addresses of the plan that are announced for the first time in the cluster,
// in the order of the plan. The caller applies it; the next call counts them as announced.
func (n *Newcomers) Of(d Desired) []netip.Addr {
	if !d.Known {
		return nil
	}
	owned := make(map[netip.Addr]bool, len(d.Why))
	fresh := map[netip.Addr]bool{}
	for i := range d.Why {
		e := &d.Why[i]
		had, known := n.seen[e.Addr]
		if n.begun && !had && !owned[e.Addr] {
			fresh[e.Addr] = true
		}
		owned[e.Addr] = !n.begun || known && had || owned[e.Addr] || e.Owner != ""
	}
	n.seen, n.begun = owned, true
	var out []netip.Addr
	for i := range d.L2 {
		if fresh[d.L2[i].Addr] {
			out = append(out, d.L2[i].Addr)
		}
	}
	return out
}
