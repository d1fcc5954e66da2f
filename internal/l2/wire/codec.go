// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/ndp"

	"github.com/clarion-lb/clarion/internal/l2"
	"github.com/clarion-lb/clarion/internal/lb"
	"github.com/clarion-lb/clarion/internal/mld"
)

// The ICMPv6 types of neighbour discovery that matter here (RFC 4861 4.3 and 4.4).
const (
	typeNS       = 135
	typeNA       = 136
	protoICMPv6  = 58
	minNDP       = 24 // RFC 4861 7.1.1 and 7.1.2
	ipv6Version6 = 6
)

// decode turns a frame into a Query. It is false for whatever is malformed.
func decode(f lb.Family, b []byte) (l2.Query, bool) {
	if len(b) < etherLen {
		return l2.Query{}, false
	}
	q := l2.Query{EthDst: l2.MAC(b[0:6]), EthSrc: l2.MAC(b[6:12])}
	if f == lb.IPv6 {
		return decodeNDP(q, b[etherLen:])
	}
	return decodeARP(q, b[etherLen:])
}

func decodeARP(q l2.Query, b []byte) (l2.Query, bool) {
	var p arp.Packet
	if err := p.UnmarshalBinary(b); err != nil {
		return q, false
	}
	if p.HardwareType != 1 || p.ProtocolType != uint16(ethernet.EtherTypeIPv4) ||
		p.HardwareAddrLength != 6 || p.IPLength != 4 {
		return q, false
	}
	switch p.Operation {
	case arp.OperationRequest:
		q.Kind = l2.ARPRequest
	case arp.OperationReply:
		q.Kind = l2.ARPReply
	default:
		return q, false
	}
	q.Sender, q.SenderMAC, q.Target = p.SenderIP, l2.MAC(p.SenderHardwareAddr), p.TargetIP
	return q, true
}

// decodeNDP checks what RFC 4861 7.1.1 and 7.1.2 ask of the form of a message: hop limit
// 255, checksum, code 0, length, and options of non-zero length.
func decodeNDP(q l2.Query, b []byte) (l2.Query, bool) {
	if len(b) < ipv6Len+minNDP || b[0]>>4 != ipv6Version6 || b[6] != protoICMPv6 || b[7] != hopLimit {
		return q, false
	}
	size := int(binary.BigEndian.Uint16(b[4:6]))
	if size < minNDP || ipv6Len+size > len(b) {
		return q, false
	}
	body := b[ipv6Len : ipv6Len+size]
	if body[1] != 0 || mld.Checksum(b[8:40], body) != 0 {
		return q, false
	}
	msg, err := ndp.ParseMessage(body)
	if err != nil {
		return q, false
	}
	q.Sender, q.Dst = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
	switch msg := msg.(type) {
	case *ndp.NeighborSolicitation:
		q.Kind, q.Target = l2.NeighborSolicitation, msg.TargetAddress
		q.SenderMAC, q.HasOption = linkLayer(msg.Options, ndp.Source)
	case *ndp.NeighborAdvertisement:
		q.Kind, q.Target, q.SolicitedFlag = l2.NeighborAdvertisement, msg.TargetAddress, msg.Solicited
		q.SenderMAC, q.HasOption = linkLayer(msg.Options, ndp.Target)
	default:
		return q, false
	}
	return q, true
}

func linkLayer(options []ndp.Option, d ndp.Direction) (l2.MAC, bool) {
	for _, o := range options {
		if ll, ok := o.(*ndp.LinkLayerAddress); ok && ll.Direction == d && len(ll.Addr) == 6 {
			return l2.MAC(ll.Addr), true
		}
	}
	return l2.MAC{}, false
}

// encode builds the frame of a Send action.
func encode(a *l2.Action) ([]byte, error) {
	f := ethernet.Frame{Destination: a.DstMAC[:], Source: a.MAC[:]}
	var err error
	switch a.Op {
	case l2.SendARP:
		f.EtherType = ethernet.EtherTypeARP
		f.Payload, err = encodeARP(a)
	case l2.SendNS:
		// A probe for duplicates: from the unspecified address, with no option.
		f.EtherType = ethernet.EtherTypeIPv6
		f.Payload, err = encodeNDP(&ndp.NeighborSolicitation{TargetAddress: a.Addr}, netip.IPv6Unspecified(), a.Dst)
	default:
		// The source is the announced address itself, as a host would send it that has
		// the address (RFC 4861 7.2.4).
		f.EtherType = ethernet.EtherTypeIPv6
		f.Payload, err = encodeNDP(advertisement(a), a.Addr, a.Dst)
	}
	if err != nil {
		return nil, fmt.Errorf("encode %s for %s: %w", a.Op, a.Addr, err)
	}
	return f.MarshalBinary()
}

func encodeARP(a *l2.Action) ([]byte, error) {
	op, target := arp.OperationReply, a.DstMAC
	switch {
	case a.Request:
		op, target = arp.OperationRequest, l2.MAC{} // RFC 5227 2.1.1 and 2.3: all zero
	case a.Gratuitous:
		// Linux takes a reply for gratuitous, and lets it replace an entry younger than a
		// second, only when its target hardware address repeats the sender's.
		target = a.MAC
	}
	p, err := arp.NewPacket(op, net.HardwareAddr(a.MAC[:]), a.Addr, net.HardwareAddr(target[:]), a.Dst)
	if err != nil {
		return nil, err
	}
	return p.MarshalBinary()
}

func advertisement(a *l2.Action) *ndp.NeighborAdvertisement {
	return &ndp.NeighborAdvertisement{
		Solicited: a.Solicited, Override: a.Override, TargetAddress: a.Addr,
		Options: []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Target, Addr: a.MAC[:]}},
	}
}

// encodeNDP puts a message into an IPv6 packet.
func encodeNDP(m ndp.Message, from, to netip.Addr) ([]byte, error) {
	body, err := ndp.MarshalMessageChecksum(m, from, to)
	if err != nil {
		return nil, err
	}
	b := make([]byte, ipv6Len, ipv6Len+len(body))
	b[0] = ipv6Version6 << 4
	binary.BigEndian.PutUint16(b[4:6], uint16(len(body)))
	b[6], b[7] = protoICMPv6, hopLimit
	src, dst := from.As16(), to.As16()
	copy(b[8:24], src[:])
	copy(b[24:40], dst[:])
	return append(b, body...), nil
}
