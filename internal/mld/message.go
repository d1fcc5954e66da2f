// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package mld

import (
	"encoding/binary"
	"net/netip"
)

// Message is one report to send.
type Message struct {
	Kind Kind
	// Records are those of a ReportV2.
	Records []Record
	// Group is that of a ReportV1 or DoneV1.
	Group netip.Addr
}

// Kind is the kind of a Message.
type Kind uint8

// The messages of a listener.
const (
	ReportV2 Kind = iota + 1
	ReportV1
	DoneV1
)

// Record is what a ReportV2 says of one group.
type Record struct {
	Type    RecordType
	Group   netip.Addr
	Sources []netip.Addr // of an IsInclude
}

// RecordType is the type of a Record (RFC 3810 5.2.12), with its number in the packet.
type RecordType uint8

// The types that any-source groups need: two answers, the latter for a query of sources, and
// two changes, leave and join.
const (
	IsInclude RecordType = iota + 1
	IsExclude
	ToInclude
	ToExclude
)

const (
	maxPacket = 1280 // octets, the smallest MTU of IPv6 (RFC 8200 5)
	alertLen  = 8
	headerLen = 8 // of a report
	recordLen = 20
	room      = maxPacket - ipv6Len - alertLen - headerLen
)

func (r Record) size() int { return recordLen + 16*len(r.Sources) }

// Dst returns the group that the message is sent to: all MLDv2 routers (RFC 3810 5.2.14), the
// group itself or all routers (RFC 2710 8).
func (m Message) Dst() netip.Addr {
	switch m.Kind {
	case ReportV1:
		return m.Group
	case DoneV1:
		return netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 15: 2})
	default:
		return netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 15: 0x16})
	}
}

// Packet returns the message as an IPv6 packet of at most 1,280 octets. The source is a
// link-local address of the interface, or :: while it has none (RFC 3810 5.2.13, RFC 3590).
func (m Message) Packet(src netip.Addr) []byte {
	b := make([]byte, ipv6Len, maxPacket)
	b[0], b[6], b[7] = 6<<4, hopByHop, 1
	from, to := src.As16(), m.Dst().As16()
	copy(b[8:], from[:])
	copy(b[24:], to[:])
	// The router alert for MLD, value 0, and two octets of padding (RFC 2711 2.1).
	b = append(b, icmpv6, 0, optRouterAlert, 2, 0, 0, 1, 0)
	b = m.body(b)
	body := b[ipv6Len+alertLen:]
	binary.BigEndian.PutUint16(body[2:], Checksum(b[8:40], body))
	binary.BigEndian.PutUint16(b[4:], uint16(len(b)-ipv6Len))
	return b
}

// body appends the ICMPv6 message with a checksum of 0.
func (m Message) body(b []byte) []byte {
	if m.Kind != ReportV2 {
		typ := byte(typeReportV1)
		if m.Kind == DoneV1 {
			typ = typeDoneV1
		}
		b = append(b, typ, 0, 0, 0, 0, 0, 0, 0)
		return append(b, m.Group.AsSlice()...)
	}
	b = append(b, typeReportV2, 0, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(len(m.Records)))
	for _, r := range m.Records {
		b = append(b, byte(r.Type), 0)
		b = binary.BigEndian.AppendUint16(b, uint16(len(r.Sources)))
		b = append(b, r.Group.AsSlice()...)
		for _, s := range r.Sources {
			b = append(b, s.AsSlice()...)
		}
	}
	return b
}

// Checksum is the Internet checksum over the IPv6 pseudo header and an ICMPv6 message (RFC
// 4443 2.3); addrs is source and destination as they follow each other in the IPv6 header.
// It is 0 when the message carries its correct checksum.
func Checksum(addrs, body []byte) uint16 {
	sum := uint32(len(body)) + icmpv6
	for _, part := range [][]byte{addrs, body} {
		for i := 0; i+1 < len(part); i += 2 {
			sum += uint32(part[i])<<8 | uint32(part[i+1])
		}
		if len(part)%2 == 1 {
			sum += uint32(part[len(part)-1]) << 8
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
