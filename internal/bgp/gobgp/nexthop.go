// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"syscall"

	"github.com/clarion-lb/clarion/internal/lb"
)

// hops are the next hops of the routes to one peer. The unspecified address stands for our own
// address in the session; an invalid one means that there is none for this family.
type hops struct {
	v4, v6 netip.Addr
}

func (h hops) of(f lb.Family) netip.Addr {
	if f == lb.IPv6 {
		return h.v6
	}
	return h.v4
}

// hopsOf chooses the next hops. Routes of the session's own family point at our end of the session.
// The others need an address of ours that the engine does not know: one of the interface that
// has the session. IPv4 routes without any go with an IPv6 next hop (RFC 8950); that is also
// how they go to an unnumbered peer.
func hopsOf(p *lb.Peer, address netip.Addr) hops {
	if p.Unnumbered() {
		return hops{v4: linkLocal(p.Interface), v6: netip.IPv6Unspecified()}
	}
	session4 := lb.FamilyOf(address) == lb.IPv4
	if !p.DualStack {
		if session4 {
			return hops{v4: netip.IPv4Unspecified()}
		}
		return hops{v6: netip.IPv6Unspecified()}
	}
	local := p.Source
	if !local.IsValid() {
		local = sourceTowards(address, p.VRF)
	}
	four, six := siblings(local)
	if session4 {
		return hops{v4: netip.IPv4Unspecified(), v6: six}
	}
	if !four.IsValid() {
		four = local
	}
	return hops{v4: four, v6: netip.IPv6Unspecified()}
}

// sourceTowards asks the kernel which address it would use towards a peer. Nothing is sent.
func sourceTowards(peer netip.Addr, device string) netip.Addr {
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		if device == "" {
			return nil
		}
		var err error
		if ctl := c.Control(func(fd uintptr) { err = syscall.BindToDevice(int(fd), device) }); ctl != nil {
			return ctl
		}
		return err
	}}
	conn, err := d.Dial("udp", netip.AddrPortFrom(peer, lb.DefaultBGPPort).String())
	if err != nil {
		return netip.Addr{}
	}
	defer conn.Close()
	addr, ok := conn.LocalAddr().(*net.UDPAddr)
	if !ok {
		return netip.Addr{}
	}
	return addr.AddrPort().Addr().Unmap()
}

// siblings returns an IPv4 and a global IPv6 address of the interface that has the address.
func siblings(local netip.Addr) (four, six netip.Addr) {
	own := addresses()
	i := slices.IndexFunc(own, func(a ownAddress) bool { return a.addr == local })
	if i < 0 {
		return four, six
	}
	for _, a := range own {
		switch {
		case a.link != own[i].link:
		case a.addr.Is4() && !four.IsValid():
			four = a.addr
		case a.addr.Is6() && !a.addr.IsLinkLocalUnicast() && !six.IsValid():
			six = a.addr
		}
	}
	return four, six
}

// linkLocal returns the link-local IPv6 address of a link, without zone.
func linkLocal(link string) netip.Addr {
	ifi, err := net.InterfaceByName(link)
	if err != nil {
		return netip.Addr{}
	}
	for _, a := range addresses() {
		if a.link == ifi.Index && a.addr.Is6() && a.addr.IsLinkLocalUnicast() {
			return a.addr
		}
	}
	return netip.Addr{}
}

// ownAddress is one of ours, with the index of its link.
type ownAddress struct {
	link int
	addr netip.Addr
}

// addresses reads all addresses of the node at once, in the kernel's order: the primary one of a
// link comes first. Interface.Addrs of package net makes the kernel list all of them for every
// link, and a node has a link for each pod.
func addresses() []ownAddress {
	rib, err := syscall.NetlinkRIB(syscall.RTM_GETADDR, syscall.AF_UNSPEC)
	if err != nil {
		return nil
	}
	messages, err := syscall.ParseNetlinkMessage(rib)
	if err != nil {
		return nil
	}
	out := make([]ownAddress, 0, len(messages))
	for i := range messages {
		if a, ok := addressOf(&messages[i]); ok {
			out = append(out, a)
		}
	}
	return out
}

// addressOf reads one message of the list (rtnetlink(7)).
func addressOf(m *syscall.NetlinkMessage) (ownAddress, bool) {
	if m.Header.Type != syscall.RTM_NEWADDR || len(m.Data) < syscall.SizeofIfAddrmsg {
		return ownAddress{}, false
	}
	attrs, err := syscall.ParseNetlinkRouteAttr(m)
	if err != nil {
		return ownAddress{}, false
	}
	out := ownAddress{link: int(binary.NativeEndian.Uint32(m.Data[4:]))} // struct ifaddrmsg
	for _, a := range attrs {
		// On a point-to-point link IFA_ADDRESS is the other end.
		if local := a.Attr.Type == syscall.IFA_LOCAL; local || a.Attr.Type == syscall.IFA_ADDRESS && !out.addr.IsValid() {
			ip, _ := netip.AddrFromSlice(a.Value)
			out.addr = ip.Unmap()
		}
	}
	return out, out.addr.IsValid()
}
