// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"fmt"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// The offsets of a frame as a packet socket delivers it, from the Ethernet header on.
const (
	etherLen   = 14
	ipv6Len    = 40
	arpHeader  = etherLen     // hardware and protocol type
	arpLengths = etherLen + 4 // hardware and protocol address lengths
	arpOp      = etherLen + 6
	ipv6Next   = etherLen + 6
	ipv6Hops   = etherLen + 7
	icmpType   = etherLen + ipv6Len
	icmpCode   = icmpType + 1

	arpEthernetIPv4 = 0x0001_0800
	arpLengths64    = 0x0604
	hopLimit        = 255
	wholeFrame      = maxFrame
)

// Both filters drop what is addressed to other hosts, which a bridge or a capture on the
// interface would bring in, and frames of VLANs that have no interface here: the kernel
// marks both as "other host". No address is compared, so the filter never needs an update
// and can never be behind.

// arpFilter passes Ethernet/IPv4 requests and replies.
func arpFilter() []bpf.Instruction {
	return []bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtType},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.PACKET_OTHERHOST, SkipTrue: 8},
		bpf.LoadAbsolute{Off: arpHeader, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: arpEthernetIPv4, SkipTrue: 6},
		bpf.LoadAbsolute{Off: arpLengths, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: arpLengths64, SkipTrue: 4},
		bpf.LoadAbsolute{Off: arpOp, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 1, SkipTrue: 1}, // request
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 2, SkipTrue: 1},
		bpf.RetConstant{Val: wholeFrame},
		bpf.RetConstant{Val: 0},
	}
}

// ndpFilter passes neighbour solicitations and advertisements with hop limit 255 and code
// 0. Extension headers before ICMPv6 do not pass; neighbour discovery carries none.
func ndpFilter() []bpf.Instruction {
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: ipv6Next, Size: 1}, // first: it drops nearly all other traffic
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.IPPROTO_ICMPV6, SkipTrue: 10},
		bpf.LoadExtension{Num: bpf.ExtType},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.PACKET_OTHERHOST, SkipTrue: 8},
		bpf.LoadAbsolute{Off: ipv6Hops, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: hopLimit, SkipTrue: 6},
		bpf.LoadAbsolute{Off: icmpCode, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0, SkipTrue: 4},
		bpf.LoadAbsolute{Off: icmpType, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: typeNS, SkipTrue: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: typeNA, SkipTrue: 1},
		bpf.RetConstant{Val: wholeFrame},
		bpf.RetConstant{Val: 0},
	}
}

func assemble(filter []bpf.Instruction) ([]bpf.RawInstruction, error) {
	code, err := bpf.Assemble(filter)
	if err != nil {
		return nil, fmt.Errorf("assemble packet filter: %w", err)
	}
	return code, nil
}
