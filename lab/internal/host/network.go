// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package host

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/clarion-lb/clarion/lab/internal/topo"
)

const (
	bridgeName = "br0"
	lanLink    = "eth0"  // every host's interface on the LAN
	podLink    = "pods0" // a node's link to its pod namespace
	cpLink     = "host0" // cp's link to the machine
)

// settings are the kernel settings every namespace starts with. Duplicate
// address detection would delay each start by a second and more.
func settings(forward bool) []string {
	s := []string{
		"net.ipv6.conf.default.accept_dad=0", "net.ipv6.conf.all.accept_dad=0",
		"net.ipv6.conf.default.accept_ra=0", "net.ipv6.conf.all.accept_ra=0",
		"net.ipv4.conf.default.rp_filter=0", "net.ipv4.conf.all.rp_filter=0",
		"net.ipv4.conf.default.send_redirects=0", "net.ipv4.conf.all.send_redirects=0",
		// IPv6 routers always send redirects. With them the client would go to a node by itself
		// instead of through the router.
		"net.ipv6.conf.default.accept_redirects=0", "net.ipv6.conf.all.accept_redirects=0",
	}
	if forward {
		s = append(s, "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1", "net.ipv6.conf.default.forwarding=1",
			"net.ipv4.fib_multipath_hash_policy=1", "net.ipv6.fib_multipath_hash_policy=1")
	}
	return s
}

// CreateLAN makes the bridge that all hosts hang on.
func CreateLAN(l topo.Lab) error {
	name := l.Netns(topo.LAN)
	if err := createNetns(name); err != nil {
		return err
	}
	err := Do(name, func() error {
		// br_netfilter would push bridged frames through iptables.
		return sysctl("net.bridge.bridge-nf-call-iptables=0", "net.bridge.bridge-nf-call-ip6tables=0",
			"net.bridge.bridge-nf-call-arptables=0", "net.ipv6.conf.default.disable_ipv6=1")
	})
	if err != nil {
		return err
	}
	s, err := open(name)
	if err != nil {
		return err
	}
	defer s.close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = bridgeName
	snooping := false // neighbour discovery is multicast; it must reach every host
	s.fail(s.nl.LinkAdd(&netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: &snooping}), "add bridge")
	s.up(bridgeName)
	s.up("lo")
	return s.err
}

// CreateHost makes one host and puts it on the LAN. A node also gets its pod
// namespace, and every host that must reach pods directly gets routes to all
// nodes' pods, whether those nodes are there yet or not.
func CreateHost(l topo.Lab, name string) error {
	mac, err := l.MAC(name)
	if err != nil {
		return err
	}
	addrs, err := l.Addrs(name)
	if err != nil {
		return err
	}
	node := l.IsNode(name)
	if err := createHostNetns(l.Netns(name), node || name == topo.Router); err != nil {
		return err
	}
	lan, err := open(l.Netns(topo.LAN))
	if err != nil {
		return err
	}
	defer lan.close()
	h, err := open(l.Netns(name))
	if err != nil {
		return err
	}
	defer h.close()
	lan.delLink(name)
	lan.veth(name, nil, h, lanLink, mac)
	lan.attach(name, bridgeName)
	lan.up(name)
	h.up("lo")
	h.up(lanLink)
	for _, a := range addrs {
		h.addr(lanLink, a)
	}
	if node {
		n, _ := l.NodeNumber(name)
		if err := addPodNetns(l, h, n); err != nil {
			return err
		}
	}
	addRoutes(l, h, name)
	return errors.Join(lan.err, h.err)
}

// addRoutes gives a host its default route and, to nodes and the control
// plane, the routes a cluster network would give them. The client and the
// router know no pods: they are outside the cluster.
func addRoutes(l topo.Lab, h *space, name string) {
	routers, _ := l.Addrs(topo.Router)
	if name == topo.Router || name == topo.Client {
		for _, p := range l.BenchCIDRs() {
			h.route(route{dst: p, dev: lanLink})
		}
	}
	for i, gw := range routers {
		if name != topo.Router {
			h.route(route{dst: anywhere(gw.Addr()), via: gw.Addr(), dev: lanLink})
		}
		if !l.IsNode(name) && name != topo.CP {
			continue
		}
		for n, other := range l.NodeNames() {
			if other == name {
				continue
			}
			via, _ := l.Addrs(other)
			h.route(route{dst: l.PodCIDRs(n + 1)[i], via: via[i].Addr(), dev: lanLink})
		}
	}
}

// addPodNetns makes pN, where every address of the node's pod prefix is local,
// so that one process can play all pods of the node.
func addPodNetns(l topo.Lab, node *space, n int) error {
	name := l.Netns(fmt.Sprintf("p%d", n))
	if err := createHostNetns(name, false); err != nil {
		return err
	}
	// IPv4 lets a socket bind to an address that is local by a route only; IPv6
	// does not without this.
	if err := Do(name, func() error { return sysctl("net.ipv6.ip_nonlocal_bind=1") }); err != nil {
		return err
	}
	p, err := open(name)
	if err != nil {
		return err
	}
	defer p.close()
	node.veth(podLink, nil, p, lanLink, nil)
	node.up(podLink)
	p.up("lo")
	p.up(lanLink)
	for _, cidr := range l.PodCIDRs(n) {
		gw, self := topo.Gateway(cidr), topo.PodHostAddr(cidr)
		node.addr(podLink, single(gw))
		node.route(route{dst: single(self), dev: podLink, src: gw})
		node.route(route{dst: cidr, via: self, dev: podLink, src: gw})
		p.addr(lanLink, single(self))
		// The gateway must stay a neighbour although the whole prefix is local.
		p.route(route{dst: single(gw), dev: lanLink, src: self, table: unix.RT_TABLE_LOCAL})
		p.route(route{dst: cidr, dev: "lo", local: true})
		p.route(route{dst: anywhere(gw), via: gw, dev: lanLink, src: self})
	}
	return errors.Join(node.err, p.err)
}

// CreateHostLink joins cp and the machine itself by a link with a /30 of its
// own and returns cp's address on it. The machine's interface goes when cp's
// namespace goes. The caller holds the lock that makes the choice of the
// prefix safe against another lab.
func CreateHostLink(l topo.Lab) (netip.Addr, error) {
	here, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("open netlink: %w", err)
	}
	defer here.Close()
	machine := &space{name: "the machine's namespace", nl: here}
	ours, theirs, err := freeHostPrefix(here)
	if err != nil {
		return netip.Addr{}, err
	}
	cp, err := open(l.Netns(topo.CP))
	if err != nil {
		return netip.Addr{}, err
	}
	defer cp.close()
	machine.delLink(l.HostLink())
	machine.veth(l.HostLink(), nil, cp, cpLink, nil)
	machine.addr(l.HostLink(), ours)
	machine.up(l.HostLink())
	cp.addr(cpLink, theirs)
	cp.up(cpLink)
	return theirs.Addr(), errors.Join(machine.err, cp.err)
}

// freeHostPrefix picks the first /30 of 169.254.220.0/24 that no interface of
// the machine uses: link-local space, because it is never routed.
func freeHostPrefix(h *netlink.Handle) (ours, theirs netip.Prefix, err error) {
	used, err := h.AddrList(nil, unix.AF_INET)
	if err != nil {
		return ours, theirs, fmt.Errorf("list addresses: %w", err)
	}
next:
	for i := 0; i < 256; i += 4 {
		ours = netip.PrefixFrom(netip.AddrFrom4([4]byte{169, 254, 220, byte(i + 1)}), 30)
		for _, u := range used {
			if a, ok := netip.AddrFromSlice(u.IP); ok && ours.Contains(a.Unmap()) {
				continue next
			}
		}
		return ours, netip.PrefixFrom(ours.Addr().Next(), 30), nil
	}
	return ours, theirs, errors.New("no free prefix in 169.254.220.0/24: too many labs")
}

// SetLink sets the bridge's end of a host's cable up or down: the host sees
// its carrier come or go.
func SetLink(l topo.Lab, name string, up bool) error {
	lan, err := open(l.Netns(topo.LAN))
	if err != nil {
		return err
	}
	defer lan.close()
	if up {
		lan.up(name)
	} else if link := lan.link(name); link != nil {
		lan.fail(lan.nl.LinkSetDown(link), "set %s down", name)
	}
	return lan.err
}

// Unplug takes a host's cable away for good; CreateHost lays a new one.
func Unplug(l topo.Lab, name string) error {
	lan, err := open(l.Netns(topo.LAN))
	if err != nil {
		return err
	}
	defer lan.close()
	lan.delLink(name)
	return lan.err
}

// LinkUp reports whether the host's cable is plugged in.
func LinkUp(l topo.Lab, name string) bool {
	lan, err := open(l.Netns(topo.LAN))
	if err != nil {
		return false
	}
	defer lan.close()
	link := lan.link(name)
	return link != nil && link.Attrs().RawFlags&unix.IFF_UP != 0
}

// Destroy removes every namespace of the lab and the machine's link to it. It
// works on whatever is there, goes on after an error, and may be repeated. All
// processes must have been stopped before.
func Destroy(l topo.Lab) error {
	here, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	defer here.Close()
	machine := &space{name: "the machine's namespace", nl: here}
	machine.delLink(l.HostLink())
	names, err := ListNetns(l.Netns(""))
	errs := []error{machine.err, err}
	for _, n := range names {
		errs = append(errs, DeleteNetns(n))
	}
	return errors.Join(append(errs, tidyNetnsDir())...)
}

func createHostNetns(name string, forward bool) error {
	if err := createNetns(name); err != nil {
		return err
	}
	return Do(name, func() error { return sysctl(settings(forward)...) })
}

// anywhere returns the default route's prefix of a's family.
func anywhere(a netip.Addr) netip.Prefix {
	if a.Is4() {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
}
