// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

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

// way is what the next hops of a peer depend on.
type way struct {
	address, source netip.Addr
	link, vrf       string
	dual            bool
}

func wayOf(p *lb.Peer) way {
	return way{address: p.Address, source: p.Source, link: p.Interface, vrf: p.VRF, dual: p.DualStack}
}

// hopsOf chooses the next hops. Routes of the session's own family point at our end of the session.
// The others need an address of ours that the engine does not know: one of the interface that
// has the session. IPv4 routes without any go with an IPv6 next hop (RFC 8950); that is also
// how they go to an unnumbered peer. After an error, what it has is right and what it lacks is
// unknown.
func hopsOf(w way) (hops, error) {
	if w.link != "" {
		four, err := linkLocal(w.link)
		return hops{v4: four, v6: netip.IPv6Unspecified()}, err
	}
	session4 := lb.FamilyOf(w.address) == lb.IPv4
	h := hops{v6: netip.IPv6Unspecified()}
	if session4 {
		h = hops{v4: netip.IPv4Unspecified()}
	}
	if !w.dual {
		return h, nil
	}
	local, err := localOn(w)
	if err != nil {
		return h, err
	}
	four, six, err := siblings(local)
	switch {
	case err != nil:
		return h, err
	case session4:
		h.v6 = six
	case four.IsValid():
		h.v4 = four
	default:
		h.v4 = local
	}
	return h, nil
}

// localOn is our end of the session: what the peer's configuration says, or what the kernel would
// use. Nothing is sent to ask it. Having no route is an error, too: it does not say which addresses
// the interface of the session has.
func localOn(w way) (netip.Addr, error) {
	if w.source.IsValid() {
		return w.source, nil
	}
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		if w.vrf == "" {
			return nil
		}
		var err error
		if ctl := c.Control(func(fd uintptr) { err = syscall.BindToDevice(int(fd), w.vrf) }); ctl != nil {
			return ctl
		}
		return err
	}}
	conn, err := d.Dial("udp", netip.AddrPortFrom(w.address, lb.DefaultBGPPort).String())
	if err != nil {
		return netip.Addr{}, fmt.Errorf("find our address towards %s: %w", w.address, err)
	}
	defer conn.Close()
	local, err := netip.ParseAddrPort(conn.LocalAddr().String())
	if err != nil {
		return netip.Addr{}, fmt.Errorf("read our address towards %s: %w", w.address, err)
	}
	return local.Addr().Unmap(), nil
}

// siblings returns an IPv4 and a global IPv6 address of the interface that has the address.
func siblings(local netip.Addr) (four, six netip.Addr, err error) {
	own, err := addresses()
	if err != nil {
		return four, six, err
	}
	i := slices.IndexFunc(own, func(a ownAddress) bool { return a.addr == local })
	if i < 0 {
		return four, six, nil
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
	return four, six, nil
}

// linkLocal returns the link-local IPv6 address of a link, without zone; an invalid one when it
// has none.
func linkLocal(link string) (netip.Addr, error) {
	ifi, err := net.InterfaceByName(link)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("find link %s: %w", link, err)
	}
	own, err := addresses()
	if err != nil {
		return netip.Addr{}, err
	}
	for _, a := range own {
		if a.link == ifi.Index && a.addr.Is6() && a.addr.IsLinkLocalUnicast() {
			return a.addr, nil
		}
	}
	return netip.Addr{}, nil
}

// ownAddress is one of ours, with the index of its link.
type ownAddress struct {
	link int
	addr netip.Addr
}

// dumpTries is how often the list is read again that changed while it was read. It may lack
// addresses that were there all the time.
const dumpTries = 10

var errChanging = errors.New("list addresses: they change all the time")

// addresses reads all addresses of the node at once, in the kernel's order: the primary one of a
// link comes first. Interface.Addrs of package net makes the kernel list all of them for every
// link, and a node has a link for each pod.
func addresses() ([]ownAddress, error) {
	for try := 1; ; try++ {
		rib, err := syscall.NetlinkRIB(syscall.RTM_GETADDR, syscall.AF_UNSPEC)
		if err != nil {
			return nil, fmt.Errorf("list addresses: %w", err)
		}
		out, err := addressesIn(rib)
		if try == dumpTries || !errors.Is(err, errChanging) {
			return out, err
		}
	}
}

// addressesIn reads the list.
func addressesIn(rib []byte) ([]ownAddress, error) {
	messages, err := syscall.ParseNetlinkMessage(rib)
	if err != nil {
		return nil, fmt.Errorf("read list of addresses: %w", err)
	}
	out := make([]ownAddress, 0, len(messages))
	for i := range messages {
		if messages[i].Header.Flags&unix.NLM_F_DUMP_INTR != 0 {
			return nil, errChanging
		}
		if a, ok := addressOf(&messages[i]); ok {
			out = append(out, a)
		}
	}
	return out, nil
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
