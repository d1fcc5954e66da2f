// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"net/netip"
	"time"

	"github.com/clarion-lb/clarion/internal/lb"
)

// Handle takes one received frame: it answers when the frame asks for an address that is
// announced on that link (I5), and notes when it shows somebody else using one.
func (m *Machine) Handle(q Query, now time.Time) []Action {
	m.begin()
	if m.outdated(now) {
		return m.out
	}
	// A frame that carries one of our own addresses as its source came back through a
	// bridge or from our second interface; it neither asks nor contradicts.
	// A group address is nobody's own: answering to it would multiply a forged frame.
	if _, own := m.own[q.EthSrc]; own || q.EthSrc.Multicast() || q.SenderMAC.Multicast() {
		return m.out
	}
	switch q.Kind {
	case ARPRequest:
		if q.Sender.IsUnspecified() {
			m.probed(&q, now)
		}
		m.claim(&q, q.Sender, q.SenderMAC, now)
		m.answerARP(&q)
	case ARPReply:
		m.claim(&q, q.Sender, q.SenderMAC, now)
	case NeighborSolicitation:
		m.handleNS(&q, now)
	case NeighborAdvertisement:
		m.handleNA(&q, now)
	}
	return m.out
}

// lookup returns the seat of an address on the link a frame came in on.
func (m *Machine) lookup(a netip.Addr, link int) *seat {
	if e := m.entries[a]; e != nil {
		return e.seatOn(link)
	}
	return nil
}

// answerARP answers a request (RFC 826). A probe, whose sender is 0.0.0.0, is answered as
// well: the address is in use (RFC 5227 2.4). A gratuitous request asks nothing.
func (m *Machine) answerARP(q *Query) {
	if q.Sender == q.Target {
		return
	}
	s := m.lookup(q.Target, q.Link)
	if s == nil || s.phase != talking || (q.EthDst != BroadcastMAC() && q.EthDst != s.port.mac) {
		return
	}
	s.entry.count.Requests++
	s.entry.count.Responses++
	m.emit(Action{
		Op: SendARP, Family: lb.IPv4, Link: q.Link, Name: s.port.name,
		Addr: q.Target, MAC: s.port.mac, DstMAC: q.SenderMAC, Dst: q.Sender,
	})
}

// handleNS answers a solicitation (RFC 4861 7.2.3 and 7.2.4).
func (m *Machine) handleNS(q *Query, now time.Time) {
	if q.Target.IsMulticast() || q.Sender.IsMulticast() {
		return // 7.1.1: the target must not be multicast
	}
	probe := q.Sender.IsUnspecified()
	if probe && (q.HasOption || q.Dst != SolicitedNode(q.Target)) {
		return // 7.1.1: from :: only to the solicited-node group and without the option
	}
	if probe {
		m.probed(q, now)
	} else {
		m.claim(q, q.Sender, q.linkLayer(), now)
	}
	s := m.lookup(q.Target, q.Link)
	if s == nil || s.phase != talking || (q.EthDst != s.port.mac && !q.EthDst.Multicast()) {
		return
	}
	if q.Dst != q.Target && !q.Dst.IsMulticast() {
		return // addressed to somebody else's unicast address
	}
	s.entry.count.Requests++
	s.entry.count.Responses++
	a := Action{
		Op: SendNA, Family: lb.IPv6, Link: q.Link, Name: s.port.name,
		Addr: q.Target, MAC: s.port.mac, Override: true,
	}
	if probe {
		// Duplicate address detection of somebody else: to all nodes, not solicited, so that
		// the prober learns that the address is taken (RFC 4861 7.2.4, RFC 4862 5.4.3).
		a.Dst, a.DstMAC = AllNodes(), MulticastMAC(AllNodes())
	} else {
		// The option may be missing in unicast probes (RFC 4861 4.3); the frame's own source
		// then is the asker, since hop limit 255 proves that it is a neighbour.
		a.Dst, a.DstMAC, a.Solicited = q.Sender, q.linkLayer(), true
	}
	m.emit(a)
}

// handleNA notes a foreign advertisement of an address of ours (RFC 4862 5.4.4).
func (m *Machine) handleNA(q *Query, now time.Time) {
	if q.Target.IsMulticast() || (q.Dst.IsMulticast() && q.SolicitedFlag) {
		return // 7.1.2
	}
	m.claim(q, q.Target, q.linkLayer(), now)
}

// linkLayer returns the link-layer address of the sender as the message gives it, for NDP
// without the option that of the frame.
func (q *Query) linkLayer() MAC {
	if q.HasOption || q.Kind == ARPRequest || q.Kind == ARPReply {
		return q.SenderMAC
	}
	return q.EthSrc
}
