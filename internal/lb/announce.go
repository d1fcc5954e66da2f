// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package lb

import (
	"net/netip"
	"time"
)

// Candidate is a node that may own an address by layer 2.
type Candidate struct {
	Node string
	// Weight is the sum of the preferred weights that apply to the node, 0 if none does.
	Weight int
	// Leaving is true for a node that was asked to give up its addresses: it owns only what
	// nobody else can.
	Leaving bool
}

// Election is how the owner of an address is chosen beyond the default rule.
type Election struct {
	// Balanced spreads addresses so that equally eligible nodes own equally many.
	Balanced bool
	// Sticky leaves an address where it is while its owner is eligible.
	Sticky bool
	// MoveBackAfter is for how long another node must have been the better owner before a
	// sticky address moves there; 0 means for ever.
	MoveBackAfter time.Duration
	// Rebalance is true while there is an order to move sticky addresses as if they were not.
	Rebalance bool
}

// Options says whether there is anything beyond the default rule.
func (e Election) Options() bool { return e.Balanced || e.Sticky }

// Rival is somebody else on the wire who uses an address that this node wants to announce.
type Rival struct {
	Addr netip.Addr
	Link string
	MAC  string
	// Node is the node of the speaker that it is, "" for a foreign host.
	Node string
	// Withheld is true while this node does not answer for the address because of it.
	Withheld bool
}

// Announcement is one address that a node answers for by layer 2.
type Announcement struct {
	Addr netip.Addr
	// Interfaces are the exact names of the interfaces to answer on, sorted; empty means
	// every suitable one.
	Interfaces []string
	// Withhold leaves the address to a foreign host that uses it. Otherwise it is announced
	// all the same, and defended.
	Withhold bool
	// Fresh is true while no speaker has announced the address before, as far as is known.
	Fresh bool
	// Services are the Services behind the address, sorted. More than one shares it.
	Services []Key
}
