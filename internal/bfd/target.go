// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package bfd

import "net/netip"

// Target is one neighbour to watch. Name is its identity.
type Target struct {
	Name string
	// Peer is the neighbour; a link-local address carries its zone.
	Peer netip.Addr
	// Local is the source of our packets; invalid lets the kernel choose.
	Local netip.Addr
	// Link is the link that our packets leave by and the neighbour's arrive on; "" leaves that
	// to routing.
	Link string
	// VRF is the device of the routing domain of the neighbour, "" for the default one.
	VRF string
	// MultiHop uses RFC 5883 with MinimumTTL instead of the TTL of exactly 255 of RFC 5881.
	MultiHop   bool
	MinimumTTL uint8
	Params     Params
}

// SameSession says whether a changed target can keep its session.
func (t Target) SameSession(o Target) bool {
	t.Params, t.MinimumTTL = o.Params, o.MinimumTTL
	return t == o
}
