// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package lb

import (
	"net/netip"
	"slices"
)

// Node is what the announcers need to know of a cluster node.
type Node struct {
	Name   string
	Labels map[string]string
	// NetworkUnavailable mirrors the node condition of that name.
	NetworkUnavailable bool
	// ExcludedFromLB is true when the node carries the label
	// node.kubernetes.io/exclude-from-external-load-balancers.
	ExcludedFromLB bool
	// Leaving is true while there is a lasting order to move the addresses off the node.
	Leaving bool
	// BGP is what the node's sessions have of their own.
	BGP NodeBGP
}

// NodeBGP says what the BGP sessions of one node have in place of what the peers say to all
// nodes. Zero values leave it at that.
type NodeBGP struct {
	ASN              uint32 // in place of Peer.MyASN
	RouterID         netip.Addr
	Source4, Source6 netip.Addr // of sessions of the family
}

// Apply returns the peer as the node has it.
func (n NodeBGP) Apply(p Peer) Peer {
	if n.ASN != 0 {
		p.MyASN = n.ASN
	}
	if n.RouterID.IsValid() {
		p.RouterID = n.RouterID
	}
	source := n.Source4
	if p.Address.Is6() {
		source = n.Source6
	}
	if source.IsValid() && !p.Unnumbered() {
		p.Source = source
	}
	return p
}

// L2Advertisement is one L2Advertisement with its pool references resolved.
type L2Advertisement struct {
	Name string
	// Pools are the names of the pools it selects, sorted. Every pool is listed when the
	// object names none.
	Pools []string
	// Nodes restricts the announcing nodes; empty means every node.
	Nodes Selectors
	// Interfaces are the exact interface names to announce on; empty means all.
	Interfaces []string
	// Withhold leaves addresses to foreign hosts that use them.
	Withhold bool
	// Services restricts which Services are announced; empty means all.
	Services Selectors
	// Preferred adds weight to the nodes that match.
	Preferred []PreferredNodes
	// Elects is true when the object says how owners are chosen, be it in the default way.
	// One that does not goes along with others that announce the same address.
	Elects bool
	// Election holds the options for the addresses that it announces.
	Election Election
}

// PreferredNodes is one preferredNodeSelectors entry.
type PreferredNodes struct {
	Weight int // 1..100
	Nodes  Selector
}

// Snapshot is the cluster as one pass of a loop sees it. All lists are sorted by name or
// key, so that equal clusters give equal snapshots.
type Snapshot struct {
	Services []Service
	// Released are Services that stopped being of type LoadBalancer and still carry what was
	// written for them. The controller removes it; the address is free already.
	Released []Key
	Pools    []Pool
	Nodes    []Node
	L2       []L2Advertisement
	Peers    []Peer
	BGP      []BGPAdvertisement
}

// View is who is alive, as this speaker sees it.
type View struct {
	// Known is false until membership has joined or its grace time has passed. An unknown
	// view changes nothing: no address is withdrawn or taken (I7).
	Known bool
	// All means that membership is switched off and every node counts as alive.
	All bool
	// Members are the names of the nodes whose speaker is alive, sorted, self included.
	Members []string
	// Leaving are the members that have said that they are about to go, sorted.
	Leaving []string
	// Owners is the record, shared by all speakers, of who owned each address last. Only
	// addresses with an Election option need it; nil means that nothing is recorded.
	Owners map[netip.Addr]string
	// Returning are the addresses, sorted, that a node claimed a moment ago that is no member yet.
	// It is about to be, and keeps the sticky ones meanwhile.
	Returning []netip.Addr
	// Interfaces are, by node, the interfaces that have carrier and can announce. A node that is
	// not in it is not known to lack any.
	Interfaces map[string]Usable
	// Settled is true when neither Members nor Owners have changed for a while, so that
	// addresses may be moved for the sake of balance.
	Settled bool
}

// Usable are the names of the interfaces of a node, sorted, that can announce addresses of a family.
// NDP needs a link-local address on the interface and ARP does not.
type Usable struct{ IPv4, IPv6 []string }

// Of returns the names for a family.
func (u Usable) Of(f Family) []string {
	if f == IPv6 {
		return u.IPv6
	}
	return u.IPv4
}

// Equal says whether two nodes could announce on interfaces of the same names.
func (u Usable) Equal(v Usable) bool {
	return slices.Equal(u.IPv4, v.IPv4) && slices.Equal(u.IPv6, v.IPv6)
}

// Link is a network interface of this node, as netlink shows it.
type Link struct {
	Index        int
	Name         string
	HardwareAddr [6]byte
	// Carrier is true when the interface is up and its lower layer is too.
	Carrier bool
	// Broadcast and ARP mirror IFF_BROADCAST and the absence of IFF_NOARP.
	Broadcast, ARP bool
	// Master is the index of the bridge, bond or VRF it is enslaved to, 0 if none.
	Master int
	// Prefixes are the addresses of the interface with their prefix lengths.
	Prefixes []netip.Prefix
}
