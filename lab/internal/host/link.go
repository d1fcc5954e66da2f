// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package host

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// space is an open namespace with a netlink handle in it. Its methods collect
// the first error, so that a configuration reads as a list of steps.
type space struct {
	name string
	fd   netns.NsHandle
	nl   *netlink.Handle
	err  error
}

func open(name string) (*space, error) {
	fd, err := netns.GetFromName(name)
	if err != nil {
		return nil, fmt.Errorf("open namespace %s: %w", name, err)
	}
	nl, err := netlink.NewHandleAt(fd, unix.NETLINK_ROUTE)
	if err != nil {
		fd.Close()
		return nil, fmt.Errorf("open netlink in %s: %w", name, err)
	}
	return &space{name: name, fd: fd, nl: nl}, nil
}

func (s *space) close() {
	s.nl.Close()
	s.fd.Close()
}

// fail remembers the first error and says which step in which namespace it was.
func (s *space) fail(err error, format string, args ...any) {
	if err != nil && s.err == nil {
		s.err = fmt.Errorf("%s in %s: %w", fmt.Sprintf(format, args...), s.name, err)
	}
}

func (s *space) link(name string) netlink.Link {
	if s.err != nil {
		return nil
	}
	l, err := s.nl.LinkByName(name)
	s.fail(err, "find link %s", name)
	if s.err != nil {
		return nil
	}
	return l
}

func (s *space) up(name string) {
	if l := s.link(name); l != nil {
		s.fail(s.nl.LinkSetUp(l), "set %s up", name)
	}
}

func (s *space) addr(link string, p netip.Prefix) {
	l := s.link(link)
	if l == nil {
		return
	}
	a := &netlink.Addr{IPNet: ipNet(p)}
	if p.Addr().Is6() {
		a.Flags = unix.IFA_F_NODAD // usable at once; the plan has no duplicates
	}
	s.fail(s.nl.AddrAdd(l, a), "add %s to %s", p, link)
}

// route is one route; the zero value of a field leaves it to the kernel.
type route struct {
	dst   netip.Prefix
	via   netip.Addr
	dev   string
	src   netip.Addr
	local bool // deliver here instead of forwarding: every address of dst is this host's
	table int
}

func (s *space) route(r route) {
	l := s.link(r.dev)
	if l == nil {
		return
	}
	nr := &netlink.Route{LinkIndex: l.Attrs().Index, Dst: ipNet(r.dst), Table: r.table}
	switch {
	case r.local:
		nr.Type, nr.Table, nr.Scope = unix.RTN_LOCAL, unix.RT_TABLE_LOCAL, netlink.SCOPE_HOST
	case !r.via.IsValid():
		nr.Scope = netlink.SCOPE_LINK
	default:
		nr.Gw = r.via.AsSlice()
	}
	if r.src.IsValid() {
		nr.Src = r.src.AsSlice()
	}
	s.fail(s.nl.RouteReplace(nr), "add route %s via %s dev %s", r.dst, r.via, r.dev)
}

// veth creates a pair: one end here, the other in peer.
func (s *space) veth(name string, mac net.HardwareAddr, peer *space, peerName string, peerMAC net.HardwareAddr) {
	if s.err != nil {
		return
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.HardwareAddr = name, mac
	s.fail(s.nl.LinkAdd(&netlink.Veth{
		LinkAttrs: attrs, PeerName: peerName, PeerHardwareAddr: peerMAC, PeerNamespace: netlink.NsFd(int(peer.fd)),
	}), "add link %s to %s in %s", name, peerName, peer.name)
}

func (s *space) attach(name, bridge string) {
	l, b := s.link(name), s.link(bridge)
	if l != nil && b != nil {
		s.fail(s.nl.LinkSetMasterByIndex(l, b.Attrs().Index), "attach %s to %s", name, bridge)
	}
}

func (s *space) delLink(name string) {
	l, err := s.nl.LinkByName(name)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return
	}
	s.fail(err, "find link %s", name)
	if s.err == nil {
		s.fail(s.nl.LinkDel(l), "delete link %s", name)
	}
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// single returns the prefix that holds just this address.
func single(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }
