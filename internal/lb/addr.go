// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package lb

import (
	"cmp"
	"net/netip"
	"slices"
)

// Family is an IP address family.
type Family uint8

// The two families, in the order in which MetalLB and Kubernetes list them.
const (
	IPv4 Family = 4
	IPv6 Family = 6
)

// String returns "IPv4" or "IPv6", the spelling of corev1.IPFamily.
func (f Family) String() string {
	if f == IPv6 {
		return "IPv6"
	}
	return "IPv4"
}

// FamilyOf returns the family of a valid address. IPv4-mapped IPv6 addresses
// count as IPv4, as they do everywhere in the Kubernetes API.
func FamilyOf(a netip.Addr) Family {
	if a.Unmap().Is4() {
		return IPv4
	}
	return IPv6
}

// Range is a closed interval of addresses of one family, First <= Last.
type Range struct {
	First, Last netip.Addr
}

// Contains says whether the range holds the address.
func (r Range) Contains(a netip.Addr) bool {
	return a.BitLen() == r.First.BitLen() && r.First.Compare(a) <= 0 && a.Compare(r.Last) <= 0
}

// Overlaps says whether two ranges share an address.
func (r Range) Overlaps(o Range) bool {
	return r.First.BitLen() == o.First.BitLen() &&
		r.First.Compare(o.Last) <= 0 && o.First.Compare(r.Last) <= 0
}

// Family returns the family of the range.
func (r Range) Family() Family { return FamilyOf(r.First) }

// String returns "first-last", or the address alone for a range of one.
func (r Range) String() string {
	if r.First == r.Last {
		return r.First.String()
	}
	return r.First.String() + "-" + r.Last.String()
}

// Key names a namespaced object. The zero Key names nothing.
type Key struct {
	Namespace, Name string
}

// String returns "namespace/name", the form used in events and logs.
func (k Key) String() string { return k.Namespace + "/" + k.Name }

// Compare orders keys by namespace, then name.
func (k Key) Compare(o Key) int {
	return cmp.Or(cmp.Compare(k.Namespace, o.Namespace), cmp.Compare(k.Name, o.Name))
}

// SortedAddrs returns a sorted copy, IPv4 before IPv6.
func SortedAddrs(addrs []netip.Addr) []netip.Addr {
	out := slices.Clone(addrs)
	slices.SortFunc(out, netip.Addr.Compare)
	return out
}
