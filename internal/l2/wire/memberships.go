// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"github.com/clarion-lb/clarion/internal/l2"
)

// memberships has the interface deliver the frames of groups, without making the kernel a
// member: it would walk a list of them for each multicast packet of IPv6 that arrives, which
// takes 140 µs with 10,000 of them.
type memberships struct {
	ifi     *net.Interface
	holders []*holder
	of      map[netip.Addr]*holder
}

// holder is a socket that receives nothing. It has memberships, and reports are sent on it.
type holder struct {
	conn *packet.Conn
	raw  syscall.RawConn
	n    int
}

// perHolder bounds the memberships of one socket: the kernel walks them all to add one. To
// join 10,000 takes 0.07 s of processor time with a thousand each, and 0.5 s with one socket
// for all; closing costs some 13 ms a socket.
const perHolder = 1000

// newMemberships opens the first socket, which stays for sending.
func newMemberships(ifi *net.Interface) (*memberships, error) {
	m := &memberships{ifi: ifi, of: make(map[netip.Addr]*holder)}
	if _, err := m.open(); err != nil {
		return nil, fmt.Errorf("open membership socket: %w", err)
	}
	return m, nil
}

// open adds a socket. Without a protocol the kernel hands no packet to it.
func (m *memberships) open() (*holder, error) {
	conn, err := packet.Listen(m.ifi, packet.Raw, 0, nil)
	if err != nil {
		return nil, err
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	h := &holder{conn: conn, raw: raw}
	m.holders = append(m.holders, h)
	return h, nil
}

func (m *memberships) has(group netip.Addr) bool { return m.of[group] != nil }

// add joins a group, on another socket when all are full.
func (m *memberships) add(group netip.Addr) error {
	i := slices.IndexFunc(m.holders, func(h *holder) bool { return h.n < perHolder })
	var h *holder
	if i >= 0 {
		h = m.holders[i]
	} else {
		var err error
		if h, err = m.open(); err != nil {
			return err
		}
	}
	mac := l2.MulticastMAC(group)
	if err := h.conn.JoinGroup(mac[:]); err != nil {
		return err
	}
	h.n++
	m.of[group] = h
	return nil
}

func (m *memberships) drop(group netip.Addr) {
	h := m.of[group]
	mac := l2.MulticastMAC(group)
	// An interface that is gone took its memberships along; nothing is left to undo.
	_ = h.conn.LeaveGroup(mac[:])
	delete(m.of, group)
	h.n--
	if h.n == 0 && h != m.holders[0] {
		_ = h.conn.Close()
		m.holders = slices.DeleteFunc(m.holders, func(o *holder) bool { return o == h })
	}
}

// send sends a frame of IPv6 without ever waiting. The protocol is given, so that a bridge
// that is the interface looks at the reports, too.
func (m *memberships) send(frame []byte) error {
	var sendErr error
	err := m.holders[0].raw.Control(func(fd uintptr) {
		sendErr = unix.Sendto(int(fd), frame, unix.MSG_DONTWAIT, &unix.SockaddrLinklayer{
			Protocol: networkOrder(unix.ETH_P_IPV6), Ifindex: m.ifi.Index,
		})
	})
	return errors.Join(err, sendErr)
}

// close gives up all memberships.
func (m *memberships) close() {
	for _, h := range m.holders {
		_ = h.conn.Close()
	}
}
