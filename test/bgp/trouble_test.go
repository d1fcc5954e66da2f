// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package bgp_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/bgp"
	"github.com/clarion-lb/clarion/internal/labctl/badpeer"
	"github.com/clarion-lb/clarion/internal/lb"
)

func TestPassword(t *testing.T) {
	for _, tc := range []struct{ name, theirs, addr, family, prefix string }{
		{"IPv4", theirs4, ours4, "4", "10.0.0.1/32"}, {"IPv6", theirs6, ours6, "6", "fd00::1/128"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, _, sp := pair(t, bgpConfig(theirASN, "neighbor "+tc.addr+" remote-as 64512", "neighbor "+tc.addr+" password right", tc.family+" neighbor "+tc.addr+" activate"))
			p := peer(tc.theirs, func(p *lb.Peer) { p.Password = "wrong" })
			sp.route(with(p, tc.prefix))
			always(t, 4*time.Second, func() string {
				if sp.state("router").Phase == bgp.Established {
					return "session with the wrong password"
				}
				return ""
			})
			p.Password = "right"
			sp.route(with(p, tc.prefix))
			up(t, sp, 8*time.Second)
			p.Password = ""
			sp.route(with(p, tc.prefix))
			eventually(t, 2*time.Second, func() string {
				if sp.state("router").Phase == bgp.Established {
					return "session without password"
				}
				return ""
			})
		})
	}
}

func TestUnnumbered(t *testing.T) {
	for _, password := range []string{"", "right"} {
		t.Run("password "+password, func(t *testing.T) {
			t.Parallel()
			s := newSegment(t)
			s.host("s")
			s.host("r")
			lines := []string{"neighbor eth0 interface remote-as 64512", "4 neighbor eth0 activate", "6 neighbor eth0 activate"}
			if password != "" {
				lines = append(lines, "neighbor eth0 password "+password)
			}
			f := s.startFRR("r", bgpConfig(theirASN, lines...))
			sp := s.startSpeaker("s")
			p := peer("", func(p *lb.Peer) { p.Interface, p.Password = "eth0", lb.Secret(password) })
			sp.route(with(p, "10.0.0.1/32", "fd00::1/128"))
			t.Logf("established after %s", up(t, sp, 15*time.Second).Round(time.Millisecond))
			f.has("ipv4", 3*time.Second, "10.0.0.1/32")
			f.has("ipv6", 3*time.Second, "fd00::1/128")
			st := sp.state("router")
			if !st.Address.IsLinkLocalUnicast() || st.Link != "eth0" {
				t.Errorf("observed %+v", st)
			}
			// The routes must be usable: FRR's zebra installs them in the kernel.
			eventually(t, 3*time.Second, func() string {
				if out := s.in("r", "ip", "route", "show", "10.0.0.1"); !strings.Contains(out, "dev eth0") {
					return "kernel route: " + out
				}
				return ""
			})
			if password == "" {
				return
			}
			p.Password = "wrong"
			sp.route(with(p, "10.0.0.1/32", "fd00::1/128"))
			eventually(t, 2*time.Second, func() string {
				if sp.state("router").Phase == bgp.Established {
					return "session with the wrong password"
				}
				return ""
			})
			always(t, 4*time.Second, func() string {
				if sp.state("router").Phase == bgp.Established {
					return "session with the wrong password"
				}
				return ""
			})
		})
	}
}

func TestMultiHop(t *testing.T) {
	for _, tc := range []struct {
		name, ours, theirs string
		multi              bool
	}{
		{"IPv4", ours4, far4, true}, {"IPv6", ours6, far6, true},
		{"IPv4 without ebgpMultiHop", ours4, far4, false}, {"IPv6 without ebgpMultiHop", ours6, far6, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := newSegment(t)
			s.twoHops()
			family, prefix, short := "ipv4", "10.0.0.1/32", "4 "
			if contains(tc.ours, ":") {
				family, prefix, short = "ipv6", "fd00::1/128", "6 "
			}
			n := "neighbor " + tc.ours + " "
			f := s.startFRR("r", "ip nht resolve-via-default\nipv6 nht resolve-via-default\n"+bgpConfig(theirASN, n+"remote-as 64512", n+"ebgp-multihop", short+n+"activate"))
			sp := s.startSpeaker("s")
			sp.route(with(peer(tc.theirs, func(p *lb.Peer) { p.MultiHop = tc.multi }), prefix))
			if tc.multi {
				up(t, sp, 8*time.Second)
				f.has(family, 3*time.Second, prefix)
				return
			}
			always(t, 5*time.Second, func() string {
				if sp.state("router").Phase == bgp.Established {
					return "a single-hop session crossed a router"
				}
				return ""
			})
		})
	}
}

func TestRefusedSessionsSayWhy(t *testing.T) {
	v4 := func(asn int, more ...string) string {
		return bgpConfig(asn, append([]string{"neighbor 192.0.2.1 remote-as 64512", "4 neighbor 192.0.2.1 activate"}, more...)...)
	}
	for _, tc := range []struct {
		name, config string
		peer         lb.Peer
		reason       lb.Reason
		detail       string
	}{
		{"wrong ASN", v4(65001), peer(theirs4, nil), bgp.SessionFailed, "65001"},
		{"internal where external is asked for", v4(ourASN), peer(theirs4, func(p *lb.Peer) { p.PeerASN, p.Dynamic = 0, lb.ExternalASN }), bgp.ASNMismatch, "our own AS number"},
		{"external where internal is asked for", v4(theirASN), peer(theirs4, func(p *lb.Peer) { p.PeerASN, p.Dynamic = 0, lb.InternalASN }), bgp.SessionFailed, ""},
		{"hold time of 0", v4(theirASN, "neighbor 192.0.2.1 timers 0 0"), peer(theirs4, nil), bgp.HoldTimeZero, "hold time"},
		{"closed port", v4(theirASN), peer(theirs4, func(p *lb.Peer) { p.Port = 1179 }), bgp.SessionFailed, "refused"},
		{"missing source address", v4(theirASN), peer(theirs4, func(p *lb.Peer) { p.Source = netip.MustParseAddr("192.0.2.99") }), bgp.SessionFailed, "cannot assign"},
		{"missing device", v4(theirASN), peer(theirs4, func(p *lb.Peer) { p.VRF = "red" }), bgp.SessionFailed, "no such device"},
		{"nobody on the link", v4(theirASN), peer("", func(p *lb.Peer) { p.Interface = "eth0" }), bgp.NoNeighbor, "eth0"},
		{"rejected", v4(theirASN), peer(theirs4, func(p *lb.Peer) { p.MyASN = 0 }), bgp.PeerRejected, "missing local ASN"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, _, sp := pair(t, tc.config)
			if err := sp.route(with(tc.peer, "10.0.0.1/32")); (err != "") != (tc.reason == bgp.PeerRejected) {
				t.Errorf("Set returns %q", err)
			}
			eventually(t, 10*time.Second, func() string {
				if st := sp.state("router"); st.Phase == bgp.Established || st.Reason != tc.reason || !strings.Contains(st.Detail, tc.detail) {
					return fmt.Sprintf("%s: %q %q, want %q %q", st.Phase, st.Reason, st.Detail, tc.reason, tc.detail)
				}
				return ""
			})
		})
	}
}

// A peer that comes back is connected to at once, not after the engine's back-off.
func TestReconnect(t *testing.T) {
	_, f, sp := pair(t, bgpConfig(theirASN, "neighbor 192.0.2.1 remote-as 64512", "4 neighbor 192.0.2.1 activate"))
	sp.route(with(peer(theirs4, nil), "10.0.0.1/32"))
	up(t, sp, 8*time.Second)
	f.vtysh("clear bgp 192.0.2.1")
	eventually(t, time.Second, func() string {
		if st := sp.state("router"); st.Phase == bgp.Established && st.Ups < 2 {
			return "session goes on"
		}
		return ""
	})
	took := up(t, sp, 10*time.Second)
	t.Logf("reconnected after %s", took.Round(time.Millisecond))
	if took > 4*time.Second {
		t.Errorf("reconnected after %s", took)
	}
	f.has("ipv4", 2*time.Second, "10.0.0.1/32")
	if st := sp.state("router"); st.Ups != 2 || st.OpensSent < 2 || st.NotificationsReceived == 0 {
		t.Errorf("counters %+v", st)
	}
}

// What other nodes announce comes back from the router; it must change nothing here.
func TestRouteOfAnotherNode(t *testing.T) {
	s := newSegment(t)
	s.host("s", ours4+"/24")
	s.host("r", theirs4+"/24")
	s.host("n", "192.0.2.3/24")
	f := s.startFRR("r", bgpConfig(theirASN, "bgp bestpath as-path multipath-relax", "neighbor 192.0.2.1 remote-as 64512", "neighbor 192.0.2.3 remote-as 64999",
		"4 neighbor 192.0.2.1 activate", "4 neighbor 192.0.2.3 activate"))
	one, two := s.startSpeaker("s"), s.startSpeaker("n")
	one.route(with(peer(theirs4, nil), "10.0.0.1/32"))
	two.route(with(peer(theirs4, func(p *lb.Peer) { p.MyASN, p.RouterID = 64999, netip.MustParseAddr("192.0.2.3") }), "10.0.0.1/32"))
	up(t, one, 8*time.Second)
	up(t, two, 8*time.Second)
	hops := func(want ...string) {
		t.Helper()
		eventually(t, 3*time.Second, func() string {
			out := s.in("r", "ip", "route", "show", "10.0.0.1")
			for _, h := range []string{"192.0.2.1", "192.0.2.3"} {
				if strings.Contains(out, "via "+h+" ") != strings.Contains(strings.Join(want, " "), h) {
					return fmt.Sprintf("kernel route %q, want next hops %v\n%s", out, want, f.vtysh("show bgp ipv4 unicast"))
				}
			}
			return ""
		})
	}
	hops("192.0.2.1", "192.0.2.3")
	one.route(with(peer(theirs4, nil)))
	hops("192.0.2.3")
	one.route(with(peer(theirs4, nil), "10.0.0.1/32"))
	hops("192.0.2.1", "192.0.2.3")
	two.ask(request{Stop: "drain"})
	hops("192.0.2.1")
}

// Peers that misbehave must not disturb a good one, nor anybody's Set or Observe.
func TestBadPeers(t *testing.T) {
	s, f, sp := pair(t, bgpConfig(theirASN, "neighbor 192.0.2.1 remote-as 64512", "4 neighbor 192.0.2.1 activate"))
	s.host("b", "192.0.2.66/24")
	stop, err := badpeer.Start(s.ns("b"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	name := func(port int) string { return fmt.Sprint("bad", port) }
	want := []bgp.PeerWant{with(peer(theirs4, nil), "10.0.0.1/32")}
	for _, port := range badpeer.Ports() {
		want = append(want, with(peer("192.0.2.66", func(p *lb.Peer) { p.Name, p.Port = name(port), uint16(port) }), "10.0.0.1/32"))
	}
	sp.route(want...)
	up(t, sp, 8*time.Second)
	for i := range 200 {
		want[0] = with(want[0].Peer, "10.0.0.1/32", fmt.Sprintf("10.0.2.%d/32", i))
		start := time.Now()
		sp.route(want...)
		if took := time.Since(start); took > time.Second {
			t.Errorf("Set and Observe took %s", took)
		}
		time.Sleep(20 * time.Millisecond)
	}
	f.has("ipv4", 2*time.Second, "10.0.0.1/32", "10.0.2.199/32")
	if _, sessions := f.updates(ours4); sessions != 1 {
		t.Errorf("the good peer saw %d sessions", sessions)
	}
	eventually(t, 15*time.Second, func() string {
		if n := sp.state(name(badpeer.Flapping)).Ups; n < 3 {
			return fmt.Sprintf("the flapping peer has had %d sessions", n)
		}
		return ""
	})
	if _, sessions := f.updates(ours4); sessions != 1 {
		t.Errorf("the good peer saw %d sessions beside a flapping one", sessions)
	}
	for _, w := range want[1:] {
		st := sp.state(w.Peer.Name)
		t.Logf("%s: %s %s %s", w.Peer.Name, st.Phase, st.Reason, st.Detail)
		if w.Peer.Name == name(badpeer.Flapping) {
			continue
		}
		if st.Phase == bgp.Established || st.Reason == "" && w.Peer.Name != name(badpeer.Silent) {
			t.Errorf("%s: %s without reason", w.Peer.Name, st.Phase)
		}
	}
}
