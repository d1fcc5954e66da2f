// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarion-lb/clarion/internal/cluster"
	"github.com/clarion-lb/clarion/internal/lb"
)

func stored(uid, version, ip string) *corev1.Service {
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{
		Namespace: "ns", Name: "web", UID: types.UID(uid), ResourceVersion: version,
	}, Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer}}
	if ip != "" {
		s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: ip}}
	}
	return s
}

func packed(uid, version, ip string) *cluster.Packed { return cluster.Pack(stored(uid, version, ip)) }

func ipOf(p *cluster.Packed) string {
	s := p.Unpack()
	if len(s.Status.LoadBalancer.Ingress) == 0 {
		return ""
	}
	return s.Status.LoadBalancer.Ingress[0].IP
}

func TestOverlayShowsAWriteUntilTheStoreDoes(t *testing.T) {
	key := lb.Key{Namespace: "ns", Name: "web"}
	for name, tc := range map[string]struct {
		prepare func(*overlay)
		store   *cluster.Packed
		ip      string
		version string // "" if it must differ from every stored one
	}{
		"nothing was written":               {func(*overlay) {}, packed("u", "5", ""), "", "5"},
		"the write is on its way":           {func(o *overlay) { o.begin(stored("u", "5", "192.0.2.1")) }, packed("u", "5", ""), "192.0.2.1", ""},
		"on its way, and others wrote":      {func(o *overlay) { o.begin(stored("u", "5", "192.0.2.1")) }, packed("u", "6", ""), "192.0.2.1", ""},
		"landed, and the store is old":      {land("u", "9"), packed("u", "8", ""), "192.0.2.1", "9"},
		"landed, and the store is new":      {land("u", "9"), packed("u", "9", "192.0.2.1"), "192.0.2.1", "9"},
		"landed, and changed by others":     {land("u", "9"), packed("u", "10", ""), "", "10"},
		"the object was made anew":          {land("u", "9"), packed("v", "12", ""), "", "12"},
		"on its way to an object that went": {func(o *overlay) { o.begin(stored("u", "5", "192.0.2.1")) }, packed("v", "12", ""), "", "12"},
		"the write was refused": {func(o *overlay) {
			o.begin(stored("u", "5", "192.0.2.1"))
			o.drop(key)
		}, packed("u", "5", ""), "", "5"},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOverlay()
			tc.prepare(o)
			got := o.apply([]*cluster.Packed{tc.store})[0]
			if ipOf(got) != tc.ip {
				t.Errorf("address %q, want %q", ipOf(got), tc.ip)
			}
			if tc.version == "" && got.GetResourceVersion() == tc.store.GetResourceVersion() {
				t.Error("has the resource version of a stored object: memoized results would be taken for it")
			}
			if tc.version != "" && got.GetResourceVersion() != tc.version {
				t.Errorf("resource version %s, want %s", got.GetResourceVersion(), tc.version)
			}
		})
	}
}

// land begins a write of 192.0.2.1 and lets the server answer with a version.
func land(uid, version string) func(*overlay) {
	return func(o *overlay) {
		o.begin(stored(uid, "5", "192.0.2.1"))
		o.landed(stored(uid, version, "192.0.2.1"))
	}
}

func TestOverlayForgetsWhatTheStoreShows(t *testing.T) {
	o := newOverlay()
	land("u", "9")(o)
	o.apply([]*cluster.Packed{packed("u", "9", "192.0.2.1")})
	if len(o.entries) != 0 || o.flying != 0 {
		t.Errorf("%d entries and %d writes on their way are left", len(o.entries), o.flying)
	}
	o.begin(stored("u", "9", "192.0.2.2"))
	o.apply(nil) // the object is not listed, but the write has no answer yet
	if !o.inFlight(lb.Key{Namespace: "ns", Name: "web"}) {
		t.Error("a write without an answer was forgotten")
	}
}

func TestOverlayTellsTwoWritesApart(t *testing.T) {
	o := newOverlay()
	o.begin(stored("u", "5", "192.0.2.1"))
	first := o.apply([]*cluster.Packed{packed("u", "5", "")})[0].GetResourceVersion()
	o.drop(lb.Key{Namespace: "ns", Name: "web"})
	o.begin(stored("u", "5", "192.0.2.2"))
	if second := o.apply([]*cluster.Packed{packed("u", "5", "")})[0].GetResourceVersion(); second == first {
		t.Errorf("both have resource version %s", second)
	}
}
