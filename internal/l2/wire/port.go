// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"syscall"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"github.com/clarion-lb/clarion/internal/l2"
	"github.com/clarion-lb/clarion/internal/lb"
)

// receiveBuffer is asked for per socket. The kernel may grant less.
const receiveBuffer = 4 << 20

// port is the sockets of one family on one link.
type port struct {
	link   int
	family lb.Family
	ifi    *net.Interface
	groups *groups       // nil for IPv4, and when listening failed
	closed chan struct{} // closed by close

	conn *packet.Conn
	raw  syscall.RawConn
}

func newPort(a *l2.Action) *port {
	// Only the index and the name are used; asking the kernel could find another interface
	// that took the name meanwhile.
	ifi := &net.Interface{Index: a.Link, Name: a.Name, HardwareAddr: a.MAC[:]}
	return &port{link: a.Link, family: a.Family, ifi: ifi, closed: make(chan struct{})}
}

// listen opens the packet socket with its filter already in place.
func (p *port) listen(set addrSet) error {
	proto := unix.ETH_P_ARP
	if p.family == lb.IPv6 {
		proto = unix.ETH_P_IPV6
	}
	code, err := assemble(filterOf(p.family, set))
	if err != nil {
		return err
	}
	conn, err := packet.Listen(p.ifi, packet.Raw, proto, &packet.Config{Filter: code})
	if errors.Is(err, unix.ENOMEM) || errors.Is(err, unix.EINVAL) {
		// A kernel that allows less for a filter than any known: the one that lets all
		// addresses through does as well, and only costs more.
		if code, err = assemble(filterOf(p.family, everything())); err == nil {
			conn, err = packet.Listen(p.ifi, packet.Raw, proto, &packet.Config{Filter: code})
		}
	}
	if err != nil {
		return err
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return errors.Join(err, conn.Close())
	}
	err = raw.Control(func(fd uintptr) {
		// A smaller buffer still works, so a refusal is no failure.
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
	})
	if err != nil {
		return errors.Join(err, conn.Close())
	}
	p.conn, p.raw = conn, raw
	return nil
}

// filter replaces the filter in one step: no frame is judged by neither.
func (p *port) filter(log *slog.Logger, set addrSet) {
	code, err := assemble(filterOf(p.family, set))
	if err == nil {
		err = p.conn.SetBPF(code)
	}
	if err == nil {
		return
	}
	log.Warn("cannot narrow the packet filter, all addresses pass", "link", p.ifi.Name, "family", p.family.String(), "reason", err)
	if code, err = assemble(filterOf(p.family, everything())); err == nil {
		err = p.conn.SetBPF(code)
	}
	if err != nil { // the old one stays, which may be deaf for new addresses
		log.Error("cannot replace the packet filter", "link", p.ifi.Name, "family", p.family.String(), "reason", err)
	}
}

// maxFrame is longer than any frame we act on: a query may name as many sources as fit into
// a jumbo frame. What is cut off fails its length check.
const maxFrame = 9216

// read decodes frames until the port is closed (nil) or its socket is useless.
func (p *port) read(out chan<- l2.Query) error {
	buf := make([]byte, maxFrame)
	for {
		n, _, err := p.conn.ReadFrom(buf)
		if err != nil {
			if p.isClosed() {
				return nil
			}
			// A link that goes down reports it once and works again when it is back.
			if errors.Is(err, unix.ENETDOWN) && p.bound() {
				continue
			}
			return fmt.Errorf("read %s frames: %w", p.family, err)
		}
		q, ok := decode(p.family, buf[:n])
		if !ok {
			if p.groups != nil && n > etherLen {
				p.groups.hear(buf[:n])
			}
			continue
		}
		q.Link = p.link
		select {
		case out <- q:
		case <-p.closed:
			return nil
		}
	}
}

// bound says whether the socket still belongs to an interface. When its interface is
// deleted, or leaves the namespace, the kernel unbinds it and it stays deaf for good.
func (p *port) bound() bool {
	bound := false
	err := p.raw.Control(func(fd uintptr) {
		sa, err := unix.Getsockname(int(fd))
		if ll, ok := sa.(*unix.SockaddrLinklayer); err == nil && ok {
			bound = ll.Ifindex == p.link
		}
	})
	return err == nil && bound
}

// write sends one frame without ever waiting.
func (p *port) write(frame []byte) error {
	if p.raw == nil {
		return net.ErrClosed
	}
	var sendErr error
	err := p.raw.Control(func(fd uintptr) {
		sendErr = unix.Send(int(fd), frame, unix.MSG_DONTWAIT)
	})
	return errors.Join(err, sendErr)
}

func (p *port) isClosed() bool {
	select {
	case <-p.closed:
		return true
	default:
		return false
	}
}

// close ends the port; its goroutines return soon after.
func (p *port) close() {
	close(p.closed)
	if p.conn != nil {
		// Closing cannot lose anything: frames are never buffered here.
		_ = p.conn.Close()
	}
}
