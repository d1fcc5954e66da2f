// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/clarion-lb/clarion/internal/lb"
)

// MAC is an Ethernet address.
type MAC [6]byte

// BroadcastMAC returns ff:ff:ff:ff:ff:ff.
func BroadcastMAC() MAC { return MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff} }

// Multicast says whether the group bit is set; broadcast counts as multicast.
func (m MAC) Multicast() bool { return m[0]&1 == 1 }

// String returns the usual form aa:bb:cc:dd:ee:ff.
func (m MAC) String() string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

// Kind is the kind of a received frame.
type Kind uint8

// The frames that a Machine listens to.
const (
	ARPRequest Kind = iota + 1
	ARPReply
	NeighborSolicitation
	NeighborAdvertisement
)

// Query is one received frame, decoded and checked for form by the host: lengths, and for
// NDP hop limit 255, code 0 and the checksum (RFC 4861 7.1.1 and 7.1.2).
type Query struct {
	Kind   Kind
	Link   int // interface index it came in on
	EthSrc MAC
	EthDst MAC
	// Sender is the sender protocol address of ARP, the IPv6 source of NDP.
	Sender netip.Addr
	// SenderMAC is the sender hardware address of ARP; for NDP the link-layer address
	// option when HasOption is set.
	SenderMAC MAC
	// Target is the target protocol address of ARP, the target field of NDP.
	Target netip.Addr
	// Dst is the IPv6 destination; unused for ARP.
	Dst netip.Addr
	// HasOption is true when an NS carried its source, or an NA its target, link-layer
	// address option.
	HasOption bool
	// SolicitedFlag is the solicited flag of an NA.
	SolicitedFlag bool
}

// Op is what an Action asks the host to do.
type Op uint8

// The operations. Open and Close name a Link and a Family; Join and Leave a Link and a
// Group; the Send operations give the whole frame; Conflict, Free and Released only inform.
const (
	Open Op = iota + 1
	Close
	Join
	Leave
	SendARP
	SendNA
	SendNS
	Conflict
	Free
	Released
)

// String returns the name of the operation for logs and test failures.
func (o Op) String() string {
	names := [...]string{"?", "open", "close", "join", "leave", "send-arp", "send-na", "send-ns", "conflict", "free", "released"}
	if int(o) >= len(names) {
		return "?"
	}
	return names[o]
}

// Action is one step for the host, to be taken in the order given.
type Action struct {
	Op     Op
	Family lb.Family
	Link   int    // interface index; 0 for Released
	Name   string // interface name, for Open and for logs
	// Addr is the announced address: the sender address of ARP, source and target of an NA,
	// target of an NS. An ARP probe has 0.0.0.0 here and the address in Dst.
	Addr netip.Addr
	// Group is the solicited-node group to join or leave.
	Group netip.Addr
	// MAC is the link's own address in a Send, and the rival's in a Conflict.
	MAC MAC
	// DstMAC is the Ethernet destination.
	DstMAC MAC
	// Dst is the ARP target protocol address, or the IPv6 destination.
	Dst netip.Addr
	// Request selects the request form of a gratuitous ARP. All other ARP frames are replies.
	Request bool
	// Gratuitous is true for announcements nobody asked for.
	Gratuitous bool
	// Solicited and Override are the flags of an NA (RFC 4861 4.4).
	Solicited, Override bool
	// At is when a rival was seen.
	At time.Time
}
