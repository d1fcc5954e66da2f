// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarion-lb/clarion/internal/cluster"
	"github.com/clarion-lb/clarion/internal/lb"
)

func full() *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ns", Name: "web", UID: "u", ResourceVersion: "5", Generation: 3,
			CreationTimestamp: metav1.Unix(1000, 0),
			Labels:            map[string]string{"app": "web"},
			Annotations:       map[string]string{"metallb.io/address-pool": "p", "someone/else": "x"},
			Finalizers:        []string{"f"},
			OwnerReferences:   []metav1.OwnerReference{{Kind: "Gateway", Name: "g", UID: "g"}},
			ManagedFields:     []metav1.ManagedFieldsEntry{{Manager: "kubectl"}},
		},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, ClusterIP: "10.96.0.1", ClusterIPs: []string{"10.96.0.1"},
			Selector:          map[string]string{"app": "web"},
			LoadBalancerClass: new("c"), LoadBalancerIP: "192.0.2.1",
			IPFamilyPolicy: new(corev1.IPFamilyPolicyPreferDualStack),
			Ports:          []corev1.ServicePort{{Name: "http", Protocol: corev1.ProtocolTCP, Port: 80, NodePort: 30000}},
		},
		Status: corev1.ServiceStatus{
			LoadBalancer: corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{{IP: "192.0.2.1", IPMode: new(corev1.LoadBalancerIPModeVIP)}}},
			Conditions:   []metav1.Condition{{Type: "other", Status: "True"}},
		},
	}
}

// What a status update sends back must be complete, or the API server takes it for removed.
func TestPackedServiceKeepsItsMetadataAndStatus(t *testing.T) {
	want := full()
	got := cluster.Pack(full()).Unpack()
	want.ManagedFields = nil
	if diff := cmp.Diff(want.ObjectMeta, got.ObjectMeta); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want.Status, got.Status); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
}

func TestPackedServiceMeansTheSame(t *testing.T) {
	o := cluster.Objects{Settings: cluster.Settings{LoadBalancerClass: "c"}, Services: []*cluster.Packed{cluster.Pack(full())}}
	s, problems := cluster.Compile(o)
	if len(s.Services) != 1 || len(problems) > 0 {
		t.Fatalf("%d Services, problems %v", len(s.Services), problems)
	}
	got := s.Services[0]
	if got.Policy != lb.PreferDualStack || len(got.Ports) != 1 || len(got.Families) != 1 ||
		len(got.RequestedAddrs) != 1 || got.RequestedPool != "p" || len(got.Assigned) != 1 {
		t.Errorf("compiled to %+v", got)
	}
}

func TestPackedServiceOfAnotherTypeIsItsNameAlone(t *testing.T) {
	in := full()
	in.Spec.Type = corev1.ServiceTypeClusterIP
	want := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web", UID: "u", ResourceVersion: "5"}}
	if diff := cmp.Diff(want, cluster.Pack(in).Unpack()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	in.Annotations[cluster.AnnotationAllocatedPool] = "p" // it was ours, and is to be cleaned
	if got := cluster.Pack(in).Unpack(); len(got.Annotations) != 3 {
		t.Errorf("annotations are %v", got.Annotations)
	}
}

// Says decides, without unpacking, whether Render would leave the condition as it is.
func TestPackedServiceSaysWhatRenderWouldLeave(t *testing.T) {
	verdicts := map[string]cluster.Verdict{
		"none":   {},
		"failed": {Reason: lb.AllocationFailed, Message: "no room: 5 hold it", Headline: "no room"},
		"other":  {Reason: lb.AllocationFailed, Message: "unknown pool", Headline: "unknown pool"},
	}
	for has, before := range verdicts {
		stored := full()
		stored.Annotations, stored.Status = nil, corev1.ServiceStatus{}
		if out, changed := cluster.Render(stored, before, metav1.Now().Time); changed {
			stored = out
		}
		for wants, v := range verdicts {
			_, changed := cluster.Render(stored, v, metav1.Now().Time)
			if says := cluster.Pack(stored).Says(v); says == changed {
				t.Errorf("has %s, wants %s: Says is %t, Render changes it: %t", has, wants, says, changed)
			}
		}
	}
}

// Complains finds, among thousands that have all they asked for, those that do not say so.
func TestPackedServiceComplainsWhenItSaysOtherwiseThanThatAllIsWell(t *testing.T) {
	addr := netip.MustParseAddr("192.0.2.1")
	for name, tc := range map[string]struct {
		v    cluster.Verdict
		want bool
	}{
		"all is well":          {cluster.Verdict{Addrs: []netip.Addr{addr}, Pool: "p", Reason: lb.IPAllocated, Message: "Assigned IP"}, false},
		"one family is absent": {cluster.Verdict{Addrs: []netip.Addr{addr}, Pool: "p", Reason: lb.AdditionalAssignFailed, Message: "no room"}, true},
		"no address":           {cluster.Verdict{Reason: lb.AllocationFailed, Message: "no room", Headline: "no room"}, false},
		"no condition":         {cluster.Verdict{}, false},
	} {
		stored := full()
		stored.Status.LoadBalancer.Ingress = nil
		if out, changed := cluster.Render(stored, tc.v, metav1.Now().Time); changed {
			stored = out
		}
		if got := cluster.Pack(stored).Complains(); got != tc.want {
			t.Errorf("%s: %t, want %t", name, got, tc.want)
		}
	}
	kept := full()
	meta.SetStatusCondition(&kept.Status.Conditions, metav1.Condition{
		Type: cluster.ConditionAddressAssigned, Status: metav1.ConditionFalse, Reason: string(lb.AllocationFailed), Message: "no room",
	})
	if !cluster.Pack(kept).Complains() {
		t.Error("it has its address, and the condition denies it")
	}
}
