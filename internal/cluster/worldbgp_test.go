// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarion-lb/clarion/api/v1beta1"
	"github.com/clarion-lb/clarion/api/v1beta2"
)

// password is in every object that has one, so that it can be looked for where it must not be.
const password = "hunter2"

// peer is a peer as it should be with at most two fields that may be wrong.
func (w *world) peer(p *v1beta2.BGPPeer) {
	s := &p.Spec
	s.MyASN, s.ASN, s.Address = 64500, pick[uint32](w, 64500, 64501), pick(w, "192.0.2.1", "192.0.2.2", "2001:db8::1")
	s.NodeSelectors = pick(w, nil, w.selectors())
	for range w.IntN(3) {
		pick(w,
			func() { s.MyASN = 0 },
			func() { s.ASN = 0 },
			func() { s.LocalASN = 64501 },
			func() { s.DynamicASN = pick(w, v1beta2.InternalASN, v1beta2.ExternalASN, "other") },
			func() { s.ASN, s.DynamicASN = 0, pick(w, v1beta2.InternalASN, v1beta2.ExternalASN, "other") },
			func() { s.Address = pick(w, "", "fe80::1", "x", "0.0.0.0", "ff02::1", "::ffff:192.0.2.1") },
			func() { s.Interface = "eth0" },
			func() { s.Address, s.Interface = "", "eth0" },
			func() { s.SrcAddress = pick(w, "192.0.2.9", "2001:db8::9", "x") },
			func() { s.Port = 1179 },
			func() { s.ListenPort = pick[uint16](w, 1790, 1791, 179) },
			func() { s.HoldTime = w.duration() },
			func() { s.KeepaliveTime = w.duration() },
			func() { s.ConnectTime = w.duration() },
			func() { s.RouterID = pick(w, "10.0.0.1", "2001:db8::1", "0.0.0.0") },
			func() { s.Password = pick(w, password, strings.Repeat(password, 12)) },
			func() { s.PasswordSecret.Name = pick(w, "n0", "n1") },
			func() { s.BFDProfile = pick(w, "n0", "n1") },
			func() { s.EBGPMultiHop = true },
		)()
	}
}

func (w *world) duration() *metav1.Duration {
	return pick(w, nil, &metav1.Duration{Duration: pick(w,
		0, time.Millisecond, time.Second, 3*time.Second, 10500*time.Millisecond, 90*time.Second, 100*time.Second, 19*time.Hour, -time.Second)})
}

func (w *world) bgp(a *v1beta1.BGPAdvertisement) {
	a.Spec = v1beta1.BGPAdvertisementSpec{
		AggregationLength:      pick(w, nil, nil, new(int32(32)), new(int32(29)), new(int32(24)), new(int32(0)), new(int32(99))),
		AggregationLengthV6:    pick(w, nil, nil, new(int32(128)), new(int32(126)), new(int32(129))),
		LocalPref:              pick[uint32](w, 0, 100, 200),
		Communities:            pick(w, nil, nil, []string{"65000:1"}, []string{"alias", "65000:1"}, []string{"x"}),
		IPAddressPools:         pick(w, nil, nil, []string{"n1", "n2"}),
		IPAddressPoolSelectors: pick(w, nil, nil, w.selectors()),
		NodeSelectors:          w.selectors(),
		Peers:                  pick(w, nil, []string{"n1"}, []string{"n2", "n2"}),
		ServiceSelectors:       pick(w, nil, nil, w.selectors()),
	}
}

func (w *world) profile(p *v1beta1.BFDProfile) {
	p.Spec.ReceiveInterval = pick(w, nil, new(uint32(9)), new(uint32(50)))
	p.Spec.DetectMultiplier = pick(w, nil, new(uint32(3)), new(uint32(256)))
	p.Spec.EchoMode = pick(w, nil, new(true), new(false))
}

func (w *world) community(c *v1beta1.Community) {
	c.Spec.Communities = []v1beta1.CommunityAlias{{Name: pick(w, "alias", "other", ""), Value: pick(w, "65000:2", "65000:3", "x")}}
}

func (w *world) secret(s *corev1.Secret) {
	s.Type = pick(w, corev1.SecretTypeBasicAuth, corev1.SecretTypeBasicAuth, corev1.SecretTypeOpaque)
	s.Data = pick(w, nil, map[string][]byte{"password": []byte(password)}, map[string][]byte{"password": []byte(strings.Repeat(password, 12))})
}
