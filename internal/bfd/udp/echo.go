// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package udp

import (
	"encoding/binary"
	"net/netip"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Neighbours have two ways to use the echo function. Packets addressed to the neighbour itself are
// forwarded back by our kernel (RFC 5881 4); FRR does that for IPv4. Packets addressed to us with TTL
// 255 are returned here with TTL 254; FRR does that for IPv6. Our own echo packets go the second way
// only: those of the first arrive with our own address as their source, which Linux drops as
// martian. FRR 8.4 returns none of them for IPv4, so there Status.EchoRunning stays false and the
// control packets alone watch the path, at their full rate.
const (
	echoFresh    = 255
	echoReturned = 254
	echoLen      = 48
)

// forwards says whether the kernel returns the echo packets of IPv4 neighbours. Announcing that
// they come back when they do not would take the neighbour's session down again and again.
func forwards() bool {
	b, err := os.ReadFile("/proc/sys/net/ipv4/ip_forward")
	return err == nil && len(b) > 0 && b[0] == '1'
}

// sendEcho sends an echo packet: version, length, our discriminator and padding.
func (l *loop) sendEcho(e *entry) {
	r := l.rx[rxKey{echoPort, e.target.Peer.Is6(), e.target.VRF}]
	if r == nil || r.fd < 0 {
		return
	}
	b := make([]byte, echoLen)
	b[0], b[1] = 1<<5, echoLen
	binary.BigEndian.PutUint32(b[4:], e.disc)
	oob := sourceControl(e.target.Local)
	if err := unix.Sendmsg(r.fd, b, oob, sockaddr(e.target.Peer, e.target.Peer.Is6(), echoPort), 0); err != nil {
		l.m.log.Debug("send echo packet", "peer", e.target.Name, "addr", e.target.Peer, "err", err)
		return
	}
	e.counters.EchoOut++
}

// receiveEcho returns a neighbour's echo packet, or notes that one of ours came back. Packets of
// others are dropped: this must not be a reflector for anybody.
func (l *loop) receiveEcho(r *receiver, from unix.Sockaddr, a arrival, b []byte) {
	if a.ttl == echoFresh {
		e := l.find(0, &a)
		if e == nil || e.target.Params.EchoReceive == 0 {
			return
		}
		e.counters.EchoIn++
		if err := l.returnEcho(r, from, e, b); err != nil {
			l.m.log.Debug("return echo packet", "peer", e.target.Name, "addr", a.from, "err", err)
			return
		}
		e.counters.EchoOut++
		return
	}
	if len(b) < 8 {
		return
	}
	if e := l.byDisc[binary.BigEndian.Uint32(b[4:])]; e != nil && e.takes(&a) {
		e.counters.EchoIn++
		e.session.ReceiveEcho(time.Now())
	}
}

// returnEcho sends a packet back as it came, with a TTL that tells it from a fresh one.
func (l *loop) returnEcho(r *receiver, to unix.Sockaddr, e *entry, b []byte) error {
	level, kind := unix.IPPROTO_IP, unix.IP_TTL
	if r.v6 {
		level, kind = unix.IPPROTO_IPV6, unix.IPV6_HOPLIMIT
	}
	var ttl [4]byte
	binary.NativeEndian.PutUint32(ttl[:], echoReturned)
	oob := append(sourceControl(e.target.Local), controlMessage(level, kind, ttl[:])...)
	return unix.Sendmsg(r.fd, b, oob, to, 0)
}

// sourceControl is the control message that sets the source address of a packet.
func sourceControl(local netip.Addr) []byte {
	switch {
	case !local.IsValid():
		return nil
	case local.Is4():
		return unix.PktInfo4(&unix.Inet4Pktinfo{Spec_dst: local.As4()})
	default:
		return unix.PktInfo6(&unix.Inet6Pktinfo{Addr: local.As16(), Ifindex: uint32(ifindex(local.Zone()))})
	}
}

// controlMessage lays out one control message (cmsg(3)).
func controlMessage(level, kind int, data []byte) []byte {
	b := make([]byte, unix.CmsgSpace(len(data)))
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0])) //nolint:gosec // the layout differs between 32 and 64 bit
	h.Level, h.Type = int32(level), int32(kind)
	h.SetLen(unix.CmsgLen(len(data)))
	copy(b[unix.CmsgLen(0):], data)
	return b
}
