// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"net/netip"
	"reflect"
	"time"

	"github.com/clarion-lb/clarion/api/v1beta2"
	"github.com/clarion-lb/clarion/internal/lb"
)

// Limits of the protocols.
const (
	minHoldTime = 3 * time.Second     // RFC 4271, section 4.2
	longestTime = 65535 * time.Second // 16 bits
	maxPassword = 80                  // bytes of a TCP MD5 key
)

// peer is one BGPPeer compiled as far as it goes without looking at other objects.
type peer struct {
	key      lb.Key
	created  time.Time
	peer     lb.Peer // without BFD, and without the password of a Secret
	secret   string  // name of the Secret with the password, or ""
	profile  string  // name of the BFDProfile, or ""
	rejected bool
	problems []lb.Problem
}

func equalPeers(a, b *peer) bool { return reflect.DeepEqual(a, b) }

func compilePeer(in *v1beta2.BGPPeer) peer {
	r := newReport("BGPPeer", in)
	spec := &in.Spec
	out := peer{
		key: r.key, created: in.CreationTimestamp.Time,
		secret: spec.PasswordSecret.Name, profile: spec.BFDProfile,
		peer: lb.Peer{
			Name:            in.Name,
			Created:         in.CreationTimestamp.Time,
			Nodes:           compileSelectors(r, "spec.nodeSelectors", spec.NodeSelectors),
			MyASN:           spec.MyASN,
			LocalASN:        spec.LocalASN,
			PeerASN:         spec.ASN,
			Dynamic:         lb.DynamicASN(spec.DynamicASN),
			Address:         peerAddr(r, "spec.peerAddress", spec.Address),
			Interface:       spec.Interface,
			Source:          peerAddr(r, "spec.sourceAddress", spec.SrcAddress),
			Port:            spec.Port,
			ListenPort:      spec.ListenPort,
			VRF:             spec.VRFName,
			RouterID:        peerAddr(r, "spec.routerID", spec.RouterID),
			Password:        lb.Secret(spec.Password),
			GracefulRestart: spec.EnableGracefulRestart,
			MultiHop:        spec.EBGPMultiHop,
			DualStack:       spec.DualStackAddressFamily,
		},
	}
	if out.peer.Port == 0 {
		out.peer.Port = lb.DefaultBGPPort
	}
	checkNumbers(r, &out.peer)
	checkAddresses(r, spec, &out.peer)
	checkListening(r, spec, &out.peer)
	compileTimers(r, spec, &out.peer)
	if spec.Password != "" && out.secret != "" {
		r.reject("spec.password", "password and passwordSecret exclude each other; remove one of them")
	}
	checkPassword(r, "spec.password", out.peer.Password)
	out.problems = r.problems
	for _, p := range r.problems {
		out.rejected = out.rejected || p.Ignored
	}
	return out
}

// peerAddr reads an optional address. One that cannot be read makes the peer useless.
func peerAddr(r *report, path, text string) netip.Addr {
	if text == "" {
		return netip.Addr{}
	}
	addr, err := parseAddr(text)
	if err != nil {
		r.reject(path, "%v; write an address such as 192.0.2.1", err)
	}
	return addr
}

func checkNumbers(r *report, p *lb.Peer) {
	if p.MyASN == 0 {
		r.reject("spec.myASN", "missing local ASN; set the AS number of this side")
	}
	switch p.Dynamic {
	case lb.NotDynamic:
		if p.PeerASN == 0 {
			r.reject("spec.peerASN", "missing peer ASN and dynamicASN; set one of them")
		}
	case lb.InternalASN, lb.ExternalASN:
		if p.PeerASN != 0 {
			r.reject("spec.dynamicASN", "both peer ASN and dynamicASN specified; remove one of them")
		}
	default:
		r.reject("spec.dynamicASN", "invalid dynamicASN %q; write internal or external", string(p.Dynamic))
	}
	if p.MultiHop && p.Internal() {
		r.reject("spec.ebgpMultiHop", "invalid ebgp-multihop parameter set for an ibgp peer; remove it, or correct the AS numbers")
	}
}

func checkAddresses(r *report, spec *v1beta2.BGPPeerSpec, p *lb.Peer) {
	switch {
	case spec.Address == "" && spec.Interface == "":
		r.reject("spec.peerAddress", "peer has no address or interface specified; set one of them")
	case spec.Address != "" && spec.Interface != "":
		r.reject("spec.interface", "peer has both address and interface specified; remove one of them")
	case p.Address.IsUnspecified() || p.Address.IsMulticast():
		r.reject("spec.peerAddress", "%s is not the address of a host; write that of the router", p.Address)
	case p.Address.Is6() && p.Address.IsLinkLocalUnicast():
		r.reject("spec.peerAddress", "%s is link-local; name the link in spec.interface instead", p.Address)
	}
	switch {
	case !p.Source.IsValid():
	case spec.Interface != "":
		r.reject("spec.sourceAddress", "a session on an interface uses its link-local address; remove sourceAddress")
	case p.Address.IsValid() && lb.FamilyOf(p.Source) != lb.FamilyOf(p.Address):
		r.reject("spec.sourceAddress", "%s and the address of the peer are of different families; write one of the peer's family", p.Source)
	}
	if p.RouterID.IsValid() && (!p.RouterID.Is4() || p.RouterID.IsUnspecified()) {
		r.reject("spec.routerID", "%s is no router ID; write it in the form of an IPv4 address", p.RouterID)
	}
}

// checkListening looks at what a passive session cannot have.
func checkListening(r *report, spec *v1beta2.BGPPeerSpec, p *lb.Peer) {
	if !p.Passive() {
		return
	}
	if p.ListenPort < lb.LowestListenPort {
		r.reject("spec.listenPort", "port %d would need the capability NET_BIND_SERVICE; choose one from %d on", p.ListenPort, lb.LowestListenPort)
	}
	if spec.Address == "" {
		r.reject("spec.listenPort", "who may connect is told by the address of the peer; set peerAddress or remove listenPort")
	}
	if p.Port != lb.DefaultBGPPort {
		r.reject("spec.peerPort", "has no meaning with listenPort, because the peer connects; remove one of them")
	}
	if spec.ConnectTime != nil {
		r.reject("spec.connectTime", "has no meaning with listenPort, because the peer connects; remove one of them")
	}
}

// compileTimers reads the times. MetalLB stores 0s for both timers in objects that were once
// written as v1beta1 without them, so 0s cannot be taken for a mistake that stops a session.
func compileTimers(r *report, spec *v1beta2.BGPPeerSpec, p *lb.Peer) {
	keepalive := duration(r, "spec.keepaliveTime", spec.KeepaliveTime)
	hold := duration(r, "spec.holdTime", spec.HoldTime).Truncate(time.Second)
	switch {
	case spec.HoldTime == nil && keepalive > 0:
		hold = min(max(3*keepalive, minHoldTime), longestTime).Truncate(time.Second)
	case spec.HoldTime != nil && spec.HoldTime.Duration <= 0:
		r.field("spec.holdTime", "a session without hold timer would outlive a dead peer, so %s is used; remove holdTime or set it", lb.DefaultHoldTime)
	case spec.HoldTime != nil && hold < minHoldTime:
		r.reject("spec.holdTime", "hold time %s is shorter than %s; make it longer", spec.HoldTime.Duration, minHoldTime)
	case hold > longestTime:
		r.reject("spec.holdTime", "hold time %s is longer than %s; make it shorter", hold, longestTime)
	}
	effective := hold
	if effective == 0 {
		effective = lb.DefaultHoldTime
	}
	if keepalive > effective {
		r.reject("spec.keepaliveTime", "keepalive time %s exceeds the hold time %s; a third of it is usual", keepalive, effective)
	}
	p.HoldTime, p.KeepaliveTime = hold, keepalive
	if spec.ConnectTime == nil {
		return
	}
	connect := spec.ConnectTime.Duration
	if connect < time.Second || connect > longestTime || connect%time.Second != 0 {
		r.reject("spec.connectTime", "connect time %s is not from 1s to 65535s in whole seconds; correct or remove it", connect)
		return
	}
	p.ConnectTime = connect
}

// checkPassword says nothing of the password but its length.
func checkPassword(r *report, path string, password lb.Secret) {
	if len(password) > maxPassword {
		r.reject(path, "the password has %d bytes and TCP MD5 signatures take %d; choose a shorter one", len(password), maxPassword)
	}
}
