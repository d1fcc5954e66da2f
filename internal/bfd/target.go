// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"net/netip"
	"time"
)

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

// SameSession says whether two targets are served by one session: everything that the neighbour
// can tell sessions by is the same. A session may change its name, its parameters and the least
// TTL while it runs.
func (t Target) SameSession(o Target) bool {
	t.Name, t.Params, t.MinimumTTL = o.Name, o.Params, o.MinimumTTL
	return t == o
}

// Join returns the target that serves two who want the same session: with the first of their
// names, and as strict as the stricter of them.
func (t Target) Join(o Target) Target {
	t.Name = min(t.Name, o.Name)
	t.MinimumTTL = max(t.MinimumTTL, o.MinimumTTL)
	t.Params = t.Params.join(o.Params)
	return t
}

func (p Params) join(o Params) Params {
	return Params{
		TransmitInterval: min(p.TransmitInterval, o.TransmitInterval),
		ReceiveInterval:  min(p.ReceiveInterval, o.ReceiveInterval),
		Multiplier:       min(p.Multiplier, o.Multiplier),
		Passive:          p.Passive && o.Passive,
		EchoReceive:      shorter(p.EchoReceive, o.EchoReceive),
		EchoTransmit:     shorter(p.EchoTransmit, o.EchoTransmit),
	}
}

// shorter is the shorter of two intervals of which 0 stands for none.
func shorter(a, b time.Duration) time.Duration {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}
