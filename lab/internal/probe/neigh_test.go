// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bytes"
	"net/netip"
	"testing"
)

var (
	broadcast = []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	mac1      = []byte{2, 0, 0, 0, 0, 1}
	mac2      = []byte{2, 0, 0, 0, 0, 2}
)

func arp(to []byte, op byte, senderMAC []byte, sender, target string) []byte {
	s, t := netip.MustParseAddr(sender).As4(), netip.MustParseAddr(target).As4()
	return bytes.Join([][]byte{to, senderMAC, {8, 6, 0, 1, 8, 0, 6, 4, 0, op}, senderMAC, s[:], make([]byte, 6), t[:]}, nil)
}

func nd(kind, flags byte, target string, options ...byte) []byte {
	t := netip.MustParseAddr(target).As16()
	ip := make([]byte, 40)
	ip[6] = 58
	return bytes.Join([][]byte{broadcast, mac1, {0x86, 0xdd}, ip, {kind, 0, 0, 0, flags, 0, 0, 0}, t[:], options}, nil)
}

func TestParse(t *testing.T) {
	lladdr := append([]byte{2, 1}, mac2...)
	for _, tc := range []struct {
		name  string
		frame []byte
		want  Claim
		none  bool
	}{
		{"who has", arp(broadcast, 1, mac1, "10.0.0.1", "10.0.0.2"), Claim{Kind: ARPRequest, Addr: netip.MustParseAddr("10.0.0.2")}, false},
		{"is at", arp(mac2, 2, mac1, "10.0.0.1", "10.0.0.2"), Claim{Kind: ARPReply, Addr: netip.MustParseAddr("10.0.0.1"), MAC: "02:00:00:00:00:01"}, false},
		{"gratuitous request", arp(broadcast, 1, mac1, "10.0.0.9", "10.0.0.9"), Claim{Kind: GratuitousARP, Addr: netip.MustParseAddr("10.0.0.9"), MAC: "02:00:00:00:00:01"}, false},
		{"gratuitous reply", arp(broadcast, 2, mac1, "10.0.0.9", "10.0.0.9"), Claim{Kind: GratuitousARP, Addr: netip.MustParseAddr("10.0.0.9"), MAC: "02:00:00:00:00:01"}, false},
		{"reverse ARP", arp(broadcast, 3, mac1, "10.0.0.9", "10.0.0.8"), Claim{}, true},
		{"solicitation", nd(135, 0, "fd00::9"), Claim{Kind: Solicitation, Addr: netip.MustParseAddr("fd00::9")}, false},
		{"advertisement", nd(136, 0x60, "fd00::9", lladdr...), Claim{Kind: Advertisement, Addr: netip.MustParseAddr("fd00::9"), MAC: "02:00:00:00:00:02"}, false},
		{"unsolicited", nd(136, 0x20, "fd00::9", lladdr...), Claim{Kind: UnsolicitedNA, Addr: netip.MustParseAddr("fd00::9"), MAC: "02:00:00:00:00:02"}, false},
		{"option of length 0 ends the list", nd(136, 0x20, "fd00::9", 9, 0, 0, 0, 0, 0, 0, 0), Claim{Kind: UnsolicitedNA, Addr: netip.MustParseAddr("fd00::9")}, false},
		{"echo request", nd(128, 0, "fd00::9"), Claim{}, true},
		{"cut short", arp(broadcast, 1, mac1, "10.0.0.1", "10.0.0.2")[:30], Claim{}, true},
		{"empty", nil, Claim{}, true},
	} {
		got, ok := Parse(tc.frame)
		if ok == tc.none {
			t.Errorf("%s: ok = %v", tc.name, ok)
			continue
		}
		if ok && (got.Kind != tc.want.Kind || got.Addr != tc.want.Addr || got.MAC != tc.want.MAC) {
			t.Errorf("%s: %+v, want %+v", tc.name, got, tc.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(arp(broadcast, 2, mac1, "10.0.0.9", "10.0.0.9"))
	f.Add(nd(136, 0x20, "fd00::9", 2, 1, 2, 0, 0, 0, 0, 2))
	f.Fuzz(func(t *testing.T, frame []byte) {
		if c, ok := Parse(frame); ok && (c.Kind == "" || !c.Addr.IsValid()) {
			t.Errorf("accepted without kind or address: %+v", c)
		}
	})
}
