// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package frr

import (
	"fmt"
	"net/netip"
	"strings"
)

// Fabric is the router that the nodes of a cluster peer with: it takes what they announce, installs
// it with one path per node, and forwards.
type Fabric struct {
	ASN, NodeASN uint32
	RouterID     string
	// Neighbors are addresses of nodes. A neighbour may send prefixes of both families.
	Neighbors []string
	// EachNeighbor are settings for every neighbour, such as "bfd profile fast" or "timers 1 3".
	EachNeighbor []string
	// Global are further lines of the BGP instance, such as "bgp graceful-restart".
	Global []string
	// BFDInterval, when not 0, is in milliseconds and defines a BFD profile "fast" with multiplier 3.
	BFDInterval int
}

// Config writes the configuration.
func (f Fabric) Config() string {
	var b strings.Builder
	b.WriteString("log timestamp precision 6\n")
	if f.BFDInterval > 0 {
		fmt.Fprintf(&b, "bfd\n profile fast\n  receive-interval %[1]d\n  transmit-interval %[1]d\n exit\nexit\n", f.BFDInterval)
	}
	fmt.Fprintf(&b, "router bgp %d\n bgp router-id %s\n bgp log-neighbor-changes\n no bgp ebgp-requires-policy\n no bgp default ipv4-unicast\n"+
		" no bgp network import-check\n bgp bestpath as-path multipath-relax\n", f.ASN, f.RouterID)
	for _, l := range f.Global {
		fmt.Fprintf(&b, " %s\n", l)
	}
	for _, n := range f.Neighbors {
		fmt.Fprintf(&b, " neighbor %s remote-as %d\n", n, f.NodeASN)
		for _, l := range f.EachNeighbor {
			fmt.Fprintf(&b, " neighbor %s %s\n", n, l)
		}
	}
	const paths = 64
	for _, family := range []string{"ipv4", "ipv6"} {
		fmt.Fprintf(&b, " address-family %s unicast\n  maximum-paths %d\n  maximum-paths ibgp %d\n", family, paths, paths)
		for _, n := range f.Neighbors {
			// A session over IPv4 may carry IPv6 prefixes and the other way round.
			fmt.Fprintf(&b, "  neighbor %s activate\n", n)
		}
		b.WriteString(" exit-address-family\n")
	}
	b.WriteString("exit\n")
	return b.String()
}

// NodeAddress returns the address of node n1, n2, ... on the lab's LAN, see lab/README.md.
func NodeAddress(n int, v6 bool) netip.Addr {
	if v6 {
		return netip.AddrFrom16([16]byte{0xfd, 0, 0x01, 0, 15: byte(10 + n)})
	}
	return netip.AddrFrom4([4]byte{192, 168, 100, byte(10 + n)})
}
