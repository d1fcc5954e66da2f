// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"fmt"
	"slices"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/clarion-lb/clarion/internal/lb"
)

// The offsets of a frame as a packet socket delivers it, from the Ethernet header on.
const (
	etherLen   = 14
	ipv6Len    = 40
	arpHeader  = etherLen     // hardware and protocol type
	arpLengths = etherLen + 4 // hardware and protocol address lengths
	arpOp      = etherLen + 6
	arpSender  = etherLen + 14
	arpTarget  = etherLen + 24
	ipv6Next   = etherLen + 6
	ipv6Hops   = etherLen + 7
	ipv6Source = etherLen + 8
	icmpType   = etherLen + ipv6Len
	icmpCode   = icmpType + 1
	ndpTarget  = icmpType + 8

	hopByHopNext = etherLen + ipv6Len // of the header that follows
	hopByHopLen  = hopByHopNext + 1   // in units of 8 octets, the first not counted
	typeMLDQuery = 130

	arpEthernetIPv4 = 0x0001_0800
	arpLengths64    = 0x0604
	hopLimit        = 255
	wholeFrame      = maxFrame
)

// Both filters drop what is addressed to other hosts, which a bridge or a capture on the
// interface would bring in, and frames of VLANs that have no interface here: the kernel
// marks both as "other host". Then they compare addresses, so that what others ask each other
// never wakes this program.

// arpFilter passes Ethernet/IPv4 requests and replies that ask for an address in the set, or
// come from one.
func arpFilter(set addrSet) []bpf.Instruction {
	return slices.Concat(
		[]bpf.Instruction{bpf.LoadExtension{Num: bpf.ExtType}},
		unless(bpf.JumpNotEqual, unix.PACKET_OTHERHOST),
		[]bpf.Instruction{bpf.LoadAbsolute{Off: arpHeader, Size: 4}},
		unless(bpf.JumpEqual, arpEthernetIPv4),
		[]bpf.Instruction{bpf.LoadAbsolute{Off: arpLengths, Size: 2}},
		unless(bpf.JumpEqual, arpLengths64),
		[]bpf.Instruction{
			bpf.LoadAbsolute{Off: arpOp, Size: 2},
			bpf.ALUOpConstant{Op: bpf.ALUOpSub, Val: 1}, // request 1, reply 2
		},
		unless(bpf.JumpLessOrEqual, 1),
		orElse(set.match(bpf.LoadAbsolute{Off: arpTarget, Size: 4})),
		set.match(bpf.LoadAbsolute{Off: arpSender, Size: 4}),
	)
}

// ndpFilter passes neighbour solicitations and advertisements with hop limit 255 and code 0
// whose target, or source, is in the set, and MLD queries. Extension headers before ICMPv6 do
// not pass but for the one that all of MLD carries; neighbour discovery has none.
func ndpFilter(set addrSet) []bpf.Instruction {
	query := queryFilter()
	return slices.Concat(
		[]bpf.Instruction{
			bpf.LoadAbsolute{Off: ipv6Next, Size: 1}, // first: it drops nearly all other traffic
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.IPPROTO_HOPOPTS, SkipTrue: uint8(len(query))},
		},
		query,
		unless(bpf.JumpEqual, unix.IPPROTO_ICMPV6),
		[]bpf.Instruction{bpf.LoadExtension{Num: bpf.ExtType}},
		unless(bpf.JumpNotEqual, unix.PACKET_OTHERHOST),
		[]bpf.Instruction{bpf.LoadAbsolute{Off: ipv6Hops, Size: 1}},
		unless(bpf.JumpEqual, hopLimit),
		[]bpf.Instruction{bpf.LoadAbsolute{Off: icmpCode, Size: 1}},
		unless(bpf.JumpEqual, 0),
		[]bpf.Instruction{
			bpf.LoadAbsolute{Off: icmpType, Size: 1},
			bpf.ALUOpConstant{Op: bpf.ALUOpSub, Val: typeNS}, // the advertisement is one more
		},
		unless(bpf.JumpLessOrEqual, 1),
		orElse(set.match(sum128(ndpTarget)...)),
		set.match(sum128(ipv6Source)...),
	)
}

// queryFilter passes MLD queries, of which it knows that a hop-by-hop header comes first.
func queryFilter() []bpf.Instruction {
	return slices.Concat(
		[]bpf.Instruction{bpf.LoadExtension{Num: bpf.ExtType}},
		unless(bpf.JumpNotEqual, unix.PACKET_OTHERHOST),
		[]bpf.Instruction{bpf.LoadAbsolute{Off: ipv6Hops, Size: 1}},
		unless(bpf.JumpEqual, 1),
		[]bpf.Instruction{bpf.LoadAbsolute{Off: hopByHopNext, Size: 1}},
		unless(bpf.JumpEqual, unix.IPPROTO_ICMPV6),
		[]bpf.Instruction{
			bpf.LoadAbsolute{Off: hopByHopLen, Size: 1},
			bpf.ALUOpConstant{Op: bpf.ALUOpShiftLeft, Val: 3},
			bpf.TAX{},
			bpf.LoadIndirect{Off: hopByHopNext + 8, Size: 1},
		},
		unless(bpf.JumpEqual, typeMLDQuery),
		[]bpf.Instruction{bpf.RetConstant{Val: wholeFrame}},
	)
}

func filterOf(f lb.Family, set addrSet) []bpf.Instruction {
	if f == lb.IPv6 {
		return ndpFilter(set)
	}
	return arpFilter(set)
}

// unless drops the frame unless what was loaded compares as asked.
func unless(cond bpf.JumpTest, val uint32) []bpf.Instruction {
	return []bpf.Instruction{bpf.JumpIf{Cond: cond, Val: val, SkipTrue: 1}, bpf.RetConstant{Val: 0}}
}

func assemble(filter []bpf.Instruction) ([]bpf.RawInstruction, error) {
	code, err := bpf.Assemble(filter)
	if err != nil {
		return nil, fmt.Errorf("assemble packet filter: %w", err)
	}
	return code, nil
}
