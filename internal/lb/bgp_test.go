// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package lb

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

func TestParseCommunity(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want Community
		err  string
	}{
		{in: "65535:65281", want: Community{A: 65535, B: 65281}},
		{in: "0:0", want: Community{}},
		{in: "large:4200000000:1:2", want: Community{Kind: LargeCommunity, A: 4200000000, B: 1, C: 2}},
		{in: "rt:64512:70000", want: Community{Kind: ExtendedCommunity, A: 0x0002fc00, B: 70000}},
		{in: "soo:70000:7", want: Community{Kind: ExtendedCommunity, A: 0x02030001, B: 0x11700007}},
		{in: "ext:0x4004fde84b189680", want: Community{Kind: ExtendedCommunity, A: 0x4004fde8, B: 0x4b189680}},
		{in: "65536:1", err: `"65536" is no number of 16 bits`},
		{in: "1:2:3", err: "has 3 numbers, wants 2"},
		{in: "large:1:2", err: "has 2 numbers, wants 3"},
		{in: "rt:70000:70000", err: "exceeds 16 bits"},
		{in: "ext:0x12", err: "16 hexadecimal digits"},
		{in: "no-export", err: "has 1 numbers"},
		{in: "", err: "has 1 numbers"},
		{in: "-1:2", err: "is no number"},
	} {
		got, err := ParseCommunity(tc.in)
		if tc.err != "" {
			if err == nil || !strings.Contains(err.Error(), tc.err) {
				t.Errorf("ParseCommunity(%q) error %v, want %q", tc.in, err, tc.err)
			}
			continue
		}
		if err != nil || got != tc.want {
			t.Errorf("ParseCommunity(%q) = %+v, %v; want %+v", tc.in, got, err, tc.want)
		}
		if again, err := ParseCommunity(got.String()); err != nil || again != got {
			t.Errorf("%q does not read back its own text %q: %+v, %v", tc.in, got, again, err)
		}
	}
}

func TestSecretNeverPrints(t *testing.T) {
	p := Peer{Name: "tor", Password: "hunter2"}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(format, p); strings.Contains(text, "hunter2") {
			t.Errorf("%s shows the password: %s", format, text)
		}
	}
	if string(p.Password) != "hunter2" || Secret("").String() != "" {
		t.Error("a conversion must give the text, and no secret no text")
	}
}

func TestPeerSession(t *testing.T) {
	v4 := netip.MustParseAddr("192.0.2.1")
	for _, tc := range []struct {
		name     string
		peer     Peer
		internal bool
		v4, v6   bool
	}{
		{"external", Peer{MyASN: 1, PeerASN: 2, Address: v4}, false, true, false},
		{"internal", Peer{MyASN: 1, PeerASN: 1, Address: v4}, true, true, false},
		{"local ASN makes it external", Peer{MyASN: 1, LocalASN: 3, PeerASN: 1, Address: v4}, false, true, false},
		{"local ASN makes it internal", Peer{MyASN: 1, LocalASN: 3, PeerASN: 3, Address: v4}, true, true, false},
		{"dynamic internal", Peer{MyASN: 1, Dynamic: InternalASN, Address: v4}, true, true, false},
		{"dynamic external", Peer{MyASN: 1, Dynamic: ExternalASN, Address: v4}, false, true, false},
		{"IPv6", Peer{MyASN: 1, PeerASN: 2, Address: netip.MustParseAddr("fd00::1")}, false, false, true},
		{"dual stack", Peer{MyASN: 1, PeerASN: 2, Address: v4, DualStack: true}, false, true, true},
		{"unnumbered", Peer{MyASN: 1, PeerASN: 2, Interface: "eth0"}, false, true, true},
	} {
		if tc.peer.Internal() != tc.internal || tc.peer.Carries(IPv4) != tc.v4 || tc.peer.Carries(IPv6) != tc.v6 {
			t.Errorf("%s: internal %v, IPv4 %v, IPv6 %v", tc.name, tc.peer.Internal(), tc.peer.Carries(IPv4), tc.peer.Carries(IPv6))
		}
	}
}

func TestAdvertisementSelects(t *testing.T) {
	node := &Node{Name: "n1", Labels: map[string]string{"rack": "a"}}
	rackA, rackB := Selector{{Key: "rack", Values: []string{"a"}}}, Selector{{Key: "rack", Values: []string{"b"}}}
	for _, tc := range []struct {
		name string
		ad   BGPAdvertisement
		want bool
	}{
		{"everything", BGPAdvertisement{Pools: []string{"p"}}, true},
		{"another pool", BGPAdvertisement{Pools: []string{"q"}}, false},
		{"no pool", BGPAdvertisement{}, false},
		{"this node", BGPAdvertisement{Pools: []string{"p"}, Nodes: Selectors{rackB, rackA}}, true},
		{"another node", BGPAdvertisement{Pools: []string{"p"}, Nodes: Selectors{rackB}}, false},
		{"this peer", BGPAdvertisement{Pools: []string{"p"}, Peers: []string{"sw", "tor"}}, true},
		{"another peer", BGPAdvertisement{Pools: []string{"p"}, Peers: []string{"sw"}}, false},
		{"this Service", BGPAdvertisement{Pools: []string{"p"}, Services: Selectors{{{Key: "app", Op: Exists}}}}, true},
		{"another Service", BGPAdvertisement{Pools: []string{"p"}, Services: Selectors{{{Key: "app", Op: DoesNotExist}}}}, false},
	} {
		got := tc.ad.ToPeer(node, "tor") && tc.ad.OfService("p", map[string]string{"app": "web"})
		if got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}

func TestPrefixFor(t *testing.T) {
	ad := BGPAdvertisement{AggregationLength: 24, AggregationLengthV6: 64}
	whole := BGPAdvertisement{AggregationLength: 32, AggregationLengthV6: 128}
	unset := BGPAdvertisement{}
	for _, tc := range []struct {
		ad         BGPAdvertisement
		addr, want string
	}{
		{ad, "192.0.2.77", "192.0.2.0/24"},
		{ad, "::ffff:192.0.2.77", "192.0.2.0/24"},
		{ad, "2001:db8::1:2", "2001:db8::/64"},
		{whole, "192.0.2.77", "192.0.2.77/32"},
		{whole, "2001:db8::1", "2001:db8::1/128"},
		{unset, "192.0.2.77", "192.0.2.77/32"},
	} {
		if got := tc.ad.PrefixFor(netip.MustParseAddr(tc.addr)); got.String() != tc.want {
			t.Errorf("%s: %s, want %s", tc.addr, got, tc.want)
		}
	}
}

// What is read is written so that it means the same when it is read again.
func FuzzParseCommunity(f *testing.F) {
	for _, s := range []string{"65535:65281", "large:4200000000:1:2", "rt:64512:70000", "soo:70000:7", "ext:0x4004fde84b189680", "large:1:2", "no-export", ":", "+1:2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseCommunity(s)
		if err != nil {
			if c != (Community{}) {
				t.Fatalf("%q gives %v with the error %v", s, c, err)
			}
			return
		}
		if again, err := ParseCommunity(c.String()); err != nil || again != c {
			t.Fatalf("%q is read as %v, which is read as %v, %v", s, c, again, err)
		}
		if c.Kind == 0 && (c.A > 0xffff || c.B > 0xffff || c.C != 0) {
			t.Fatalf("%q gives numbers of more than 16 bits: %v", s, c)
		}
	})
}
