// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Claim is one ARP or neighbour discovery message on the LAN.
type Claim struct {
	Time time.Time  `json:"time"` // when the kernel saw it
	Host string     `json:"host"` // who really sent it: the bridge port it came in by
	Kind string     `json:"kind"`
	Addr netip.Addr `json:"addr"` // the address asked for or claimed
	MAC  string     `json:"mac"`  // who has Addr, according to the message; "" in a question
	To   string     `json:"to"`   // destination MAC address of the frame
}

// Kinds of claims. A gratuitous ARP names its own sender, in a request or in
// a reply; an unsolicited advertisement lacks the solicited flag.
const (
	ARPRequest    = "arp-request"
	ARPReply      = "arp-reply"
	GratuitousARP = "gratuitous-arp"
	Solicitation  = "ns"
	Advertisement = "na"
	UnsolicitedNA = "unsolicited-na"
)

// Capture sees every ARP and neighbour discovery frame of a bridge once, with
// the port it came in by.
type Capture struct{ fd int }

// NewCapture opens a capture in the namespace of the calling thread.
func NewCapture() (*Capture, error) {
	proto := int(binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL)))
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, proto)
	if err != nil {
		return nil, fmt.Errorf("open packet socket: %w", err)
	}
	c := &Capture{fd: fd}
	// The timeout lets Run notice that its context has ended.
	err = errors.Join(c.attachFilter(),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100_000}),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<20))
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("set up packet socket: %w", err)
	}
	return c, nil
}

// attachFilter lets only ARP and ICMPv6 solicitations and advertisements pass.
func (c *Capture) attachFilter() error {
	raw, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 12, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ETH_P_ARP, SkipTrue: 6},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.ETH_P_IPV6, SkipTrue: 6},
		bpf.LoadAbsolute{Off: 20, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.IPPROTO_ICMPV6, SkipTrue: 4},
		bpf.LoadAbsolute{Off: 54, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: icmpNS, SkipTrue: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: icmpNA, SkipTrue: 1},
		bpf.RetConstant{Val: 256},
		bpf.RetConstant{Val: 0},
	})
	if err != nil {
		return fmt.Errorf("assemble filter: %w", err)
	}
	prog := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		prog[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	return unix.SetsockoptSockFprog(c.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]})
}

// Run calls see for each message until ctx ends, then closes the capture.
// port names the bridge's port with an interface index; frames on any other
// interface, for which it returns "", are second sights of the same frame.
func (c *Capture) Run(ctx context.Context, port func(index int) string, see func(Claim)) error {
	defer unix.Close(c.fd)
	frame, oob := make([]byte, 512), make([]byte, 128)
	for ctx.Err() == nil {
		n, oobn, _, from, err := unix.Recvmsg(c.fd, frame, oob, 0)
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read packet socket: %w", err)
		}
		ll, ok := from.(*unix.SockaddrLinklayer)
		if !ok || ll.Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		name := port(ll.Ifindex)
		if name == "" {
			continue
		}
		if claim, ok := Parse(frame[:n]); ok {
			claim.Host, claim.Time = name, timestamp(oob[:oobn])
			see(claim)
		}
	}
	return nil
}

func timestamp(oob []byte) time.Time {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return time.Now()
	}
	for _, m := range messages {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SCM_TIMESTAMPNS && len(m.Data) >= 16 {
			sec, nsec := binary.NativeEndian.Uint64(m.Data), binary.NativeEndian.Uint64(m.Data[8:])
			return time.Unix(int64(sec), int64(nsec))
		}
	}
	return time.Now()
}

const (
	icmpNS = 135
	icmpNA = 136
)

// Parse reads an Ethernet frame; ok is false if it is no ARP request or reply
// and no neighbour solicitation or advertisement.
func Parse(f []byte) (c Claim, ok bool) {
	if len(f) < 14 {
		return c, false
	}
	c.To = net.HardwareAddr(f[:6]).String()
	switch binary.BigEndian.Uint16(f[12:]) {
	case unix.ETH_P_ARP:
		return parseARP(c, f[14:])
	case unix.ETH_P_IPV6:
		return parseND(c, f[14:])
	}
	return c, false
}

// parseARP reads RFC 826 for IPv4 over Ethernet.
func parseARP(c Claim, b []byte) (Claim, bool) {
	if len(b) < 28 || binary.BigEndian.Uint16(b[2:]) != unix.ETH_P_IP || b[4] != 6 || b[5] != 4 {
		return c, false
	}
	sender, target := netip.AddrFrom4([4]byte(b[14:18])), netip.AddrFrom4([4]byte(b[24:28]))
	mac := net.HardwareAddr(b[8:14]).String()
	op := binary.BigEndian.Uint16(b[6:])
	switch {
	case sender == target && (op == 1 || op == 2):
		c.Kind, c.Addr, c.MAC = GratuitousARP, sender, mac
	case op == 1:
		c.Kind, c.Addr = ARPRequest, target
	case op == 2:
		c.Kind, c.Addr, c.MAC = ARPReply, sender, mac
	default:
		return c, false
	}
	return c, true
}

// parseND reads RFC 4861 4.3 and 4.4.
func parseND(c Claim, b []byte) (Claim, bool) {
	const header = 40
	if len(b) < header+24 || b[6] != unix.IPPROTO_ICMPV6 {
		return c, false
	}
	m := b[header:]
	c.Addr = netip.AddrFrom16([16]byte(m[8:24]))
	switch {
	case m[0] == icmpNS:
		c.Kind = Solicitation
		return c, true
	case m[0] != icmpNA:
		return c, false
	case m[4]&0x40 == 0: // S flag
		c.Kind = UnsolicitedNA
	default:
		c.Kind = Advertisement
	}
	// Option 2 is the target's link-layer address; lengths are in units of 8.
	for o := m[24:]; len(o) >= 8 && o[1] > 0; o = o[min(len(o), int(o[1])*8):] {
		if o[0] == 2 {
			c.MAC = net.HardwareAddr(o[2:8]).String()
		}
	}
	return c, true
}
