// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"net/netip"
	"slices"

	"github.com/clarion-lb/clarion/internal/lb"
)

// place is one address of one Service.
type place struct {
	service lb.Key
	addr    netip.Addr
}

// OnLinks returns the plan as far as the node's interfaces allow it: an announcement that none of
// its interfaces can carry now is taken out and explained with AnnounceFailed. The node stays the
// owner, because an election must rest on shared facts: the others learn of its interfaces a
// moment later, or have none that is better. Call it with a known list of links only.
func OnLinks(d Desired, links []lb.Link, usable lb.Usable) Desired {
	silent := func(a lb.Announcement) bool {
		names := usable.Of(lb.FamilyOf(a.Addr))
		if len(a.Interfaces) == 0 {
			return len(names) == 0
		}
		return !slices.ContainsFunc(a.Interfaces, func(i string) bool { return slices.Contains(names, i) })
	}
	if !slices.ContainsFunc(d.L2, silent) {
		return d
	}
	var kept []lb.Announcement
	lost := map[place]bool{} // by place: whether the interfaces are named and do not exist
	for _, a := range d.L2 {
		if !silent(a) {
			kept = append(kept, a)
			continue
		}
		absent := len(a.Interfaces) > 0 && !slices.ContainsFunc(links, func(l lb.Link) bool {
			return slices.Contains(a.Interfaces, l.Name)
		})
		for _, k := range a.Services {
			lost[place{k, a.Addr}] = absent
		}
	}
	d.L2, d.Why = kept, slices.Clone(d.Why)
	for i := range d.Why {
		e := &d.Why[i]
		if absent, found := lost[place{e.Service, e.Addr}]; found {
			e.Announced, e.Reason, e.Absent = false, lb.AnnounceFailed, absent
		}
	}
	return d
}
