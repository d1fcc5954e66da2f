// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package lb

import (
	"net/netip"
	"slices"
	"time"
)

// Defaults of BGP and BFD where the objects leave a field out. The BFD values are those of
// FRR, which MetalLB's users have today.
const (
	DefaultBGPPort = 179
	// LowestListenPort is the first that a program without NET_BIND_SERVICE may listen on.
	LowestListenPort     = 1024
	DefaultHoldTime      = 90 * time.Second
	DefaultRestartTime   = 120 * time.Second
	DefaultBFDInterval   = 300 * time.Millisecond
	DefaultBFDMultiplier = 3
	DefaultEchoInterval  = 50 * time.Millisecond
	DefaultMinimumTTL    = 254
)

// Secret is text that no log, error or report may show: it formats as asterisks.
type Secret string

// String hides the text. Convert with string(s) where the text itself is needed.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "***"
}

// GoString hides the text from %#v as well.
func (s Secret) GoString() string { return s.String() }

// DynamicASN says which AS numbers are accepted from a peer whose number is not given.
type DynamicASN string

// The values of dynamicASN; the zero value means that PeerASN is given.
const (
	NotDynamic  DynamicASN = ""
	InternalASN DynamicASN = "internal" // the peer's number must equal ours
	ExternalASN DynamicASN = "external" // the peer's number must differ from ours
)

// Peer is one BGPPeer with its password and BFD profile resolved. Exactly one of Address
// and Interface is set, and exactly one of PeerASN and Dynamic.
type Peer struct {
	Name string
	// Created is when the object was. Of two peers that one node cannot both serve the older
	// counts, and of two as old the first by name.
	Created time.Time
	// Nodes restricts the nodes that open the session; empty means every node.
	Nodes Selectors

	// MyASN is spec.myASN.
	MyASN uint32
	// LocalASN, when not 0, replaces MyASN towards this peer: in the OPEN and in AS_PATH.
	LocalASN uint32
	PeerASN  uint32
	Dynamic  DynamicASN

	// Address is the peer's address. It is invalid for an unnumbered peer.
	Address netip.Addr
	// Interface is the link on which an unnumbered peer is found by its router
	// advertisements. It is "" for a numbered peer.
	Interface string
	// Source is the local address of the session; invalid lets the kernel choose.
	Source netip.Addr
	// Port is the peer's TCP port, DefaultBGPPort when the object names none.
	Port uint16
	// ListenPort, when not 0, makes the session passive: the peer connects to it.
	ListenPort uint16
	// VRF is the name of the VRF device that the session is bound to, or "".
	VRF string
	// RouterID is an IPv4 address; invalid lets the router choose.
	RouterID netip.Addr

	// HoldTime is what our OPEN offers, 3 s or more in whole seconds. 0 means
	// DefaultHoldTime: a session without hold timer cannot be had, so whoever compiles
	// holdTime 0s reports that as a Problem.
	HoldTime time.Duration
	// KeepaliveTime is between our keepalives; 0 means a third of the hold time.
	KeepaliveTime time.Duration
	// ConnectTime is between attempts to connect; 0 lets the router choose.
	ConnectTime time.Duration

	// Password is the TCP MD5 key (RFC 2385), already read from its Secret; "" means none.
	Password Secret
	// BFD is the resolved profile, or nil when the session is not watched by BFD.
	BFD *BFDProfile
	// GracefulRestart asks the peer to keep our routes while we restart (RFC 4724).
	GracefulRestart bool
	// MultiHop allows an eBGP peer that is not on a connected network.
	MultiHop bool
	// DualStack carries the prefixes of both families over this one session.
	DualStack bool
}

// LocalAS is the AS number that the peer sees us as.
func (p *Peer) LocalAS() uint32 {
	if p.LocalASN != 0 {
		return p.LocalASN
	}
	return p.MyASN
}

// Internal says whether the session is iBGP.
func (p *Peer) Internal() bool {
	return p.Dynamic == InternalASN || p.Dynamic == NotDynamic && p.PeerASN == p.LocalAS()
}

// Unnumbered says whether the peer is found by its link instead of its address.
func (p *Peer) Unnumbered() bool { return !p.Address.IsValid() }

// Passive says whether the peer connects to us.
func (p *Peer) Passive() bool { return p.ListenPort != 0 }

// Carries says whether prefixes of the family go over the session: those of the session's
// own family always, those of the other with DualStack and to an unnumbered peer.
func (p *Peer) Carries(f Family) bool {
	return p.DualStack || p.Unnumbered() || FamilyOf(p.Address) == f
}

// BFDProfile is one BFDProfile with its defaults filled in.
type BFDProfile struct {
	Name             string
	ReceiveInterval  time.Duration
	TransmitInterval time.Duration
	DetectMultiplier uint8
	EchoInterval     time.Duration
	EchoMode         bool
	// PassiveMode waits for the peer's first packet before sending any.
	PassiveMode bool
	// MinimumTTL is the lowest TTL accepted on a multi-hop session.
	MinimumTTL uint8
}

// DefaultBFDProfile returns the values of a profile that sets no field.
func DefaultBFDProfile(name string) BFDProfile {
	return BFDProfile{
		Name:             name,
		ReceiveInterval:  DefaultBFDInterval,
		TransmitInterval: DefaultBFDInterval,
		DetectMultiplier: DefaultBFDMultiplier,
		EchoInterval:     DefaultEchoInterval,
		MinimumTTL:       DefaultMinimumTTL,
	}
}

// Default prefix lengths of a BGPAdvertisement: one route per address.
const (
	DefaultAggregationLength   = 32
	DefaultAggregationLengthV6 = 128
)

// BGPAdvertisement is one BGPAdvertisement with pools and community aliases resolved.
type BGPAdvertisement struct {
	Name string
	// Created is when the object was. Of two advertisements that give a session one prefix with
	// different local preferences the older counts, and of two as old the first by name.
	Created time.Time
	// Pools are the names of the pools it selects, sorted. Every pool is listed when the
	// object names none.
	Pools []string
	// Nodes restricts the announcing nodes; empty means every node.
	Nodes Selectors
	// Services restricts which Services are announced; empty means all.
	Services Selectors
	// Peers are names of peers, sorted; empty means every peer.
	Peers []string

	// AggregationLength and AggregationLengthV6 are the lengths of the announced prefixes.
	AggregationLength, AggregationLengthV6 int
	// LocalPref is sent to internal peers; 0 means not given.
	LocalPref uint32
	// Communities are sorted, without duplicates.
	Communities []Community
	// MED is sent when it is not 0: absent and 0 mean the same to a receiver (RFC 4271 9.1.2.2).
	MED uint32
	// Prepend is how many times our AS number is added to the path of an external peer.
	Prepend uint8
	// LinkBandwidth, when not 0, adds the link bandwidth extended community, as this many
	// bytes per second for each local endpoint of the Service, so that routers can
	// weight their paths by endpoints.
	LinkBandwidth uint64
}

// PrefixFor returns the prefix that covers an address under this advertisement.
func (a *BGPAdvertisement) PrefixFor(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	bits := a.AggregationLength
	if addr.Is6() {
		bits = a.AggregationLengthV6
	}
	if bits <= 0 || bits > addr.BitLen() {
		bits = addr.BitLen()
	}
	p, _ := addr.Prefix(bits) // cannot fail: bits is in range and the zone is gone
	return p
}

// ToPeer says whether the advertisement applies to sessions of a node with a peer.
func (a *BGPAdvertisement) ToPeer(node *Node, peer string) bool {
	if len(a.Nodes) > 0 && !a.Nodes.MatchesAny(node.Labels) {
		return false
	}
	_, named := slices.BinarySearch(a.Peers, peer)
	return named || len(a.Peers) == 0
}

// OfService says whether the advertisement applies to a Service with an address of a pool.
func (a *BGPAdvertisement) OfService(pool string, serviceLabels map[string]string) bool {
	if _, ok := slices.BinarySearch(a.Pools, pool); !ok {
		return false
	}
	return len(a.Services) == 0 || a.Services.MatchesAny(serviceLabels)
}

// Route is a prefix with the attributes that one peer gets.
type Route struct {
	Prefix netip.Prefix
	// LocalPref is sent to internal peers; 0 means the usual 100.
	LocalPref uint32
	// Communities are sorted, without duplicates.
	Communities []Community
	MED         uint32 // 0 means not sent
	Prepend     uint8
	// Bandwidth is the value of the link bandwidth community in bytes per second, 0 for none.
	Bandwidth uint64
}

// Equal says whether two routes have the same prefix and attributes.
func (r Route) Equal(o Route) bool {
	return r.Prefix == o.Prefix && r.LocalPref == o.LocalPref && r.MED == o.MED &&
		r.Prepend == o.Prepend && r.Bandwidth == o.Bandwidth && slices.Equal(r.Communities, o.Communities)
}
