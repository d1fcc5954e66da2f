// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package frr

import (
	"fmt"
	"testing"
)

// The lines are what iproute2 6.1 prints.
func TestRouteChangesAreRead(t *testing.T) {
	for line, want := range map[string]string{
		`[2026-11-22T21:53:39.392395] 203.0.113.1 nhid 9 proto bgp metric 20 \	nexthop via 192.168.100.12 dev eth0 weight 1 \	nexthop via 192.168.100.11 dev eth0 weight 1 `: "203.0.113.1/32 [192.168.100.11 192.168.100.12] false .392395",
		`[2026-11-22T21:53:39.394793] fd00:203::/64 via fe80::1 dev e metric 1024 pref medium`:                                                                               "fd00:203::/64 [fe80::1] false .394793",
		`[2026-11-22T21:53:39.397] 10.0.0.1 nhid 3 via inet6 fe80::1 dev eth0 proto bgp metric 20`:                                                                           "10.0.0.1/32 [fe80::1] false .397000",
		`[2026-11-22T21:53:39.397096] Deleted 203.0.113.1 \	nexthop via 10.0.0.2 dev e weight 1 \	nexthop via 10.0.0.3`:                                                      "203.0.113.1/32 [] true .397096",
		`[2026-11-22T21:53:39.931791] local fe80::1 dev e table local proto kernel metric 0`:                                                                                 "",
		`[2026-11-22T21:53:39.931791] default via 10.0.0.1 dev e`:                                                                                                            "",
		`[2026-11-22T21:53:39.931791] `: "",
		`noise`:                         "",
	} {
		got := ""
		if c, ok := parseChange(line); ok {
			got = fmt.Sprint(c.Prefix, " ", c.Hops, " ", c.Deleted, " ", c.Time.Format(".000000"))
		}
		if got != want {
			t.Errorf("%s\nis read as %q, want %q", line, got, want)
		}
	}
}

// The lines are what FRR 8.4 logs.
func TestSessionChangesAreRead(t *testing.T) {
	for line, want := range map[string][]string{
		"2026/11/22 21:53:39.123456 BGP: [M59KS-A3ZXZ] bgp_update_receive: rcvd End-of-RIB":                                    nil,
		"2026/11/22 21:53:39.123456 BGP: [M59KS-A3ZXZ] %ADJCHANGE: neighbor 192.168.100.11(n1) in vrf default Up":              {"192.168.100.11", "Up", ""},
		"2026/11/22 21:53:39.123456 BGP: [M59KS-A3ZXZ] %ADJCHANGE: neighbor fd00:100::b(Unknown) in vrf default Down BFD down": {"fd00:100::b", "Down", " BFD down"},
	} {
		m := adjacency.FindStringSubmatch(line)
		if m != nil {
			m = m[2:]
		}
		if fmt.Sprint(m) != fmt.Sprint(want) {
			t.Errorf("%s\nis read as %q, want %q", line, m, want)
		}
	}
}
