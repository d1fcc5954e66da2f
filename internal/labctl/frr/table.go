// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package frr

import (
	"context"
	"slices"
)

// Path is one path of a route as FRR lists it.
type Path struct {
	Valid, Stale bool
	Path         string // AS_PATH
	LocPrf       uint32
	Nexthops     []Nexthop
}

// Nexthop is a next hop of a path; an IPv6 one has a link-local address beside the global one.
type Nexthop struct{ IP, Afi, Scope string }

// Paths returns the paths of each prefix of a family, "ipv4" or "ipv6".
func (r *Router) Paths(ctx context.Context, family string) (map[string][]Path, error) {
	var out struct{ Routes map[string][]Path }
	err := r.Show(ctx, "show bgp "+family+" unicast", &out)
	return out.Routes, err
}

// Attributes is what FRR knows of one path.
type Attributes struct {
	LocPrf            uint32
	Metric            uint32
	Valid             bool
	Aspath            struct{ String string }
	Community         struct{ String string }
	LargeCommunity    struct{ String string }
	ExtendedCommunity struct{ String string }
	Peer              PathPeer
}

// PathPeer is the neighbour that a path is from.
type PathPeer struct {
	ID        string `json:"peerId"`    // its address
	Interface string `json:"interface"` // of an unnumbered one
}

// Attributes returns the paths of a prefix with all that FRR knows of them.
func (r *Router) Attributes(ctx context.Context, family, prefix string) ([]Attributes, error) {
	var out struct{ Paths []Attributes }
	err := r.Show(ctx, "show bgp "+family+" unicast "+prefix, &out)
	return out.Paths, err
}

// Neighbor is what FRR knows of a session.
type Neighbor struct {
	State        string `json:"bgpState"`
	MessageStats struct {
		UpdatesRecv int
		OpensRecv   int
	}
	RouterID               string `json:"remoteRouterId"`
	HoldTime               int    `json:"bgpTimerHoldTimeMsecs"` // agreed on
	ConnectionsEstablished int
	ConnectionsDropped     int
	LastResetDueTo         string
}

// Neighbors returns the sessions by the neighbour's address.
func (r *Router) Neighbors(ctx context.Context) (map[string]Neighbor, error) {
	var out map[string]Neighbor
	err := r.Show(ctx, "show bgp neighbors", &out)
	return out, err
}

// Prefixes returns how many routes FRR has received from a neighbour over a family.
func (r *Router) Prefixes(ctx context.Context, family, neighbor string) (int, error) {
	var out struct {
		Peers map[string]struct{ PfxRcd int }
	}
	err := r.Show(ctx, "show bgp "+family+" unicast summary", &out)
	return out.Peers[neighbor].PfxRcd, err
}

// BFDPeer is what FRR knows of a BFD session.
type BFDPeer struct {
	Peer, Status, Diagnostic, RemoteDiagnostic string
	Multihop                                   bool
	RemoteReceiveInterval                      int `json:"remote-receive-interval"`
	RemoteTransmitInterval                     int `json:"remote-transmit-interval"`
	RemoteEcho                                 int `json:"remote-echo-receive-interval"`
}

// BFDPeers returns the BFD sessions.
func (r *Router) BFDPeers(ctx context.Context) ([]BFDPeer, error) {
	var out []BFDPeer
	err := r.Show(ctx, "show bfd peers", &out)
	return out, err
}

// NextHops returns the next hops of all valid paths, sorted, each once. The global address stands
// for an IPv6 path that has one.
func NextHops(paths []Path) []string {
	var out []string
	for _, p := range paths {
		if !p.Valid {
			continue
		}
		hop := ""
		for _, h := range p.Nexthops {
			if hop == "" || h.Scope == "global" {
				hop = h.IP
			}
		}
		out = append(out, hop)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
