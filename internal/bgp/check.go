// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package bgp

import (
	"fmt"
	"time"

	"github.com/clarion-lb/clarion/internal/lb"
)

// maxPassword is what a TCP MD5 key may have (TCP_MD5SIG_MAXKEYLEN); a longer one would be cut.
const maxPassword = 80

// Check says what is wrong with a peer, "" for nothing. Whoever compiles a BGPPeer should reject
// it with this text; a Router does too.
func Check(p lb.Peer) string {
	for _, c := range []struct {
		wrong bool
		text  string
	}{
		{p.Name == "", "peer has no name"},
		{p.MyASN == 0, "missing local ASN"},
		{p.PeerASN == 0 && p.Dynamic == lb.NotDynamic, "missing peer ASN and dynamicASN"},
		{p.PeerASN != 0 && p.Dynamic != lb.NotDynamic, "both peer ASN and dynamicASN specified"},
		{p.Dynamic != lb.NotDynamic && p.Dynamic != lb.InternalASN && p.Dynamic != lb.ExternalASN, fmt.Sprintf("invalid dynamicASN %q", string(p.Dynamic))},
		{!p.Address.IsValid() && p.Interface == "", "peer has no address or interface specified"},
		{p.Address.IsValid() && p.Interface != "", "peer has both address and interface specified"},
		{p.Address.IsValid() && (p.Address.IsUnspecified() || p.Address.IsMulticast()), fmt.Sprintf("peer address %s is no host", p.Address)},
		{p.Address.IsLinkLocalUnicast() && p.Address.Is6(), "a link-local peer address needs its link: use interface instead"},
		{p.Source.IsValid() && p.Unnumbered(), "an unnumbered peer has no source address"},
		{p.Source.IsValid() && p.Address.IsValid() && lb.FamilyOf(p.Source) != lb.FamilyOf(p.Address), "source address and peer address are of different families"},
		{p.Passive() && p.Unnumbered(), "a passive session needs the address of the peer"},
		{p.Passive() && p.ListenPort < lb.LowestListenPort, fmt.Sprintf("listen port %d is below %d", p.ListenPort, lb.LowestListenPort)},
		{p.RouterID.IsValid() && (!p.RouterID.Is4() || p.RouterID.IsUnspecified()), fmt.Sprintf("router ID %s is no IPv4 address", p.RouterID)},
		{p.MultiHop && p.Internal(), "invalid ebgp-multihop parameter set for an ibgp peer"},
		{p.HoldTime != 0 && p.HoldTime < 3*time.Second, fmt.Sprintf("hold time %s is shorter than 3s", p.HoldTime)},
		{p.HoldTime > 65535*time.Second, fmt.Sprintf("hold time %s is longer than 65535s", p.HoldTime)},
		{p.KeepaliveTime < 0 || p.KeepaliveTime > holdTime(p), fmt.Sprintf("keepalive time %s must not exceed the hold time %s", p.KeepaliveTime, holdTime(p))},
		{p.ConnectTime < 0 || p.ConnectTime > 65535*time.Second, fmt.Sprintf("connect time %s is not within 1s and 65535s", p.ConnectTime)},
		{len(p.Password) > maxPassword, fmt.Sprintf("password is longer than the %d bytes of TCP MD5", maxPassword)},
		{p.BFD != nil && p.BFD.EchoMode && p.MultiHop, "BFD echo mode does not work across hops"},
	} {
		if c.wrong {
			return c.text
		}
	}
	return ""
}

func holdTime(p lb.Peer) time.Duration {
	if p.HoldTime == 0 {
		return lb.DefaultHoldTime
	}
	return p.HoldTime
}
