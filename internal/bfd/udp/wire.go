// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package udp

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clarion-lb/clarion/internal/bfd"
)

// reopenAfter keeps a broken socket from being opened for every packet.
const reopenAfter = time.Second

// repair opens the sockets that the sessions need, closes the others, and reopens those whose
// device has been replaced by another of the same name.
func (l *loop) repair(now time.Time) {
	needed := map[rxKey]bool{}
	for _, e := range l.byDisc {
		for _, k := range l.m.keysOf(e.target) {
			needed[k] = true
		}
	}
	l.repairReceivers(needed)
	for _, e := range l.byName {
		e.index = ifindex(e.target.Link)
		if zone := e.target.Peer.Zone(); zone != "" {
			e.index = ifindex(zone)
		}
		problem := ""
		for _, k := range l.m.keysOf(e.target) {
			if err := l.rx[k].err; err != nil {
				problem = err.Error()
			}
		}
		if err := l.ensureSender(e, now); err != nil && problem == "" {
			problem = err.Error()
		}
		if problem != e.problem && problem != "" {
			l.m.log.Warn("session cannot work", "peer", e.target.Name, "addr", e.target.Peer, "reason", problem)
		}
		e.problem = problem
	}
	l.publish()
}

// repairReceivers makes the receiving sockets those that are needed.
func (l *loop) repairReceivers(needed map[rxKey]bool) {
	shared := false
	for k := range needed {
		shared = shared || k.vrf != ""
	}
	for k, r := range l.rx {
		if !needed[k] || r.fd >= 0 && k.vrf != "" && ifindex(k.vrf) != r.index {
			r.close()
			delete(l.rx, k)
		} else if shared && r.fd >= 0 {
			_ = unix.SetsockoptInt(r.fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) // only open's bind can tell
		}
	}
	for k := range needed {
		r := l.rx[k]
		if r == nil {
			r = &receiver{rxKey: k, fd: -1}
			l.rx[k] = r
		}
		if r.fd < 0 {
			r.err = r.open(shared)
		}
	}
}

// keysOf are the receiving sockets of a session.
func (m *Manager) keysOf(t bfd.Target) []rxKey {
	v6 := t.Peer.Is6()
	if m.port != 0 {
		return []rxKey{{m.port, v6, t.VRF}}
	}
	if t.MultiHop {
		return []rxKey{{multiHopPort, v6, t.VRF}}
	}
	return []rxKey{{controlPort, v6, t.VRF}, {echoPort, v6, t.VRF}}
}

// ensureSender opens the transmitting socket of a session when it has none.
func (l *loop) ensureSender(e *entry, now time.Time) error {
	if e.tx != nil && e.tx.fd >= 0 {
		return nil
	}
	if e.tx != nil && now.Before(e.tx.since.Add(reopenAfter)) {
		return errors.New(e.problem)
	}
	tx, err := l.m.newSender(e.target)
	if err != nil {
		e.tx = &sender{fd: -1, since: now}
		return err
	}
	e.tx = tx
	return nil
}

// send transmits a control packet. A socket whose device or address is gone is dropped, so
// that the next attempt opens another.
func (l *loop) send(e *entry, b []byte) error {
	if err := l.ensureSender(e, time.Now()); err != nil {
		return err
	}
	err := unix.Sendto(e.tx.fd, b, 0, e.tx.to)
	switch {
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO), errors.Is(err, unix.EADDRNOTAVAIL), errors.Is(err, unix.EINVAL):
		e.tx.close()
		e.tx.since = time.Now()
	}
	return err
}

// drain reads all packets of a socket.
func (l *loop) drain(r *receiver) {
	for {
		n, oobn, _, from, err := unix.Recvmsg(r.fd, l.buf, l.oob, unix.MSG_DONTWAIT)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return // empty; or an ICMP error of an earlier packet, which tells less than silence does
		}
		a := arrivalOf(r, addrOf(from), controlOf(l.oob[:oobn]))
		if r.port == echoPort {
			l.receiveEcho(r, from, a, l.buf[:n])
		} else {
			l.receive(a, l.buf[:n])
		}
	}
}

// control is what the control messages of a packet say.
type control struct {
	ttl   int
	index int        // of the link that it came in by
	to    netip.Addr // without zone
}

// controlOf reads the control messages of a packet (ip(7), ipv6(7)).
func controlOf(oob []byte) control {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return control{}
	}
	var c control
	for _, m := range msgs {
		switch {
		case m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_TTL && len(m.Data) >= 4,
			m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_HOPLIMIT && len(m.Data) >= 4:
			c.ttl = int(binary.NativeEndian.Uint32(m.Data))
		case m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_PKTINFO && len(m.Data) >= unix.SizeofInet4Pktinfo:
			c.index = int(binary.NativeEndian.Uint32(m.Data))
			c.to = netip.AddrFrom4([4]byte(m.Data[8:]))
		case m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_PKTINFO && len(m.Data) >= unix.SizeofInet6Pktinfo:
			c.to = netip.AddrFrom16([16]byte(m.Data))
			c.index = int(binary.NativeEndian.Uint32(m.Data[16:]))
		}
	}
	return c
}

// addrOf returns the address of a sender, without zone.
func addrOf(sa unix.Sockaddr) netip.Addr {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrFrom4(sa.Addr)
	case *unix.SockaddrInet6:
		return netip.AddrFrom16(sa.Addr)
	}
	return netip.Addr{}
}
