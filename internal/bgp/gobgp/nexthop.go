// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"net"
	"net/netip"
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
	links, err := net.Interfaces()
	if err != nil || !local.IsValid() {
		return four, six
	}
	for i := range links {
		addrs := addressesOf(&links[i])
		four, six = netip.Addr{}, netip.Addr{}
		has := false
		for _, a := range addrs {
			has = has || a == local
			switch {
			case a.Is4() && !four.IsValid():
				four = a
			case a.Is6() && !a.IsLinkLocalUnicast() && !six.IsValid():
				six = a
			}
		}
		if has {
			return four, six
		}
	}
	return netip.Addr{}, netip.Addr{}
}

// linkLocal returns the link-local IPv6 address of a link, without zone.
func linkLocal(link string) netip.Addr {
	ifi, err := net.InterfaceByName(link)
	if err != nil {
		return netip.Addr{}
	}
	for _, a := range addressesOf(ifi) {
		if a.Is6() && a.IsLinkLocalUnicast() {
			return a
		}
	}
	return netip.Addr{}
}

func addressesOf(link *net.Interface) []netip.Addr {
	addrs, err := link.Addrs()
	if err != nil {
		return nil
	}
	out := make([]netip.Addr, 0, len(addrs))
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok {
				out = append(out, ip.Unmap())
			}
		}
	}
	return out
}
