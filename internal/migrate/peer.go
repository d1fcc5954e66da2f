// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package migrate

import (
	"net/netip"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarion-lb/clarion/api/v1beta2"
)

// Limits of the protocols, and what MetalLB did without being told.
const (
	oldHoldTime = 90 * time.Second
	minHoldTime = 3 * time.Second
	maxHoldTime = 65535 * time.Second
	maxPassword = 80 // bytes of a TCP MD5 key
)

// peer translates one. It says false if something about it was rejected.
func (t *translation) peer(p *peer) (v1beta2.BGPPeerSpec, bool) {
	before := len(t.out.list)
	spec := v1beta2.BGPPeerSpec{
		MyASN: p.myASN, ASN: p.peerASN, Address: p.address, SrcAddress: p.source, Port: uint16(p.port),
		RouterID: p.routerID, NodeSelectors: p.selectors, Password: p.password, BFDProfile: p.profileName,
		EBGPMultiHop: p.multiHop,
	}
	spec.HoldTime, spec.KeepaliveTime = timers(p)
	checkAddresses(p)
	if p.multiHop && p.myASN == p.peerASN {
		p.object.reject("ebgp-multihop", "is for peers of another AS; remove it, or correct the AS numbers")
	}
	if p.profileName != "" && !t.hasProfile(p.profileName) {
		p.object.reject("bfd-profile", "there is no profile %q; correct it or enter it in bfd-profiles", p.profileName)
	}
	switch {
	case len(p.password) > maxPassword:
		p.object.reject("password", "has %d bytes and TCP MD5 signatures take %d; choose a shorter one", len(p.password), maxPassword)
	case p.password != "":
		p.object.note("password", "is in clear text in the BGPPeer, too; a Secret that passwordSecret names is the better place")
	}
	return spec, Complete(t.out.list[before:]) && p.address != "" && p.myASN != 0 && p.peerASN != 0
}

// timers returns hold and keepalive time. MetalLB's hold time was 90 s if nothing was said,
// also with a keepalive time, from which a BGPPeer without hold time would take it.
func timers(p *peer) (hold, keepalive *metav1.Duration) {
	effective := oldHoldTime
	switch {
	case p.hold == nil:
	case *p.hold == 0:
		p.object.note("hold-time", "0 is left out: a session without hold timer would outlive a dead peer, so %s are used", oldHoldTime)
	case *p.hold < minHoldTime || *p.hold > maxHoldTime:
		p.object.reject("hold-time", "%s is not from %s to %s; correct it", *p.hold, minHoldTime, maxHoldTime)
		return nil, nil
	default:
		effective = *p.hold
		hold = &metav1.Duration{Duration: effective}
	}
	if p.keepalive == nil || *p.keepalive == 0 {
		return hold, nil
	}
	if *p.keepalive > effective {
		p.object.reject("keepalive-time", "%s is longer than the hold time of %s; a third of that is usual", *p.keepalive, effective)
	}
	return &metav1.Duration{Duration: effective}, &metav1.Duration{Duration: *p.keepalive}
}

func checkAddresses(p *peer) {
	addr, err := netip.ParseAddr(p.address)
	if err != nil {
		return // said already
	}
	switch {
	case addr.IsUnspecified() || addr.IsMulticast():
		p.object.reject("peer-address", "%s is not the address of a host; write that of the router", addr)
	case addr.Is6() && addr.IsLinkLocalUnicast():
		p.object.reject("peer-address", "%s is link-local, so it needs a link; write a BGPPeer with spec.interface", addr)
	}
	if source, err := netip.ParseAddr(p.source); err == nil && source.Is4() != addr.Is4() {
		p.object.reject("source-address", "%s and the address of the peer are of different families; write one of the peer's family", source)
	}
	if id, err := netip.ParseAddr(p.routerID); err == nil && id.IsUnspecified() {
		p.object.reject("router-id", "%s is no router ID; write another, or remove it", id)
	}
}
