// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package bgp_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/bgp"
	"github.com/clarion-lb/clarion/internal/labctl/frr"
	"github.com/clarion-lb/clarion/internal/lb"
)

// path returns what FRR knows of the only path of a prefix.
func (f *router) path(family, prefix string) frr.Attributes {
	paths, err := f.Attributes(context.Background(), family, prefix)
	if err != nil || len(paths) != 1 {
		return frr.Attributes{}
	}
	return paths[0]
}

func communities(t *testing.T, list ...string) []lb.Community {
	t.Helper()
	var out []lb.Community
	for _, s := range list {
		c, err := lb.ParseCommunity(s)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, c)
	}
	return lb.SortedCommunities(out)
}

func TestAttributes(t *testing.T) {
	for _, tc := range []struct {
		name string
		asn  int
		edit func(*lb.Route)
		want frr.Attributes
	}{
		{"communities", theirASN, func(r *lb.Route) {
			r.Communities = communities(t, "64512:1", "64512:2", "large:64512:1:4294967295", "rt:64512:77")
			r.MED, r.Prepend, r.Bandwidth = 50, 2, 3_000_000
		}, frr.Attributes{Metric: 50, Aspath: struct{ String string }{"64512 64512 64512"}, Community: struct{ String string }{"64512:1 64512:2"},
			LargeCommunity: struct{ String string }{"64512:1:4294967295"}, ExtendedCommunity: struct{ String string }{"RT:64512:77 LB:64512:3000000 (24.000 Mbps)"}}},
		{"local preference", ourASN, func(r *lb.Route) { r.LocalPref = 150 }, frr.Attributes{LocPrf: 150}},
		{"no local preference", ourASN, func(*lb.Route) {}, frr.Attributes{LocPrf: 100}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, f, sp := pair(t, bgpConfig(tc.asn, "neighbor 192.0.2.1 remote-as 64512", "4 neighbor 192.0.2.1 activate", "6 neighbor 192.0.2.1 activate"))
			w := with(peer(theirs4, func(p *lb.Peer) { p.DualStack, p.PeerASN = true, uint32(tc.asn) }), "10.0.0.0/24", "fd00::/64")
			for i := range w.Routes {
				tc.edit(&w.Routes[i])
			}
			sp.route(w)
			up(t, sp, 8*time.Second)
			f.has("ipv4", 3*time.Second, "10.0.0.0/24")
			f.has("ipv6", 3*time.Second, "fd00::/64")
			for family, prefix := range map[string]string{"ipv4": "10.0.0.0/24", "ipv6": "fd00::/64"} {
				got := f.path(family, prefix)
				want := tc.want
				want.Valid, want.Peer = true, got.Peer
				if tc.asn == ourASN {
					want.Aspath.String = "Local"
				}
				if got != want {
					t.Errorf("%s: %+v, want %+v", prefix, got, want)
				}
			}
		})
	}
}

// Exactly the change is sent: no session flaps, nothing is said twice, nothing is withdrawn that
// is announced again.
func TestOnlyTheChangeIsSent(t *testing.T) {
	s, f, sp := pair(t, bgpConfig(theirASN, "neighbor 192.0.2.1 remote-as 64512", "4 neighbor 192.0.2.1 activate"))
	p := peer(theirs4, nil)
	var prefixes []string
	for i := range 50 {
		prefixes = append(prefixes, fmt.Sprintf("10.0.1.%d/32", i))
	}
	sp.route(with(p, prefixes...))
	up(t, sp, 8*time.Second)
	f.has("ipv4", 3*time.Second, prefixes...)
	capture := s.start("r", nil, "tcpdump", "-i", "eth0", "-Z", "root", "--immediate-mode", "-U", "-w", s.dir+"/cap", "tcp port 179")
	time.Sleep(500 * time.Millisecond) // tcpdump says that it listens before it does
	expect := func(what string, more int, done func() string) {
		t.Helper()
		before, _ := f.updates(ours4)
		eventually(t, 2*time.Second, done)
		always(t, 400*time.Millisecond, func() string {
			if n, sessions := f.updates(ours4); n-before > more || sessions != 1 {
				return fmt.Sprintf("%s: %d UPDATEs in %d sessions, want %d", what, n-before, sessions, more)
			}
			return ""
		})
	}
	valid := func(prefix string, want bool) func() string {
		return func() string {
			if got := f.path("ipv4", prefix).Valid; got != want {
				return fmt.Sprintf("%s valid: %v", prefix, got)
			}
			return ""
		}
	}
	before, _ := f.updates(ours4)
	check := func(what string, total int) {
		t.Helper()
		if n, sessions := f.updates(ours4); n-before != total || sessions != 1 {
			t.Errorf("%s: %d UPDATEs in all over %d sessions, want %d", what, n-before, sessions, total)
		}
	}
	sp.route(with(p, append(prefixes, "10.0.9.9/32")...))
	expect("one more Service", 1, valid("10.0.9.9/32", true))
	check("one more Service", 1)
	sp.route(with(p, append(prefixes, "10.0.9.9/32")...))
	expect("the same again", 0, valid("10.0.9.9/32", true))
	check("the same again", 1)

	w := with(p, append(prefixes, "10.0.9.9/32")...)
	for i := range w.Routes {
		if w.Routes[i].Prefix.String() == "10.0.9.9/32" {
			w.Routes[i].Communities = communities(t, "64512:5")
		}
	}
	sp.route(w)
	expect("a community", 1, func() string {
		if c := f.path("ipv4", "10.0.9.9/32").Community.String; c != "64512:5" {
			return "community is " + c
		}
		return ""
	})
	check("a community", 2)
	w.Peer.BFD = &lb.BFDProfile{Name: "later", TransmitInterval: time.Second, ReceiveInterval: time.Second, DetectMultiplier: 3, MinimumTTL: 254}
	sp.route(w)
	expect("a BFD profile", 0, valid("10.0.9.9/32", true))
	check("a BFD profile", 2)

	_ = capture.cmd.Process.Signal(interrupt)
	<-capture.done
	if out := s.must("tcpdump", "-nn", "-v", "-r", s.dir+"/cap"); strings.Contains(out, "Withdrawn") {
		t.Errorf("something was withdrawn:\n%s", out)
	} else if !strings.Contains(out, "Update Message") {
		t.Errorf("the capture has no UPDATE, so it proves nothing:\n%s", tail(out, 2000))
	}
	sp.route(with(p, prefixes...))
	expect("one Service less", 1, valid("10.0.9.9/32", false))
	check("one Service less", 3)
}

// 10,000 prefixes. How long they take is logged; what they may take is the benchmark's business.
func TestManyRoutes(t *testing.T) {
	_, f, sp := pair(t, bgpConfig(theirASN, "neighbor 192.0.2.1 remote-as 64512", "4 neighbor 192.0.2.1 activate"))
	p := peer(theirs4, nil)
	sp.route(with(p))
	up(t, sp, 8*time.Second)
	w := bgp.PeerWant{Peer: p}
	for i := range 10_000 {
		w.Routes = append(w.Routes, lb.Route{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 32), Communities: communities(t, "64512:1")})
	}
	count := func() int {
		n, err := f.Prefixes(context.Background(), "ipv4", ours4)
		if err != nil {
			t.Log(err)
		}
		return n
	}
	reach := func(n int) func() string {
		return func() string {
			if got := count(); got != n {
				return fmt.Sprintf("FRR has %d routes, want %d", got, n)
			}
			return ""
		}
	}
	sp.route(w)
	took := eventually(t, 30*time.Second, reach(10_000))
	t.Logf("10,000 routes at the router after %s; speaker %s", took.Round(time.Millisecond), sp.memory())
	if mib := sp.resident(); mib > 120 {
		t.Errorf("speaker has %d MiB resident", mib)
	}
	before, _ := f.updates(ours4)
	sp.route(w)
	w.Routes[77].MED = 9
	start := time.Now()
	sp.route(w)
	eventually(t, 10*time.Second, func() string {
		if f.path("ipv4", w.Routes[77].Prefix.String()).Metric != 9 {
			return "change not seen"
		}
		return ""
	})
	t.Logf("one change among them seen after %s", time.Since(start).Round(time.Millisecond))
	if n, _ := f.updates(ours4); n-before != 1 {
		t.Errorf("%d UPDATEs for one change", n-before)
	}
	sp.route(with(p))
	t.Logf("withdrawn after %s", eventually(t, 30*time.Second, reach(0)).Round(time.Millisecond))
}
