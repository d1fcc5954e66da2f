// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package bgp_test

import (
	"fmt"
	"net/netip"
	"os/exec"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/bfd"
	"github.com/clarion-lb/clarion/internal/bfd/udp"
	"github.com/clarion-lb/clarion/internal/bgp"
	"github.com/clarion-lb/clarion/internal/lb"
)

// quick is BFD at 50 ms x 3.
var quick = bfd.Params{TransmitInterval: 50 * time.Millisecond, ReceiveInterval: 50 * time.Millisecond, Multiplier: 3, EchoReceive: 50 * time.Millisecond}

func bfdTarget(peer, local string) bfd.Target {
	t := bfd.Target{Name: peer, Peer: netip.MustParseAddr(peer), Params: quick}
	if local != "" {
		t.Local = netip.MustParseAddr(local)
	}
	return t
}

// bfdConfig is FRR's side of a session.
func bfdConfig(peer string, options ...string) string {
	c := "bfd\n peer " + peer + "\n  receive-interval 50\n  transmit-interval 50\n"
	for _, o := range options {
		c += "  " + o + "\n"
	}
	return c + "  no shutdown\n exit\nexit\n"
}

// session returns the state of the only session of a speaker.
func session(sp *speaker) udp.Status {
	if st := sp.ask(request{}).BFD; len(st) == 1 {
		return st[0]
	}
	return udp.Status{}
}

func waitState(t *testing.T, sp *speaker, want bfd.State, within time.Duration) time.Duration {
	t.Helper()
	return eventually(t, within, func() string {
		if st := session(sp); st.Session.State != want || st.Problem != "" {
			return fmt.Sprintf("session is %s (%s) %s, want %s", st.Session.State, st.Session.Diagnostic, st.Problem, want)
		}
		return ""
	})
}

func TestBFDWithFRR(t *testing.T) {
	for _, tc := range []struct {
		name, ours, theirs, peer, peerLen string
	}{
		{"IPv4", "192.0.2.1/24", "192.0.2.2/24", "192.0.2.1", ""},
		{"IPv6", "2001:db8::1/64", "2001:db8::2/64", "2001:db8::1", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newSegment(t)
			s.host("s", tc.ours)
			s.host("r", tc.theirs)
			f := s.startFRR("r", bfdConfig(tc.peer))
			sp := s.startSpeaker("s")
			addr := netip.MustParsePrefix(tc.theirs).Addr().String()
			sp.watch(bfdTarget(addr, tc.peer))
			t.Logf("up after %s", waitState(t, sp, bfd.Up, 5*time.Second).Round(time.Millisecond))
			eventually(t, 2*time.Second, func() string {
				st := session(sp)
				if st.Session.Transmit != 50*time.Millisecond || st.Session.Detect != 150*time.Millisecond {
					return fmt.Sprintf("negotiated %s, detection %s", st.Session.Transmit, st.Session.Detect)
				}
				return ""
			})

			f.stop("bfdd")
			took := waitState(t, sp, bfd.Down, time.Second)
			t.Logf("peer stopped: down after %s", took.Round(time.Millisecond))
			if took > 250*time.Millisecond {
				t.Errorf("a stopped peer was noticed after %s", took)
			}
			if d := session(sp).Session.Diagnostic; d != bfd.DetectionTimeExpired {
				t.Errorf("diagnostic %s", d)
			}
			f.resume("bfdd")
			waitState(t, sp, bfd.Up, 5*time.Second)

			s.cut("r")
			took = waitState(t, sp, bfd.Down, time.Second)
			t.Logf("peer cut off: down after %s", took.Round(time.Millisecond))
			if took > 250*time.Millisecond {
				t.Errorf("a cut was noticed after %s", took)
			}
			s.heal("r")
			t.Logf("healed: up after %s", waitState(t, sp, bfd.Up, 5*time.Second).Round(time.Millisecond))

			// FRR must lose us as fast.
			sp.kill()
			took = eventually(t, time.Second, func() string {
				if st := f.bfdStatus(tc.peer); st != "down" {
					return "FRR says " + st
				}
				return ""
			})
			t.Logf("speaker killed: FRR down after %s", took.Round(time.Millisecond))
		})
	}
}

func TestBFDAcrossHops(t *testing.T) {
	for _, tc := range []struct{ name, ours, theirs string }{{"IPv4", ours4, far4}, {"IPv6", ours6, far6}} {
		t.Run(tc.name, func(t *testing.T) {
			s := newSegment(t)
			s.twoHops()
			f := s.startFRR("r", bfdConfig(tc.ours+" multihop local-address "+tc.theirs))
			sp := s.startSpeaker("s")
			far := bfdTarget(tc.theirs, tc.ours)
			far.MultiHop, far.MinimumTTL = true, 254
			sp.watch(far)
			t.Logf("up after %s", waitState(t, sp, bfd.Up, 5*time.Second).Round(time.Millisecond))

			// RFC 5883 5: packets from further away than minimumTtl allows do not count.
			far.MinimumTTL = 255
			sp.watch(far)
			waitState(t, sp, bfd.Down, time.Second)
			far.MinimumTTL = 254
			sp.watch(far)
			waitState(t, sp, bfd.Up, 5*time.Second)

			f.stop("bfdd")
			took := waitState(t, sp, bfd.Down, time.Second)
			t.Logf("peer stopped: down after %s", took.Round(time.Millisecond))
			if took > 250*time.Millisecond {
				t.Errorf("noticed after %s", took)
			}
		})
	}
}

// Two sessions with one neighbour are told apart by our address before the neighbour knows our
// discriminators, and one that changes its name goes on.
func TestBFDSessionsWithOneNeighbour(t *testing.T) {
	s := newSegment(t)
	s.host("s", "192.0.2.1/24", "192.0.2.11/24")
	s.host("r", "192.0.2.2/24")
	f := s.startFRR("r", bfdConfig("192.0.2.1")+bfdConfig("192.0.2.11"))
	sp := s.startSpeaker("s")
	one, two := bfdTarget("192.0.2.2", "192.0.2.1"), bfdTarget("192.0.2.2", "192.0.2.11")
	one.Name, two.Name = "one", "two"
	sp.watch(one, two)
	bothUp := func() string {
		st := sp.ask(request{}).BFD
		for _, x := range st {
			if x.Session.State != bfd.Up || x.Counters.Downs != 0 {
				return fmt.Sprintf("%s is %s after %d downs", x.Target.Name, x.Session.State, x.Counters.Downs)
			}
		}
		if len(st) != 2 {
			return fmt.Sprintf("%d sessions", len(st))
		}
		return ""
	}
	t.Logf("both up after %s", eventually(t, 5*time.Second, bothUp).Round(time.Millisecond))
	one.Name = "renamed"
	sp.watch(one, two)
	always(t, time.Second, bothUp)
	sp.watch(two)
	eventually(t, 2*time.Second, func() string {
		if a, b := f.bfdStatus("192.0.2.1"), f.bfdStatus("192.0.2.11"); a != "down" || b != "up" {
			return fmt.Sprintf("FRR says %s and %s", a, b)
		}
		return ""
	})
}

// A BGP session that BFD should watch and does not says so.
func TestBFDThatDoesNotComeUpIsTold(t *testing.T) {
	_, f, sp := pair(t, bgpConfig(theirASN, "neighbor 192.0.2.1 remote-as 64512", "4 neighbor 192.0.2.1 activate"))
	profile := lb.DefaultBFDProfile("p")
	sp.route(with(peer(theirs4, func(p *lb.Peer) { p.BFD = &profile }), "10.0.0.1/32"))
	up(t, sp, 8*time.Second)
	told := func(reason lb.Reason, text string) {
		t.Helper()
		eventually(t, 10*time.Second, func() string {
			st := sp.ask(request{}).Told
			if len(st) != 1 || st[0].BGP != string(bgp.Established) || st[0].Reason != reason || !contains(st[0].Message, text) {
				return fmt.Sprintf("told %+v, want %q %q", st, reason, text)
			}
			return ""
		})
	}
	told(bgp.BFDNotUp, "no packet from the peer for a session on one network")
	f.configure("router bgp 64513", "neighbor 192.0.2.1 bfd")
	told("", "")
	if n := sp.state("router").Ups; n != 1 {
		t.Errorf("%d sessions", n)
	}
}

// A packet that has crossed a router must not reach a single-hop session (RFC 5881 5).
func TestBFDIgnoresForwardedPackets(t *testing.T) {
	s := newSegment(t)
	s.host("s", "192.0.2.1/24")
	s.host("r", "192.0.2.2/24")
	s.startFRR("r", bfdConfig("192.0.2.1"))
	s.in("r", "nft", "add table ip m; add chain ip m out { type filter hook output priority 0; }; add rule ip m out udp dport 3784 ip ttl set 254")
	sp := s.startSpeaker("s")
	sp.watch(bfdTarget("192.0.2.2", "192.0.2.1"))
	waitState(t, sp, bfd.Down, time.Second)
	always(t, 3*time.Second, func() string {
		if st := session(sp); st.Session.State != bfd.Down || st.Counters.ControlIn != 0 {
			return fmt.Sprintf("session is %s after %d packets with TTL 254", st.Session.State, st.Counters.ControlIn)
		}
		return ""
	})
	s.in("r", "nft", "flush ruleset")
	waitState(t, sp, bfd.Up, 5*time.Second)
}

func TestBFDTimersAndModes(t *testing.T) {
	s := newSegment(t)
	s.host("s", "192.0.2.1/24")
	s.host("r", "192.0.2.2/24")
	f := s.startFRR("r", bfdConfig("192.0.2.1"))
	sp := s.startSpeaker("s")
	tg := bfdTarget("192.0.2.2", "192.0.2.1")
	tg.Params.Passive = true // FRR speaks first
	sp.watch(tg)
	waitState(t, sp, bfd.Up, 5*time.Second)

	// A change of our timers is negotiated without leaving Up.
	tg.Params.TransmitInterval, tg.Params.ReceiveInterval = 120*time.Millisecond, 110*time.Millisecond
	sp.watch(tg)
	eventually(t, 3*time.Second, func() string {
		st := session(sp)
		if st.Session.Detect != 330*time.Millisecond || st.Counters.Downs != 0 {
			return fmt.Sprintf("detection %s, %d downs", st.Session.Detect, st.Counters.Downs)
		}
		for _, p := range f.bfdPeers() {
			if p.RemoteTransmitInterval != 120 || p.RemoteReceiveInterval != 110 {
				return fmt.Sprintf("FRR knows %+v", p)
			}
		}
		return ""
	})
	// The same for FRR's timers.
	f.configure("bfd", "peer 192.0.2.1", "transmit-interval 200", "detect-multiplier 4")
	eventually(t, 3*time.Second, func() string {
		if st := session(sp); st.Session.Detect != 800*time.Millisecond || st.Counters.Downs != 0 {
			return fmt.Sprintf("detection %s, %d downs", st.Session.Detect, st.Counters.Downs)
		}
		return ""
	})
	// Removing the target is an administrative down for FRR, not a failure.
	sp.watch()
	eventually(t, 2*time.Second, func() string {
		if st := f.bfdStatus("192.0.2.1"); st != "down" {
			return "FRR says " + st
		}
		return ""
	})
	if out := f.vtysh("show bfd peers"); !contains(out, "administratively down") && !contains(out, "Remote diagnostics: administratively") {
		t.Logf("FRR after the target was removed:\n%s", out)
		t.Error("FRR was not told that the session is administratively down")
	}
}

// FRR 8.4 sends IPv4 echo packets that our kernel forwards back, and IPv6 ones that its peer
// must return itself.
func TestBFDReturnsEcho(t *testing.T) {
	for _, tc := range []struct{ name, ours, theirs string }{
		{"IPv4", "192.0.2.1/24", "192.0.2.2/24"},
		{"IPv6", "2001:db8::1/64", "2001:db8::2/64"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newSegment(t)
			s.host("s", tc.ours)
			s.host("r", tc.theirs)
			s.in("s", "sysctl", "-qw", "net.ipv4.ip_forward=1")
			ours, theirs := netip.MustParsePrefix(tc.ours).Addr().String(), netip.MustParsePrefix(tc.theirs).Addr().String()
			f := s.startFRR("r", bfdConfig(ours, "echo-mode", "echo transmit-interval 50", "echo receive-interval 50"))
			sp := s.startSpeaker("s")
			sp.watch(bfdTarget(theirs, ours))
			waitState(t, sp, bfd.Up, 5*time.Second)
			eventually(t, 5*time.Second, func() string {
				var counters []struct {
					In  int `json:"echo-packet-input"`
					Out int `json:"echo-packet-output"`
				}
				if err := f.Show(t.Context(), "show bfd peers counters", &counters); err != nil {
					return err.Error()
				}
				if len(counters) != 1 || counters[0].In < 40 || counters[0].Out-counters[0].In > 2 {
					return fmt.Sprintf("FRR's echo packets: %+v", counters)
				}
				return ""
			})
			if st := session(sp); st.Session.State != bfd.Up || st.Counters.Downs != 0 {
				t.Errorf("%+v", st)
			}
		})
	}
}

// 50 ms x 3 must hold while every core is busy.
func TestBFDUnderLoad(t *testing.T) {
	if _, err := exec.LookPath("stress-ng"); err != nil {
		t.Fatalf("stress-ng is not installed (%v): apt-get install stress-ng", err)
	}
	s := newSegment(t)
	s.host("s", "192.0.2.1/24", "2001:db8::1/64")
	s.host("r", "192.0.2.2/24", "2001:db8::2/64")
	s.startFRR("r", bfdConfig("192.0.2.1")+bfdConfig("2001:db8::1"))
	sp := s.startSpeaker("s")
	sp.watch(bfdTarget("192.0.2.2", "192.0.2.1"), bfdTarget("2001:db8::2", "2001:db8::1"))
	eventually(t, 5*time.Second, func() string {
		for _, st := range sp.ask(request{}).BFD {
			if st.Session.State != bfd.Up {
				return st.Target.Name + " is " + st.Session.State.String()
			}
		}
		return ""
	})
	load := s.start("lan", nil, "stress-ng", "--cpu", "4", "--vm", "2", "--vm-bytes", "128M", "--timeout", "20s", "--quiet")
	<-load.done
	for _, st := range sp.ask(request{}).BFD {
		if st.Counters.Downs != 0 {
			t.Errorf("%s: %d false alarms in 20 s of full load (%s)", st.Target.Name, st.Counters.Downs, st.Session.Diagnostic)
		}
		t.Logf("%s: %d packets in, %d out, %d false alarms", st.Target.Name, st.Counters.ControlIn, st.Counters.ControlOut, st.Counters.Downs)
	}
}

// across builds twoHops and returns the configuration of the router at its far end, with options
// of its neighbour.
func across(s *segment, asn int, neighbor string, options ...string) string {
	s.twoHops()
	n := "neighbor " + neighbor + " "
	family := "4 "
	if contains(neighbor, ":") {
		family = "6 "
	}
	lines := []string{n + "remote-as 64512", n + "bfd profile fast", family + n + "activate"}
	for _, o := range options {
		lines = append(lines, n+o)
	}
	return "ip nht resolve-via-default\nipv6 nht resolve-via-default\n" + bgpConfig(asn, lines...)
}

// BFD watches the sessions that are not found by an address on a common network as well: that of
// an unnumbered peer runs between link-local addresses (RFC 5881), that of a multi-hop one across
// routers (RFC 5883).
func TestBFDOfOtherSessions(t *testing.T) {
	profile := lb.DefaultBFDProfile("fast")
	profile.TransmitInterval, profile.ReceiveInterval, profile.MinimumTTL = 50*time.Millisecond, 50*time.Millisecond, 254
	const fast = "bfd\n profile fast\n  receive-interval 50\n  transmit-interval 50\n  minimum-ttl 254\n exit\nexit\n"
	for _, tc := range []struct {
		name   string
		router func(s *segment) (config string, peer lb.Peer)
	}{
		{"unnumbered", func(s *segment) (string, lb.Peer) {
			s.host("s")
			s.host("r")
			return bgpConfig(theirASN, "neighbor eth0 interface remote-as 64512", "neighbor eth0 bfd profile fast", "4 neighbor eth0 activate", "6 neighbor eth0 activate"),
				peer("", func(p *lb.Peer) { p.Interface, p.BFD = "eth0", &profile })
		}},
		{"IPv6", func(s *segment) (string, lb.Peer) {
			s.host("s", ours6+"/64")
			s.host("r", theirs6+"/64")
			return bgpConfig(theirASN, "neighbor 2001:db8::1 remote-as 64512", "neighbor 2001:db8::1 bfd profile fast", "6 neighbor 2001:db8::1 activate"),
				peer(theirs6, func(p *lb.Peer) { p.BFD = &profile })
		}},
		{"multi-hop", func(s *segment) (string, lb.Peer) {
			return across(s, theirASN, ours4, "ebgp-multihop"), peer(far4, func(p *lb.Peer) { p.MultiHop, p.BFD = true, &profile })
		}},
		{"multi-hop over IPv6", func(s *segment) (string, lb.Peer) {
			return across(s, theirASN, ours6, "ebgp-multihop"), peer(far6, func(p *lb.Peer) { p.MultiHop, p.BFD = true, &profile })
		}},
		{"iBGP across a router", func(s *segment) (string, lb.Peer) {
			return across(s, ourASN, ours4), peer(far4, func(p *lb.Peer) { p.PeerASN, p.BFD = ourASN, &profile })
		}},
		{"iBGP over IPv6 across a router", func(s *segment) (string, lb.Peer) {
			return across(s, ourASN, ours6), peer(far6, func(p *lb.Peer) { p.PeerASN, p.BFD = ourASN, &profile })
		}},
		{"iBGP on one network", func(s *segment) (string, lb.Peer) {
			s.host("s", ours4+"/24")
			s.host("r", theirs4+"/24")
			return bgpConfig(ourASN, "neighbor 192.0.2.1 remote-as 64512", "neighbor 192.0.2.1 bfd profile fast", "4 neighbor 192.0.2.1 activate"),
				peer(theirs4, func(p *lb.Peer) { p.PeerASN, p.BFD = ourASN, &profile })
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := newSegment(t)
			config, p := tc.router(s)
			f := s.startFRR("r", fast+config)
			sp := s.startSpeaker("s")
			family, prefix := "ipv4", "10.0.0.1/32"
			if !p.Unnumbered() && p.Address.Is6() {
				family, prefix = "ipv6", "fd00::1/128"
			}
			sp.route(with(p, prefix))
			up(t, sp, 15*time.Second)
			f.has(family, 3*time.Second, prefix)
			multiHop := p.Address == netip.MustParseAddr(far4) || p.Address == netip.MustParseAddr(far6)
			eventually(t, 5*time.Second, func() string {
				if peers := f.bfdPeers(); len(peers) != 1 || peers[0].Status != "up" || peers[0].Multihop != multiHop {
					return fmt.Sprintf("FRR's BFD: %+v; ours: %+v", peers, session(sp))
				}
				return ""
			})
			time.Sleep(2 * time.Second) // FRR's new session, see bgp.Unreachable
			s.cut("s")
			took := f.has(family, 2*time.Second)
			t.Logf("cut: route gone after %s", took.Round(time.Millisecond))
			s.heal("s")
			up(t, sp, 10*time.Second)
			f.has(family, 3*time.Second, prefix)
		})
	}
}
