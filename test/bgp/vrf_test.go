// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package bgp_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/bfd"
	"github.com/clarion-lb/clarion/internal/bgp"
	"github.com/clarion-lb/clarion/internal/lb"
)

// vrfs puts eth0 and eth1 of a host into VRFs of their own and returns their names. On a kernel
// without VRF it says what the kernel said and returns the links themselves: sessions are bound
// to a device either way, and an ordinary one is a domain with one link.
func (s *segment) vrfs(host string) [2]string {
	s.t.Helper()
	out, err := exec.Command("ip", "-n", s.ns(host), "link", "add", "red", "type", "vrf", "table", "10").CombinedOutput()
	if err != nil {
		said := strings.TrimSpace(string(out))
		if !strings.Contains(said, "Unknown device type") && !strings.Contains(said, "not supported") {
			s.t.Fatalf("add a VRF: %v: %s", err, said)
		}
		s.t.Logf("NO VRF HERE: the kernel says %q to `ip link add red type vrf table 10`; sessions are bound to the links instead", said)
		return [2]string{"eth0", "eth1"}
	}
	s.must("ip", "-n", s.ns(host), "link", "add", "blue", "type", "vrf", "table", "20")
	for vrf, dev := range map[string]string{"red": "eth0", "blue": "eth1"} {
		s.must("ip", "-n", s.ns(host), "link", "set", vrf, "up")
		// A link that joins a VRF loses its IPv6 addresses unless they are kept.
		s.in(host, "sysctl", "-qw", "net.ipv6.conf."+dev+".keep_addr_on_down=1")
		s.must("ip", "-n", s.ns(host), "link", "set", dev, "master", vrf)
	}
	s.t.Log("in real VRFs")
	return [2]string{"red", "blue"}
}

// Two routers with the same address in two routing domains: each has its own sessions of BGP and
// BFD, and gets its own routes.
func TestVRF(t *testing.T) {
	for _, tc := range []struct{ name, ours, theirs, bits, family, one, two string }{
		{"IPv4", ours4, theirs4, "/24", "ipv4", "10.0.0.1/32", "10.0.0.2/32"},
		{"IPv6", ours6, theirs6, "/64", "ipv6", "fd00::1/128", "fd00::2/128"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newSegment(t)
			s.lan("other")
			s.host("s", tc.ours+tc.bits)
			s.attach("other", "br0", "s", "eth1", tc.ours+tc.bits)
			s.in("s", "sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.eth0.rp_filter=0", "net.ipv4.conf.eth1.rp_filter=0")
			s.host("r", tc.theirs+tc.bits)
			s.namespace("q")
			s.attach("other", "br0", "q", "eth0", tc.theirs+tc.bits)
			domains := s.vrfs("s")

			n := "neighbor " + tc.ours + " "
			config := "bfd\n profile fast\n  receive-interval 50\n  transmit-interval 50\n exit\nexit\n" +
				bgpConfig(theirASN, n+"remote-as 64512", n+"bfd profile fast", tc.family[3:]+" "+n+"activate")
			r, q := s.startFRR("r", config), s.startFRR("q", config)
			profile := lb.DefaultBFDProfile("fast")
			profile.TransmitInterval, profile.ReceiveInterval = 50*time.Millisecond, 50*time.Millisecond
			in := func(name, domain, prefix string) bgp.PeerWant {
				return with(peer(tc.theirs, func(p *lb.Peer) { p.Name, p.VRF, p.BFD = name, domain, &profile }), prefix)
			}
			sp := s.startSpeaker("s")
			sp.route(in("one", domains[0], tc.one), in("two", domains[1], tc.two))
			for _, name := range []string{"one", "two"} {
				eventually(t, 10*time.Second, func() string {
					if st := sp.state(name); st.Phase != bgp.Established {
						return fmt.Sprintf("session %s is %s: %s %s", name, st.Phase, st.Reason, st.Detail)
					}
					return ""
				})
			}
			r.has(tc.family, 3*time.Second, tc.one)
			q.has(tc.family, 3*time.Second, tc.two)
			states := func(want ...bfd.State) func() string {
				return func() string {
					st := sp.ask(request{}).BFD
					for i := range st {
						if len(st) != len(want) || st[i].Session.State != want[i] || st[i].Target.VRF != domains[i] {
							return fmt.Sprintf("BFD: %+v, want %v", st, want)
						}
					}
					return ""
				}
			}
			eventually(t, 5*time.Second, states(bfd.Up, bfd.Up))
			time.Sleep(2 * time.Second) // FRR's new session, see bgp.Unreachable
			q.stop("bfdd")
			t.Logf("one router's BFD stopped: down after %s", eventually(t, time.Second, states(bfd.Up, bfd.Down)).Round(time.Millisecond))
			eventually(t, 2*time.Second, func() string {
				one, two := sp.state("one"), sp.state("two")
				if one.Phase != bgp.Established || one.Ups != 1 || two.Phase != bgp.Held || two.Reason != bgp.BFDDown {
					return fmt.Sprintf("sessions: %+v and %+v", one, two)
				}
				return ""
			})
			q.resume("bfdd")
			eventually(t, 15*time.Second, func() string {
				if st := sp.state("two"); st.Phase != bgp.Established {
					return fmt.Sprintf("session two is %s: %s %s", st.Phase, st.Reason, st.Detail)
				}
				return ""
			})
		})
	}
}
