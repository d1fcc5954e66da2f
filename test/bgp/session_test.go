// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package bgp_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/bgp"
	"github.com/clarion-lb/clarion/internal/labctl/frr"
	"github.com/clarion-lb/clarion/internal/lb"
)

const (
	ourASN, theirASN = 64512, 64513
	ours4, theirs4   = "192.0.2.1", "192.0.2.2"
	ours6, theirs6   = "2001:db8::1", "2001:db8::2"
)

// peer is a peer at an address with everything else at its default.
func peer(addr string, edit func(*lb.Peer)) lb.Peer {
	p := lb.Peer{Name: "router", MyASN: ourASN, PeerASN: theirASN, Port: lb.DefaultBGPPort}
	if addr != "" {
		p.Address = netip.MustParseAddr(addr)
	}
	if edit != nil {
		edit(&p)
	}
	return p
}

// with is a peer and routes that are given by their prefixes.
func with(p lb.Peer, prefixes ...string) bgp.PeerWant {
	w := bgp.PeerWant{Peer: p}
	for _, s := range prefixes {
		w.Routes = append(w.Routes, lb.Route{Prefix: netip.MustParsePrefix(s)})
	}
	slices.SortFunc(w.Routes, func(a, b lb.Route) int { return a.Prefix.Compare(b.Prefix) })
	return w
}

// bgpConfig is a router that takes what its neighbours send. Lines of a family begin with "4 " or "6 ".
func bgpConfig(asn int, lines ...string) string {
	main, four, six := "", "", ""
	for _, l := range lines {
		switch {
		case strings.HasPrefix(l, "4 "):
			four += "  " + l[2:] + "\n"
		case strings.HasPrefix(l, "6 "):
			six += "  " + l[2:] + "\n"
		default:
			main += " " + l + "\n"
		}
	}
	return fmt.Sprintf("router bgp %d\n bgp router-id 192.0.2.2\n no bgp ebgp-requires-policy\n no bgp default ipv4-unicast\n no bgp network import-check\n%s"+
		" address-family ipv4 unicast\n%s exit-address-family\n address-family ipv6 unicast\n%s exit-address-family\nexit\n", asn, main, four, six)
}

// routes returns the paths that FRR has of a family, by prefix.
func (f *router) routes(family string) map[string][]frr.Path {
	paths, _ := f.Paths(context.Background(), family) // asked again, or what is missing is told
	return paths
}

// has waits until FRR has a valid route for exactly the prefixes.
func (f *router) has(family string, within time.Duration, prefixes ...string) time.Duration {
	f.s.t.Helper()
	return eventually(f.s.t, within, func() string {
		var got []string
		for p, paths := range f.routes(family) {
			if slices.ContainsFunc(paths, func(r frr.Path) bool { return r.Valid }) {
				got = append(got, p)
			}
		}
		slices.Sort(got)
		want := slices.Sorted(slices.Values(prefixes))
		if !slices.Equal(got, want) {
			return fmt.Sprintf("FRR has %v, want %v\n%s", got, want, f.vtysh("show bgp "+family+" unicast"))
		}
		return ""
	})
}

// updates returns how many UPDATEs FRR has received from a neighbour, and how many sessions it had.
func (f *router) updates(neighbor string) (updates, sessions int) {
	all, _ := f.Neighbors(context.Background()) // an unknown neighbour has had no session
	return all[neighbor].MessageStats.UpdatesRecv, all[neighbor].ConnectionsEstablished
}

func up(t *testing.T, sp *speaker, within time.Duration) time.Duration {
	t.Helper()
	return eventually(t, within, func() string {
		if s := sp.state("router"); s.Phase != bgp.Established {
			return fmt.Sprintf("session is %s: %s %s", s.Phase, s.Reason, s.Detail)
		}
		return ""
	})
}

// pair is a speaker and a router on one LAN.
func pair(t *testing.T, config string) (*segment, *router, *speaker) {
	t.Helper()
	s := newSegment(t)
	s.host("s", ours4+"/24", ours6+"/64")
	s.host("r", theirs4+"/24", theirs6+"/64")
	return s, s.startFRR("r", config), s.startSpeaker("s")
}

func TestSessions(t *testing.T) {
	v4 := func(asn int) string {
		return bgpConfig(asn, "neighbor 192.0.2.1 remote-as 64512", "4 neighbor 192.0.2.1 activate")
	}
	for _, tc := range []struct {
		name, config string
		peer         lb.Peer
		routes       []string
		v4, v6       []string
		hop          string
	}{
		{"eBGP IPv4", v4(theirASN), peer(theirs4, nil), []string{"10.0.0.1/32"}, []string{"10.0.0.1/32"}, nil, ours4},
		{"iBGP IPv4", v4(ourASN), peer(theirs4, func(p *lb.Peer) { p.PeerASN = ourASN }), []string{"10.0.0.1/32"}, []string{"10.0.0.1/32"}, nil, ours4},
		{"eBGP IPv6", bgpConfig(theirASN, "neighbor 2001:db8::1 remote-as 64512", "6 neighbor 2001:db8::1 activate"),
			peer(theirs6, nil), []string{"fd00::1/128"}, nil, []string{"fd00::1/128"}, ours6},
		{"iBGP IPv6", bgpConfig(ourASN, "neighbor 2001:db8::1 remote-as 64512", "6 neighbor 2001:db8::1 activate"),
			peer(theirs6, func(p *lb.Peer) { p.PeerASN = ourASN }), []string{"fd00::1/128"}, nil, []string{"fd00::1/128"}, ours6},
		{"both families over IPv4", bgpConfig(theirASN, "neighbor 192.0.2.1 remote-as 64512", "4 neighbor 192.0.2.1 activate", "6 neighbor 192.0.2.1 activate"),
			peer(theirs4, func(p *lb.Peer) { p.DualStack = true }), []string{"10.0.0.1/32", "fd00::1/128"}, []string{"10.0.0.1/32"}, []string{"fd00::1/128"}, ours4},
		{"both families over IPv6", bgpConfig(theirASN, "neighbor 2001:db8::1 remote-as 64512", "4 neighbor 2001:db8::1 activate", "6 neighbor 2001:db8::1 activate"),
			peer(theirs6, func(p *lb.Peer) { p.DualStack = true }), []string{"10.0.0.1/32", "fd00::1/128"}, []string{"10.0.0.1/32"}, []string{"fd00::1/128"}, ours4},
		{"dynamic external ASN", v4(theirASN), peer(theirs4, func(p *lb.Peer) { p.PeerASN, p.Dynamic = 0, lb.ExternalASN }), []string{"10.0.0.1/32"}, []string{"10.0.0.1/32"}, nil, ours4},
		{"dynamic internal ASN", v4(ourASN), peer(theirs4, func(p *lb.Peer) { p.PeerASN, p.Dynamic = 0, lb.InternalASN }), []string{"10.0.0.1/32"}, []string{"10.0.0.1/32"}, nil, ours4},
		{"local ASN", bgpConfig(theirASN, "neighbor 192.0.2.1 remote-as 65010", "4 neighbor 192.0.2.1 activate"),
			peer(theirs4, func(p *lb.Peer) { p.LocalASN = 65010 }), []string{"10.0.0.1/32"}, []string{"10.0.0.1/32"}, nil, ours4},
		{"ASN of four octets", bgpConfig(4200000001, "neighbor 192.0.2.1 remote-as 4200000000", "4 neighbor 192.0.2.1 activate"),
			peer(theirs4, func(p *lb.Peer) { p.MyASN, p.PeerASN = 4200000000, 4200000001 }), []string{"10.0.0.1/32"}, []string{"10.0.0.1/32"}, nil, ours4},
		{"source address", bgpConfig(theirASN, "neighbor 192.0.2.11 remote-as 64512", "4 neighbor 192.0.2.11 activate"),
			peer(theirs4, func(p *lb.Peer) { p.Source = netip.MustParseAddr("192.0.2.11") }), []string{"10.0.0.1/32"}, []string{"10.0.0.1/32"}, nil, "192.0.2.11"},
		{"bound to a device", v4(theirASN), peer(theirs4, func(p *lb.Peer) { p.VRF = "eth0" }), []string{"10.0.0.1/32"}, []string{"10.0.0.1/32"}, nil, ours4},
		{"short timers", v4(theirASN), peer(theirs4, func(p *lb.Peer) { p.HoldTime, p.KeepaliveTime, p.ConnectTime = 3*time.Second, time.Second, time.Second }),
			[]string{"10.0.0.1/32"}, []string{"10.0.0.1/32"}, nil, ours4},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s, f, sp := pair(t, tc.config)
			if tc.peer.Source.IsValid() {
				s.in("s", "ip", "addr", "add", tc.peer.Source.String()+"/24", "dev", "eth0")
			}
			if err := sp.route(with(tc.peer, tc.routes...)); err != "" {
				t.Fatal(err)
			}
			t.Logf("established after %s", up(t, sp, 8*time.Second).Round(time.Millisecond))
			f.has("ipv4", 3*time.Second, tc.v4...)
			f.has("ipv6", 3*time.Second, tc.v6...)
			for _, family := range []string{"ipv4", "ipv6"} {
				for p, paths := range f.routes(family) {
					path := fmt.Sprint(tc.peer.LocalAS())
					if tc.peer.Internal() {
						path = ""
					}
					hop := tc.hop
					if family == "ipv6" {
						hop = ours6
					}
					if len(paths) != 1 || paths[0].Path != path || !slices.ContainsFunc(paths[0].Nexthops, func(h frr.Nexthop) bool { return h.IP == hop }) {
						t.Errorf("%s: %+v, want path %q and next hop %s", p, paths, path, hop)
					}
				}
			}
			st := sp.state("router")
			asn := tc.peer.PeerASN
			if asn == 0 {
				asn = map[bool]uint32{true: ourASN, false: theirASN}[tc.peer.Internal()]
			}
			hold := tc.peer.HoldTime
			if hold == 0 {
				hold = lb.DefaultHoldTime
			}
			if st.ASN != asn || st.RouterID.String() != theirs4 || st.HoldTime != hold || st.Announced != len(tc.routes) || st.Pending != 0 || st.Ups != 1 {
				t.Errorf("observed %+v", st)
			}
			// What is no longer wanted goes, and the session stays.
			sp.route(with(tc.peer))
			f.has("ipv4", 3*time.Second)
			f.has("ipv6", 3*time.Second)
			if n := sp.state("router").Ups; n != 1 {
				t.Errorf("%d sessions", n)
			}
		})
	}
}
