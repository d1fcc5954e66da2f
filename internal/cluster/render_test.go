// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarion-lb/clarion/internal/lb"
)

func TestRenderWritesOnlyWhatIsNotRightYet(t *testing.T) {
	vip := corev1.LoadBalancerIPModeVIP
	addr := netip.MustParseAddr("192.0.2.1")
	granted := Verdict{Addrs: []netip.Addr{addr}, Pool: "p", Reason: lb.IPAllocated, Message: "Assigned IP"}
	refused := Verdict{Reason: lb.AllocationFailed, Message: "no available IPs; a holds one", Headline: "no available IPs"}
	service := func(pool string, ips ...string) *corev1.Service {
		s := &corev1.Service{}
		if pool != "" {
			s.Annotations = map[string]string{AnnotationAllocatedPool: pool}
		}
		for _, ip := range ips {
			s.Status.LoadBalancer.Ingress = append(s.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: ip})
		}
		return s
	}
	with := func(s *corev1.Service, edit func(*corev1.Service)) *corev1.Service { edit(s); return s }
	condition := func(status metav1.ConditionStatus, reason, message string) func(*corev1.Service) {
		return func(s *corev1.Service) {
			s.Status.Conditions = []metav1.Condition{{
				Type: ConditionAddressAssigned, Status: status, Reason: reason, Message: message,
			}}
		}
	}
	for name, tc := range map[string]struct {
		in      *corev1.Service
		verdict Verdict
		write   bool
	}{
		"a new address":                              {service(""), granted, true},
		"the address is there":                       {service("p", "192.0.2.1"), granted, false},
		"it is there with an ipMode":                 {with(service("p", "192.0.2.1"), func(s *corev1.Service) { s.Status.LoadBalancer.Ingress[0].IPMode = &vip }), granted, false},
		"another address is there":                   {service("p", "192.0.2.2"), granted, true},
		"the annotation names another pool":          {service("q", "192.0.2.1"), granted, true},
		"the condition denies what is there":         {with(service("p", "192.0.2.1"), condition(metav1.ConditionFalse, "AllocationFailed", "x")), granted, true},
		"nothing to give, and nobody was told":       {service(""), refused, true},
		"nothing to give, and the condition says so": {with(service(""), condition(metav1.ConditionFalse, "AllocationFailed", "no available IPs; b holds one")), refused, false},
		"another reason than the condition's":        {with(service(""), condition(metav1.ConditionFalse, "AllocationFailed", "unknown pool")), refused, true},
		"an address is taken away":                   {service("p", "192.0.2.1"), refused, true},
		"nothing of ours was there":                  {service(""), Verdict{}, false},
		"something of ours is left":                  {service("p"), Verdict{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			before := tc.in.DeepCopy()
			out, write := Render(tc.in, tc.verdict, time.Unix(1000, 0))
			if write != tc.write {
				t.Fatalf("write is %t, want %t", write, tc.write)
			}
			if diff := cmp.Diff(before, tc.in); diff != "" {
				t.Errorf("the input was changed:\n%s", diff)
			}
			if !write {
				return
			}
			if _, again := Render(out, tc.verdict, time.Unix(2000, 0)); again {
				t.Error("its own result is not right either: it would be written on every pass")
			}
		})
	}
}

func TestRenderKeepsWhatOthersWrote(t *testing.T) {
	in := &corev1.Service{ObjectMeta: metav1.ObjectMeta{
		Annotations: map[string]string{"kubectl.kubernetes.io/last-applied-configuration": "{}", "x": "y"},
		Labels:      map[string]string{"app": "web"}, ResourceVersion: "7",
	}}
	in.Status.Conditions = []metav1.Condition{{Type: "example.com/Other", Status: metav1.ConditionTrue}}
	out, _ := Render(in, Verdict{Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, Pool: "p", Reason: lb.IPAllocated}, time.Unix(0, 0))
	if out.Annotations["x"] != "y" || len(out.Annotations) != 3 || out.Labels["app"] != "web" || out.ResourceVersion != "7" {
		t.Errorf("metadata was not kept: %+v", out.ObjectMeta)
	}
	if len(out.Status.Conditions) != 2 {
		t.Errorf("conditions of others were not kept: %+v", out.Status.Conditions)
	}
}
