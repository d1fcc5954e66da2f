// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package udp

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clarion-lb/clarion/internal/bfd"
)

// Ports of RFC 5881 4 and RFC 5883 5, and the range for source ports.
const (
	controlPort   = 3784
	echoPort      = 3785
	multiHopPort  = 4784
	firstSource   = 49152
	lastSource    = 65535
	trafficClass  = 0xc0 // CS6, network control
	queuePriority = 6
)

// rxKey names a receiving socket: all sessions with the same port, family and VRF share it.
type rxKey struct {
	port int
	v6   bool
	vrf  string
}

// receiver is a receiving socket. fd is -1 while it cannot be opened.
type receiver struct {
	rxKey
	fd    int
	index int // of the VRF when the socket was bound to it
	err   error
}

func (r *receiver) close() {
	if r.fd >= 0 {
		_ = unix.Close(r.fd)
		r.fd = -1
	}
}

// open opens and binds the socket, asking for the TTL and the interface of every packet. A
// socket of a VRF and one of the default domain exclude each other unless both are shared; a
// socket that need not be shared is not, so that another BFD daemon on this host is noticed.
func (r *receiver) open(shared bool) error {
	fd, err := udpSocket(r.v6, r.vrf)
	if err != nil {
		return err
	}
	options := [][3]int{{unix.IPPROTO_IP, unix.IP_RECVTTL, 1}, {unix.IPPROTO_IP, unix.IP_PKTINFO, 1}}
	if r.v6 {
		options = [][3]int{{unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT, 1}, {unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1}}
	}
	if shared {
		options = append(options, [3]int{unix.SOL_SOCKET, unix.SO_REUSEADDR, 1})
	}
	err = setOptions(fd, options)
	if err == nil {
		err = unix.Bind(fd, anyAddress(r.v6, r.port))
	}
	if err != nil {
		_ = unix.Close(fd)
		return fmt.Errorf("listen on UDP port %d: %w", r.port, err)
	}
	r.fd, r.index = fd, ifindex(r.vrf)
	return nil
}

// sender is the transmitting socket of a session.
type sender struct {
	fd    int
	to    unix.Sockaddr
	since time.Time
}

func (s *sender) close() {
	if s != nil && s.fd >= 0 {
		_ = unix.Close(s.fd)
		s.fd = -1
	}
}

// newSender opens a socket with a source port of the range that RFC 5881 4 asks for, kept for
// the whole session.
func (m *Manager) newSender(t bfd.Target) (*sender, error) {
	v6 := t.Peer.Is6()
	device := t.Link
	if device == "" {
		device = t.VRF
	}
	fd, err := udpSocket(v6, device)
	if err != nil {
		return nil, err
	}
	to := controlPort
	switch {
	case m.port != 0:
		to = m.port
	case t.MultiHop:
		to = multiHopPort
	}
	for try := 0; ; try++ {
		err = unix.Bind(fd, sockaddr(t.Local, v6, firstSource+rand.IntN(lastSource-firstSource+1)))
		if !errors.Is(err, unix.EADDRINUSE) || try == 100 {
			break
		}
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("bind source %s: %w", t.Local, err)
	}
	return &sender{fd: fd, to: sockaddr(t.Peer, v6, to)}, nil
}

// udpSocket opens a socket whose packets leave with TTL 255 and as network control.
func udpSocket(v6 bool, device string) (int, error) {
	family := unix.AF_INET
	options := [][3]int{
		{unix.IPPROTO_IP, unix.IP_TTL, 255}, {unix.IPPROTO_IP, unix.IP_TOS, trafficClass},
		{unix.SOL_SOCKET, unix.SO_PRIORITY, queuePriority},
	}
	if v6 {
		family = unix.AF_INET6
		options = [][3]int{
			{unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1}, {unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, 255},
			{unix.IPPROTO_IPV6, unix.IPV6_TCLASS, trafficClass}, {unix.SOL_SOCKET, unix.SO_PRIORITY, queuePriority},
		}
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_UDP)
	if err != nil {
		return -1, fmt.Errorf("open UDP socket: %w", err)
	}
	err = setOptions(fd, options)
	if err == nil && device != "" {
		err = unix.BindToDevice(fd, device)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("set up UDP socket on %q: %w", device, err)
	}
	return fd, nil
}

func setOptions(fd int, options [][3]int) error {
	for _, o := range options {
		if err := unix.SetsockoptInt(fd, o[0], o[1], o[2]); err != nil {
			return fmt.Errorf("set option %d: %w", o[1], err)
		}
	}
	return nil
}

// sockaddr builds a socket address; an invalid address becomes the unspecified one.
func sockaddr(a netip.Addr, v6 bool, port int) unix.Sockaddr {
	switch {
	case !a.IsValid():
		return anyAddress(v6, port)
	case v6:
		return &unix.SockaddrInet6{Port: port, Addr: a.As16(), ZoneId: uint32(ifindex(a.Zone()))}
	default:
		return &unix.SockaddrInet4{Port: port, Addr: a.As4()}
	}
}

func anyAddress(v6 bool, port int) unix.Sockaddr {
	if v6 {
		return &unix.SockaddrInet6{Port: port}
	}
	return &unix.SockaddrInet4{Port: port}
}

// ifindex returns the index of a link, 0 for none.
func ifindex(name string) int {
	if name == "" {
		return 0
	}
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		return 0
	}
	return ifi.Index
}
