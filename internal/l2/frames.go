// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"net/netip"

	"github.com/clarion-lb/clarion/internal/lb"
)

// AllNodes returns ff02::1, the group of all nodes on the link.
func AllNodes() netip.Addr { return netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 15: 1}) }

// SolicitedNode returns the solicited-node group of an IPv6 address (RFC 4291 2.7.1). All
// addresses with the same low 24 bits share one.
func SolicitedNode(a netip.Addr) netip.Addr {
	b := a.As16()
	return netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 11: 1, 12: 0xff, 13: b[13], 14: b[14], 15: b[15]})
}

// MulticastMAC returns the Ethernet address of an IPv6 group (RFC 2464 7).
func MulticastMAC(group netip.Addr) MAC {
	b := group.As16()
	return MAC{0x33, 0x33, b[12], b[13], b[14], b[15]}
}

// gratuitous emits one gratuitous ARP. In both forms sender and target are the address
// itself (RFC 5227 2.3 and 3: the request form is what hosts must heed; RFC 5227 allows the
// reply form, and some equipment heeds only that).
func (m *Machine) gratuitous(s *seat, request bool) {
	s.entry.count.Gratuitous++
	m.emit(Action{
		Op: SendARP, Family: lb.IPv4, Link: s.port.index, Name: s.port.name,
		Addr: s.entry.addr, MAC: s.port.mac, DstMAC: BroadcastMAC(), Dst: s.entry.addr,
		Request: request, Gratuitous: true,
	})
}

// advertise emits one unsolicited NA: to all nodes, solicited clear, override set so that
// caches take the new owner's address (RFC 4861 7.2.6).
func (m *Machine) advertise(s *seat) {
	s.entry.count.Gratuitous++
	m.emit(Action{
		Op: SendNA, Family: lb.IPv6, Link: s.port.index, Name: s.port.name,
		Addr: s.entry.addr, MAC: s.port.mac, DstMAC: MulticastMAC(AllNodes()), Dst: AllNodes(),
		Override: true, Gratuitous: true,
	})
}
