// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Package topo is the lab's network plan: which hosts exist and which names,
// addresses, prefixes and MAC addresses they have. It is pure arithmetic on
// the lab's name, node count and IP family; it configures nothing.
//
//	LAN       192.168.100.0/22   fd00:100::/64    hosts: router .1, cp .2, client .3, node N .10+N
//	pools     192.168.100.100-192.168.103.254     fd00:100::1:0/112 and up: no host is ever there
//	off-link  198.18.0.0/15      fd00:198::/64    the client and the router believe it is on the LAN: room for
//	                                              benchmarks with thousands of addresses
//	pods      10.244.N.0/24      fd00:244:0:N::/64
//	services  10.96.0.0/16       fd00:96::/112
package topo

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// MaxNodes is the largest number of nodes the address plan has room for.
const MaxNodes = 64

// Fixed host names. Nodes are n1..nN, their pod namespaces p1..pN.
const (
	LAN    = "lan"
	CP     = "cp"
	Router = "router"
	Client = "client"
)

// Family says which IP families the cluster uses.
type Family string

// The families of `lab up --ip-family`. In Dual, IPv4 is the primary one.
const (
	IPv4 Family = "ipv4"
	IPv6 Family = "ipv6"
	Dual Family = "dual"
)

// Lab identifies one lab; everything else in this package follows from it.
type Lab struct {
	Name   string `json:"name"`
	Nodes  int    `json:"nodes"`
	Family Family `json:"family"`
}

// Validate reports what is wrong with the lab's parameters, in the user's words.
func (l Lab) Validate() error {
	if err := CheckName(l.Name); err != nil {
		return err
	}
	if l.Nodes < 1 || l.Nodes > MaxNodes {
		return fmt.Errorf("--nodes %d is not between 1 and %d", l.Nodes, MaxNodes)
	}
	switch l.Family {
	case IPv4, IPv6, Dual:
		return nil
	}
	return fmt.Errorf("--ip-family %q is not ipv4, ipv6 or dual", l.Family)
}

// CheckName accepts names that fit into an interface name behind "lab-" and
// that cannot be the beginning of another lab's namespace prefix.
func CheckName(name string) error {
	if !regexp.MustCompile(`^[a-z][a-z0-9]{0,9}$`).MatchString(name) {
		return fmt.Errorf("lab name %q must be 1 to 10 lower-case letters and digits, beginning with a letter", name)
	}
	return nil
}

// has reports whether the cluster uses IPv4 (v4) or IPv6 (not v4).
func (l Lab) has(v4 bool) bool {
	return l.Family == Dual || (l.Family == IPv4) == v4
}

// Netns returns the machine-wide namespace name of a host or pod namespace.
func (l Lab) Netns(host string) string { return l.Name + "-" + host }

// HostLink returns the name of the interface by which the machine itself
// reaches the lab's API server.
func (l Lab) HostLink() string { return "lab-" + l.Name }

// NodeNames returns n1..nN.
func (l Lab) NodeNames() []string {
	names := make([]string, 0, l.Nodes)
	for i := 1; i <= l.Nodes; i++ {
		names = append(names, "n"+strconv.Itoa(i))
	}
	return names
}

// Hosts returns every host on the LAN, nodes last.
func (l Lab) Hosts() []string {
	return append([]string{CP, Router, Client}, l.NodeNames()...)
}

// NodeNumber returns N for "nN" and "pN", and false for any other name or a
// number outside the lab.
func (l Lab) NodeNumber(name string) (int, bool) {
	if len(name) < 2 || (name[0] != 'n' && name[0] != 'p') {
		return 0, false
	}
	n, err := strconv.Atoi(name[1:])
	if err != nil || n < 1 || n > l.Nodes || strconv.Itoa(n) != name[1:] {
		return 0, false
	}
	return n, true
}

// IsNode reports whether name is one of n1..nN.
func (l Lab) IsNode(name string) bool {
	_, ok := l.NodeNumber(name)
	return ok && strings.HasPrefix(name, "n")
}

// PodHost returns pN for nN.
func (l Lab) PodHost(node string) string { return "p" + strings.TrimPrefix(node, "n") }

// hostNumber is the last part of a host's LAN addresses and of its MAC address.
func (l Lab) hostNumber(name string) (byte, error) {
	switch name {
	case Router:
		return 1, nil
	case CP:
		return 2, nil
	case Client:
		return 3, nil
	}
	n, ok := l.NodeNumber(name)
	if !ok || !l.IsNode(name) {
		return 0, fmt.Errorf("no host %q in this lab: want one of %s", name, strings.Join(l.Hosts(), " "))
	}
	return byte(10 + n), nil
}

// Addrs returns the host's LAN addresses with the LAN's prefix length, the
// primary family first.
func (l Lab) Addrs(name string) ([]netip.Prefix, error) {
	n, err := l.hostNumber(name)
	if err != nil {
		return nil, err
	}
	var v6 [16]byte
	copy(v6[:], []byte{0xfd, 0, 0x01, 0})
	v6[15] = n
	return l.pick(
		netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 168, 100, n}), 22),
		netip.PrefixFrom(netip.AddrFrom16(v6), 64)), nil
}

// MAC returns the fixed MAC address of a host's LAN interface, so that it
// survives a power cycle and can be read in a capture: 02:c1:00:00:00:NN with
// the same NN as the IPv4 address.
func (l Lab) MAC(name string) (net.HardwareAddr, error) {
	n, err := l.hostNumber(name)
	if err != nil {
		return nil, err
	}
	return net.HardwareAddr{0x02, 0xc1, 0, 0, 0, n}, nil
}

// PodCIDRs returns the prefixes of node N's pods, the primary family first.
func (l Lab) PodCIDRs(n int) []netip.Prefix {
	var v6 [16]byte
	copy(v6[:], []byte{0xfd, 0, 0x02, 0x44, 0, 0, 0, byte(n)})
	return l.pick(
		netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 244, byte(n), 0}), 24),
		netip.PrefixFrom(netip.AddrFrom16(v6), 64))
}

// ClusterCIDRs returns the prefixes that cover all pods.
func (l Lab) ClusterCIDRs() []netip.Prefix {
	return l.pick(netip.MustParsePrefix("10.244.0.0/16"), netip.MustParsePrefix("fd00:244::/48"))
}

// ServiceCIDRs returns the ClusterIP prefixes.
func (l Lab) ServiceCIDRs() []netip.Prefix {
	return l.pick(netip.MustParsePrefix("10.96.0.0/16"), netip.MustParsePrefix("fd00:96::/112"))
}

// BenchCIDRs returns the off-link prefixes that client and router treat as on
// the LAN.
func (l Lab) BenchCIDRs() []netip.Prefix {
	return l.pick(netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("fd00:198::/64"))
}

// KubernetesService returns the first ClusterIP of each family: the address of
// the Service "kubernetes".
func (l Lab) KubernetesService() []netip.Addr {
	var out []netip.Addr
	for _, p := range l.ServiceCIDRs() {
		out = append(out, p.Addr().Next())
	}
	return out
}

// Gateway returns the first address of a pod prefix: the node's own end.
func Gateway(cidr netip.Prefix) netip.Addr { return cidr.Masked().Addr().Next() }

// PodHostAddr returns the second address of a pod prefix: what the node's pod
// namespace uses as its source address.
func PodHostAddr(cidr netip.Prefix) netip.Addr { return Gateway(cidr).Next() }

// HostOf returns the host that has this LAN MAC address, or "".
func (l Lab) HostOf(mac net.HardwareAddr) string {
	for _, h := range l.Hosts() {
		if m, err := l.MAC(h); err == nil && m.String() == mac.String() {
			return h
		}
	}
	return ""
}

func (l Lab) pick(v4, v6 netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	if l.has(true) {
		out = append(out, v4)
	}
	if l.has(false) {
		out = append(out, v6)
	}
	return out
}
