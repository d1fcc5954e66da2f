// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

//go:debug multipathtcp=0
package bgp_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/bgp"
	"github.com/clarion-lb/clarion/internal/lb"
)

// The router connects to the speaker, which never connects itself.
func TestPassive(t *testing.T) {
	for _, tc := range []struct{ name, theirs, addr, family, prefix, password string }{
		{"IPv4", theirs4, ours4, "4", "10.0.0.1/32", ""},
		{"IPv4 with password", theirs4, ours4, "4", "10.0.0.1/32", "right"},
		{"IPv6", theirs6, ours6, "6", "fd00::1/128", ""},
		{"IPv6 with password", theirs6, ours6, "6", "fd00::1/128", "right"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			lines := []string{"neighbor " + tc.addr + " remote-as 64512", "neighbor " + tc.addr + " port 1790", "neighbor " + tc.addr + " timers connect 1", tc.family + " neighbor " + tc.addr + " activate"}
			if tc.password != "" {
				lines = append(lines, "neighbor "+tc.addr+" password "+tc.password)
			}
			s, f, sp := pair(t, bgpConfig(theirASN, lines...))
			p := peer(tc.theirs, func(p *lb.Peer) { p.ListenPort, p.Password = 1790, lb.Secret(tc.password) })
			if tc.password != "" {
				p.Password = "wrong"
				sp.route(with(p, tc.prefix))
				always(t, 4*time.Second, func() string {
					st := sp.state("router")
					if st.Phase == bgp.Established {
						return "session with the wrong password"
					}
					return ""
				})
				if st := sp.state("router"); !strings.Contains(st.Detail, "waiting for the peer to connect to port 1790") {
					t.Errorf("%s: %s %q", st.Phase, st.Reason, st.Detail)
				}
				p.Password = lb.Secret(tc.password)
			}
			sp.route(with(p, tc.prefix))
			t.Logf("established after %s", up(t, sp, 15*time.Second).Round(time.Millisecond))
			f.has(map[string]string{"4": "ipv4", "6": "ipv6"}[tc.family], 3*time.Second, tc.prefix)
			if out := s.in("s", "ss", "-Htn", "state", "established"); !strings.Contains(out, ":1790") {
				t.Errorf("no connection to the listening port:\n%s", out)
			}
			// Without a passive peer nothing listens.
			sp.route()
			eventually(t, 3*time.Second, func() string {
				if out := s.in("s", "ss", "-Htln"); strings.Contains(out, ":1790") {
					return "still listening:\n" + out
				}
				return ""
			})
		})
	}
}

// Whoever is no peer is hung up on before anything is said, and disturbs nobody.
func TestStrangerAtThePort(t *testing.T) {
	s, f, sp := pair(t, bgpConfig(theirASN, "neighbor 192.0.2.1 remote-as 64512", "neighbor 192.0.2.1 port 1790", "neighbor 192.0.2.1 timers connect 1", "4 neighbor 192.0.2.1 activate"))
	s.host("x", "192.0.2.66/24")
	p := peer(theirs4, func(p *lb.Peer) { p.ListenPort = 1790 })
	sp.route(with(p, "10.0.0.1/32"))
	up(t, sp, 15*time.Second)
	for range 20 {
		out := s.in("x", "perl", "-MIO::Socket::INET", "-e",
			`$s=IO::Socket::INET->new(PeerAddr=>"192.0.2.1:1790",Timeout=>3) or die "connect: $!"; $SIG{ALRM}=sub{print "open";exit}; alarm 3; $n=sysread($s,$b,99); print $n ? "said $n bytes" : "closed"`)
		if out != "closed" {
			t.Fatalf("a stranger's connection: %s", out)
		}
	}
	f.has("ipv4", time.Second, "10.0.0.1/32")
	if _, sessions := f.updates(ours4); sessions != 1 {
		t.Errorf("the peer saw %d sessions", sessions)
	}
}

// A port that is taken is told, and taken over when it is free.
func TestPortTaken(t *testing.T) {
	s, _, sp := pair(t, bgpConfig(theirASN, "neighbor 192.0.2.1 remote-as 64512", "neighbor 192.0.2.1 port 1790", "neighbor 192.0.2.1 timers connect 1", "4 neighbor 192.0.2.1 activate"))
	other := s.start("s", nil, "perl", "-MIO::Socket::INET", "-e", `$s=IO::Socket::INET->new(LocalPort=>1790,Listen=>1,ReuseAddr=>1) or die $!; sleep 1000`)
	eventually(t, 3*time.Second, func() string {
		if !strings.Contains(s.in("s", "ss", "-Htln"), ":1790") {
			return "the other program does not listen yet"
		}
		return ""
	})
	sp.route(with(peer(theirs4, func(p *lb.Peer) { p.ListenPort = 1790 }), "10.0.0.1/32"))
	eventually(t, 3*time.Second, func() string {
		if st := sp.state("router"); st.Reason != bgp.SessionFailed || !strings.Contains(st.Detail, "address already in use") {
			return fmt.Sprintf("%s: %s %q", st.Phase, st.Reason, st.Detail)
		}
		return ""
	})
	other.kill()
	up(t, sp, 15*time.Second)
}
