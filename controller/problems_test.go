// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarion-lb/clarion/api/v1beta1"
	"github.com/clarion-lb/clarion/api/v1beta2"
	"github.com/clarion-lb/clarion/internal/alloc"
	"github.com/clarion-lb/clarion/internal/cluster"
	"github.com/clarion-lb/clarion/internal/lb"
)

func TestEventNamesTheObjectWithItsVersionAndUID(t *testing.T) {
	at := func(uid types.UID) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: "ns", Name: "x", UID: uid} }
	var problems []lb.Problem
	for _, kind := range []string{
		"Service", "IPAddressPool", "L2Advertisement", "BGPAdvertisement", "BGPPeer", "BFDProfile", "Community",
	} {
		problems = append(problems, lb.Problem{Kind: kind, Object: lb.Key{Namespace: "ns", Name: "x"}})
	}
	refs := problemRefs(cluster.Objects{
		Services:          []*cluster.Packed{cluster.Pack(&corev1.Service{ObjectMeta: at("1")})},
		Pools:             []*v1beta1.IPAddressPool{{ObjectMeta: at("2")}},
		L2Advertisements:  []*v1beta1.L2Advertisement{{ObjectMeta: at("3")}},
		BGPAdvertisements: []*v1beta1.BGPAdvertisement{{ObjectMeta: at("4")}},
		BGPPeers:          []*v1beta2.BGPPeer{{ObjectMeta: at("5")}},
		BFDProfiles:       []*v1beta1.BFDProfile{{ObjectMeta: at("6")}},
		Communities:       []*v1beta1.Community{{ObjectMeta: at("7")}},
	}, problems)
	for kind, want := range map[string]corev1.ObjectReference{
		"Service":          {APIVersion: "v1", UID: "1"},
		"IPAddressPool":    {APIVersion: "metallb.io/v1beta1", UID: "2"},
		"L2Advertisement":  {APIVersion: "metallb.io/v1beta1", UID: "3"},
		"BGPAdvertisement": {APIVersion: "metallb.io/v1beta1", UID: "4"},
		"BGPPeer":          {APIVersion: "metallb.io/v1beta2", UID: "5"},
		"BFDProfile":       {APIVersion: "metallb.io/v1beta1", UID: "6"},
		"Community":        {APIVersion: "metallb.io/v1beta1", UID: "7"},
	} {
		want.Kind, want.Namespace, want.Name = kind, "ns", "x"
		if got := refs[objectID{kind, lb.Key{Namespace: "ns", Name: "x"}}]; got == nil || *got != want {
			t.Errorf("%s: %v, want %v", kind, got, want)
		}
	}
}

func TestEventAboutADeprecatedAnnotationSaysWhatMetalLBSays(t *testing.T) {
	_, problems := cluster.Compile(cluster.Objects{
		Services: []*cluster.Packed{cluster.Pack(&corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "x", Annotations: map[string]string{"metallb.universe.tf/address-pool": "p"}},
			Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer},
		})},
		Pools: []*v1beta1.IPAddressPool{{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: v1beta1.IPAddressPoolSpec{Addresses: []string{"x"}}}},
	})
	texts := map[string]string{}
	for _, p := range problems {
		texts[p.Kind] = eventText(p)
	}
	if got, want := texts["Service"], "Service uses deprecated annotation metallb.universe.tf/address-pool"; got != want {
		t.Errorf("event says %q, want %q", got, want)
	}
	if got := texts["IPAddressPool"]; !strings.HasPrefix(got, "spec.addresses[0]: ") {
		t.Errorf("event says %q, want the field first", got)
	}
}

func TestProblemsAreCountedByKind(t *testing.T) {
	m := metricsThatAre(nil)
	m.observe(&alloc.Result{}, []lb.Problem{{Kind: "BGPPeer", Field: "a"}, {Kind: "BGPPeer", Field: "b"}, {Kind: "Community"}})
	registry := prometheus.NewRegistry()
	registry.MustRegister(m)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, metric := range f.GetMetric() {
			labels := make([]string, 0, 1)
			for _, l := range metric.GetLabel() {
				labels = append(labels, l.GetValue())
			}
			got[f.GetName()+" "+strings.Join(labels, " ")] = metric.GetGauge().GetValue()
		}
	}
	for name, want := range map[string]float64{
		"clarion_config_problems BGPPeer": 2, "clarion_config_problems Community": 1, "clarion_config_problems BFDProfile": 0,
		"metallb_k8s_client_config_stale_bool ": 0, "metallb_k8s_client_config_loaded_bool ": 1,
	} {
		if n, exists := got[name]; !exists || n != want {
			t.Errorf("%s is %v (%v), want %v", name, n, exists, want)
		}
	}
}
