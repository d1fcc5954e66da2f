// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
	"time"

	api "github.com/osrg/gobgp/v3/api"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/clarion-lb/clarion/internal/lb"
)

// defaultConnect is how long to wait between attempts to connect, and how long one may take. The
// engine's own default of two minutes lets an attempt to a host that is away outlive its return.
const defaultConnect = 5 * time.Second

// maxHops is what the other BGP speakers allow for a multi-hop session.
const maxHops = 255

// deferral is how long a restarting speaker waits for the peer's End-of-RIB before it sends its
// own routes (RFC 4724 4.1). We choose no paths, so nothing is gained by waiting.
const deferral = 1

func families() []*api.Family {
	return []*api.Family{{Afi: api.Family_AFI_IP, Safi: api.Family_SAFI_UNICAST}, {Afi: api.Family_AFI_IP6, Safi: api.Family_SAFI_UNICAST}}
}

// familyOf returns the engine's name for a family.
func familyOf(f lb.Family) *api.Family {
	if f == lb.IPv6 {
		return families()[1]
	}
	return families()[0]
}

// peerOf builds the engine's configuration of a peer that lives at an address. restarting marks the
// first session after a start, in which a peer that kept our routes may go on using them.
func peerOf(p lb.Peer, address netip.Addr, restarting bool) *api.Peer {
	out := &api.Peer{
		Conf: &api.PeerConf{
			NeighborAddress: address.WithZone("").String(),
			PeerAsn:         p.PeerASN, LocalAsn: p.LocalAS(), AuthPassword: string(p.Password),
		},
		Timers:    &api.Timers{Config: timersOf(p)},
		Transport: &api.Transport{RemotePort: uint32(p.Port), BindInterface: p.VRF, PassiveMode: p.Passive()},
	}
	switch p.Dynamic {
	case lb.InternalASN:
		out.Conf.PeerAsn = p.LocalAS()
	case lb.ExternalASN:
		out.Conf.PeerAsn = 0 // any; the slot rejects our own
	}
	if p.Port == 0 {
		out.Transport.RemotePort = lb.DefaultBGPPort
	}
	if p.Unnumbered() {
		out.Transport.BindInterface = p.Interface
	}
	if p.Source.IsValid() {
		out.Transport.LocalAddress = p.Source.String()
	}
	if p.MultiHop {
		out.EbgpMultihop = &api.EbgpMultihop{Enabled: true, MultihopTtl: maxHops}
	}
	if p.GracefulRestart {
		out.GracefulRestart = &api.GracefulRestart{
			Enabled: true, RestartTime: uint32(lb.DefaultRestartTime / time.Second), DeferralTime: deferral, LocalRestarting: restarting,
		}
	}
	for _, f := range []lb.Family{lb.IPv4, lb.IPv6} {
		if p.Carries(f) {
			out.AfiSafis = append(out.AfiSafis, &api.AfiSafi{
				Config:            &api.AfiSafiConfig{Family: familyOf(f), Enabled: true},
				MpGracefulRestart: &api.MpGracefulRestart{Config: &api.MpGracefulRestartConfig{Enabled: p.GracefulRestart}},
			})
		}
	}
	return out
}

func timersOf(p lb.Peer) *api.TimersConfig {
	hold := p.HoldTime
	if hold == 0 {
		hold = lb.DefaultHoldTime
	}
	keepalive := p.KeepaliveTime
	if keepalive == 0 {
		keepalive = hold / 3
	}
	connect := p.ConnectTime
	if connect == 0 {
		connect = defaultConnect
	}
	return &api.TimersConfig{HoldTime: seconds(hold), KeepaliveInterval: seconds(keepalive), ConnectRetry: seconds(connect)}
}

// seconds rounds up to whole seconds, at least one.
func seconds(d time.Duration) uint64 {
	return max(1, uint64((d+time.Second-1)/time.Second))
}

// pathOf builds the engine's form of a route.
func pathOf(localAS uint32, r lb.Route, nh netip.Addr) (*api.Path, error) {
	family := familyOf(lb.FamilyOf(r.Prefix.Addr()))
	nlri, err := anypb.New(&api.IPAddressPrefix{Prefix: r.Prefix.Addr().String(), PrefixLen: uint32(r.Prefix.Bits())})
	if err != nil {
		return nil, fmt.Errorf("encode prefix %s: %w", r.Prefix, err)
	}
	out := &api.Path{Family: family, Nlri: nlri}
	attrs := []proto.Message{&api.OriginAttribute{Origin: 0}}
	if r.Prefix.Addr().Is4() && nh.Is4() {
		attrs = append(attrs, &api.NextHopAttribute{NextHop: nh.String()})
	} else {
		attrs = append(attrs, &api.MpReachNLRIAttribute{Family: family, NextHops: []string{nh.WithZone("").String()}, Nlris: []*anypb.Any{nlri}})
	}
	attrs = append(attrs, attributesOf(localAS, r)...)
	for _, a := range attrs {
		any, err := anypb.New(a)
		if err != nil {
			return nil, fmt.Errorf("encode attribute of %s: %w", r.Prefix, err)
		}
		out.Pattrs = append(out.Pattrs, any)
	}
	return out, nil
}

// attributesOf returns the optional attributes of a route.
func attributesOf(localAS uint32, r lb.Route) []proto.Message {
	var attrs []proto.Message
	if r.Prepend > 0 {
		segment := &api.AsSegment{Type: api.AsSegment_AS_SEQUENCE}
		for range r.Prepend {
			segment.Numbers = append(segment.Numbers, localAS)
		}
		attrs = append(attrs, &api.AsPathAttribute{Segments: []*api.AsSegment{segment}})
	}
	if r.MED != 0 {
		attrs = append(attrs, &api.MultiExitDiscAttribute{Med: r.MED})
	}
	if r.LocalPref != 0 {
		attrs = append(attrs, &api.LocalPrefAttribute{LocalPref: r.LocalPref})
	}
	standard, large, extended := &api.CommunitiesAttribute{}, &api.LargeCommunitiesAttribute{}, &api.ExtendedCommunitiesAttribute{}
	for _, c := range r.Communities {
		switch c.Kind {
		case lb.StandardCommunity:
			standard.Communities = append(standard.Communities, c.A<<16|c.B)
		case lb.LargeCommunity:
			large.Communities = append(large.Communities, &api.LargeCommunity{GlobalAdmin: c.A, LocalData1: c.B, LocalData2: c.C})
		case lb.ExtendedCommunity:
			extended.Communities = append(extended.Communities, extendedOf(c.A, c.B))
		}
	}
	if r.Bandwidth != 0 {
		asn := localAS
		if asn > math.MaxUint16 {
			asn = placeholderASN
		}
		// Link bandwidth: non-transitive, subtype 4, AS number and bytes per second as a float.
		extended.Communities = append(extended.Communities, extendedOf(0x4004<<16|asn, math.Float32bits(float32(r.Bandwidth))))
	}
	if len(standard.Communities) > 0 {
		attrs = append(attrs, standard)
	}
	if len(large.Communities) > 0 {
		attrs = append(attrs, large)
	}
	if len(extended.Communities) > 0 {
		attrs = append(attrs, extended)
	}
	return attrs
}

// extendedOf packs the eight bytes of an extended community as they are.
func extendedOf(hi, lo uint32) *anypb.Any {
	b := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, hi), lo)
	any, err := anypb.New(&api.UnknownExtended{Type: uint32(b[0]), Value: b[1:]})
	if err != nil {
		panic(err) // a message of two scalar fields always encodes
	}
	return any
}
