// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package bgp

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/lb"
)

func TestCheck(t *testing.T) {
	v4, v6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	good := lb.Peer{Name: "p", MyASN: 1, PeerASN: 2, Address: v4, Port: 179}
	if got := Check(good); got != "" {
		t.Fatalf("good peer: %s", got)
	}
	for want, edit := range map[string]func(*lb.Peer){
		"no name":                     func(p *lb.Peer) { p.Name = "" },
		"missing local ASN":           func(p *lb.Peer) { p.MyASN = 0 },
		"missing peer ASN":            func(p *lb.Peer) { p.PeerASN = 0 },
		"both peer ASN":               func(p *lb.Peer) { p.Dynamic = lb.ExternalASN },
		"invalid dynamicASN":          func(p *lb.Peer) { p.PeerASN, p.Dynamic = 0, "any" },
		"no address or interface":     func(p *lb.Peer) { p.Address = netip.Addr{} },
		"both address and interface":  func(p *lb.Peer) { p.Interface = "eth0" },
		"is no host":                  func(p *lb.Peer) { p.Address = netip.MustParseAddr("0.0.0.0") },
		"needs its link":              func(p *lb.Peer) { p.Address = netip.MustParseAddr("fe80::1") },
		"unnumbered peer has no sour": func(p *lb.Peer) { p.Address, p.Interface, p.Source = netip.Addr{}, "eth0", v6 },
		"different families":          func(p *lb.Peer) { p.Source = v6 },
		"is no IPv4 address":          func(p *lb.Peer) { p.RouterID = v6 },
		"ebgp-multihop":               func(p *lb.Peer) { p.PeerASN, p.MultiHop = 1, true },
		"shorter than 3s":             func(p *lb.Peer) { p.HoldTime = 2 * time.Second },
		"longer than 65535s":          func(p *lb.Peer) { p.HoldTime = 24 * time.Hour },
		"must not exceed":             func(p *lb.Peer) { p.KeepaliveTime = 91 * time.Second },
		"connect time":                func(p *lb.Peer) { p.ConnectTime = -time.Second },
		"80 bytes":                    func(p *lb.Peer) { p.Password = lb.Secret(strings.Repeat("x", 81)) },
		"needs the address of the p":  func(p *lb.Peer) { p.Address, p.Interface, p.ListenPort = netip.Addr{}, "eth0", 1790 },
		"below 1024":                  func(p *lb.Peer) { p.ListenPort = 179 },
		"echo mode":                   func(p *lb.Peer) { p.MultiHop, p.BFD = true, &lb.BFDProfile{EchoMode: true} },
	} {
		p := good
		edit(&p)
		if got := Check(p); !strings.Contains(got, want) {
			t.Errorf("%+v: %q, want %q", p, got, want)
		}
	}
}
