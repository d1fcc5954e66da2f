// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package link

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"

	"github.com/clarion-lb/clarion/internal/lb"
)

func prefix(a netlink.Addr) (netip.Prefix, bool) {
	ip, ok := netip.AddrFromSlice(a.IP)
	if !ok {
		return netip.Prefix{}, false
	}
	ones, _ := a.Mask.Size()
	return netip.PrefixFrom(ip.Unmap(), ones), true
}

// sortLinks makes equal states equal snapshots.
func sortLinks(links []lb.Link) {
	slices.SortFunc(links, func(a, b lb.Link) int { return cmp.Compare(a.Index, b.Index) })
	for _, l := range links {
		slices.SortFunc(l.Prefixes, func(a, b netip.Prefix) int {
			return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
		})
	}
}

func equal(a, b lb.Link) bool {
	return a.Index == b.Index && a.Name == b.Name && a.HardwareAddr == b.HardwareAddr &&
		a.Carrier == b.Carrier && a.Broadcast == b.Broadcast && a.ARP == b.ARP &&
		a.Master == b.Master && slices.Equal(a.Prefixes, b.Prefixes)
}
