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

// OnLinks returns the plan as far as the node's interfaces allow it: an announcement whose
// interfaces all do not exist is taken out and explained with AnnounceFailed. The node stays
// the owner, because only it knows its interfaces, and an election must rest on shared facts.
// Call it with a known list of links only.
func OnLinks(d Desired, links []lb.Link) Desired {
	missing := func(a lb.Announcement) bool {
		return len(a.Interfaces) > 0 && !slices.ContainsFunc(links, func(l lb.Link) bool {
			return slices.Contains(a.Interfaces, l.Name)
		})
	}
	if !slices.ContainsFunc(d.L2, missing) {
		return d
	}
	var kept []lb.Announcement
	lost := map[place]bool{}
	for _, a := range d.L2 {
		if !missing(a) {
			kept = append(kept, a)
			continue
		}
		for _, k := range a.Services {
			lost[place{k, a.Addr}] = true
		}
	}
	d.L2, d.Why = kept, slices.Clone(d.Why)
	for i := range d.Why {
		if e := &d.Why[i]; lost[place{e.Service, e.Addr}] {
			e.Announced, e.Reason = false, lb.AnnounceFailed
		}
	}
	return d
}
