// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package members

import (
	"net/netip"
	"slices"

	"github.com/clarion-lb/clarion/internal/lb"
)

// LinkUp says whether the link that carries the address has carrier, for SetLinkUp. A
// node that has the address on no link has no way to its peers either. The unspecified
// address is on every link, so one with carrier and an address beyond the loopback is enough.
func LinkUp(links []lb.Link, bind netip.Addr) bool {
	if bind.IsUnspecified() {
		return slices.ContainsFunc(links, reaches)
	}
	for _, l := range links {
		for _, p := range l.Prefixes {
			if p.Addr() == bind {
				return l.Carrier
			}
		}
	}
	return false
}

// reaches says whether a link could lead to other nodes.
func reaches(l lb.Link) bool {
	return l.Carrier && slices.ContainsFunc(l.Prefixes, func(p netip.Prefix) bool {
		return !p.Addr().IsLoopback() && !p.Addr().IsLinkLocalUnicast()
	})
}
