// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"errors"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarion-lb/clarion/internal/cluster"
	"github.com/clarion-lb/clarion/internal/lb"
)

func space(name, version, label string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: name, ResourceVersion: version, Labels: map[string]string{"l": label}, Annotations: map[string]string{"a": "b"},
	}}
}

// namespaces are copies of Namespaces and a count of the kicks since it was last read.
func namespaces() (c *copies[*corev1.Namespace, *corev1.Namespace], kicks func() int) {
	n := 0
	c = newCopies(func(now, _ *corev1.Namespace) *corev1.Namespace { stripNamespace(now); return now },
		regard[*corev1.Namespace]{same: sameNamespace}, func() { n++ })
	return c, func() int { defer func() { n = 0 }(); return n }
}

func TestCopiesAreUnknownUntilTheFirstList(t *testing.T) {
	c, kicks := namespaces()
	store := Store[*corev1.Namespace]{c}
	if store.Synced() {
		t.Error("synced before anything was read")
	}
	if err := c.Replace(nil, "1"); err != nil {
		t.Fatal(err)
	}
	if !store.Synced() || kicks() != 1 {
		t.Error("that there is nothing was not told")
	}
}

func TestCopiesKickForWhatMatters(t *testing.T) {
	c, kicks := namespaces()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	listed, err := c.Transformer()(space("a", "1", "x"))
	must(err)
	must(c.Replace([]any{listed, space("b", "2", "x")}, "2"))
	kicks()
	for _, tc := range []struct {
		what string
		do   func() error
		want int
	}{
		{"the same list again", func() error { return c.Replace([]any{space("a", "1", "x"), space("b", "2", "x")}, "2") }, 0},
		{"a new version that nobody cares about", func() error { return c.Update(space("a", "3", "x")) }, 0},
		{"a new label", func() error { return c.Update(space("a", "4", "y")) }, 1},
		{"the version that is there", func() error { return c.Update(space("a", "4", "z")) }, 0},
		{"a new object", func() error { return c.Add(space("c", "5", "x")) }, 1},
		{"a deletion", func() error { return c.Delete(space("b", "6", "x")) }, 1},
		{"a list that lacks one", func() error { return c.Replace([]any{space("a", "4", "y")}, "7") }, 1},
		{"a list with another one", func() error { return c.Replace([]any{space("d", "8", "y")}, "8") }, 1},
	} {
		must(tc.do())
		if got := kicks(); got != tc.want {
			t.Errorf("%s: %d kicks, want %d", tc.what, got, tc.want)
		}
	}
	names := make([]string, 0, 1)
	for _, n := range (Store[*corev1.Namespace]{c}).List() {
		names = append(names, n.Name)
		if n.Annotations != nil {
			t.Errorf("%s was not stripped", n.Name)
		}
	}
	if !slices.Equal(names, []string{"d"}) {
		t.Errorf("left are %q", names)
	}
	if _, found := (Store[*corev1.Namespace]{c}).Get(lb.Key{Name: "d"}); !found {
		t.Error("d is not found by its key")
	}
}

// announced are the copies of Services and EndpointSlices that a speaker has, both empty so far, and
// a count of the kicks since it was last read.
func announced(t *testing.T) (*copies[*corev1.Service, *cluster.Packed], *copies[*discoveryv1.EndpointSlice, *cluster.PackedSlice], func() int) {
	t.Helper()
	n := 0
	kick := func() { n++ }
	services := newCopies(cluster.PackNext, regard[*cluster.Packed]{matters: (*cluster.Packed).Addressed}, kick)
	endpoints := newCopies(packSlice, regard[*cluster.PackedSlice]{slicesOf(Store[*cluster.Packed]{services}), (*cluster.PackedSlice).Says}, kick)
	if err := errors.Join(services.Replace(nil, "0"), endpoints.Replace(nil, "0")); err != nil {
		t.Fatal(err)
	}
	n = 0
	return services, endpoints, func() int { defer func() { n = 0 }(); return n }
}

// svc is a version of one Service, with its addresses.
func svc(version string, kind corev1.ServiceType, addrs ...string) *corev1.Service {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web", UID: "u", ResourceVersion: version},
		Spec:       corev1.ServiceSpec{Type: kind},
	}
	for _, a := range addrs {
		s.Status.LoadBalancer.Ingress = append(s.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: a})
	}
	return s
}

// marked is a Service that bears the controller's mark.
func marked(s *corev1.Service) *corev1.Service {
	s.Annotations = map[string]string{cluster.AnnotationAllocatedPool: "p"}
	return s
}

// endpointSlice is a version of the EndpointSlice of a Service, with one endpoint.
func endpointSlice(version, service, node string, ready bool) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ns", Name: "web-1", UID: "e", ResourceVersion: version,
			Labels:      map[string]string{discoveryv1.LabelServiceName: service},
			Annotations: map[string]string{"endpoints.kubernetes.io/last-change-trigger-time": version},
		},
		AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Port: new(int32(80))}},
		Endpoints: []discoveryv1.Endpoint{{
			Addresses: []string{"10.0.0.1"}, NodeName: &node, Conditions: discoveryv1.EndpointConditions{Ready: &ready},
		}},
	}
}

// Each line goes on from the one before.
func TestASpeakerIsKickedForServicesWithAddressesOnly(t *testing.T) {
	services, endpoints, kicks := announced(t)
	for _, tc := range []struct {
		what string
		err  error
		got  int
		want int
	}{
		{"an internal Service", services.Add(svc("1", corev1.ServiceTypeClusterIP)), kicks(), 0},
		{"its endpoints", endpoints.Add(endpointSlice("2", "web", "n1", true)), kicks(), 0},
		{"it becomes LoadBalancer", services.Update(svc("3", corev1.ServiceTypeLoadBalancer)), kicks(), 0},
		{"it gets an address", services.Update(svc("4", corev1.ServiceTypeLoadBalancer, "192.0.2.1")), kicks(), 1},
		{"the same again", services.Update(svc("4", corev1.ServiceTypeLoadBalancer, "192.0.2.1")), kicks(), 0},
		{"a new version with an address", services.Update(svc("5", corev1.ServiceTypeLoadBalancer, "192.0.2.1")), kicks(), 1},
		{"the endpoints' version alone", endpoints.Update(endpointSlice("6", "web", "n1", true)), kicks(), 0},
		{"an endpoint is not ready", endpoints.Update(endpointSlice("7", "web", "n1", false)), kicks(), 1},
		{"another node has it, still not ready", endpoints.Update(endpointSlice("8", "web", "n2", false)), kicks(), 0},
		{"it is ready there", endpoints.Update(endpointSlice("9", "web", "n2", true)), kicks(), 1},
		{"it is on the first node", endpoints.Update(endpointSlice("10", "web", "n1", true)), kicks(), 1},
		{"endpoints go to another Service", endpoints.Update(endpointSlice("10a", "other", "n1", true)), kicks(), 1},
		{"and come back", endpoints.Update(endpointSlice("10b", "web", "n1", true)), kicks(), 1},
		{"the endpoints go", endpoints.Delete(endpointSlice("11", "web", "n2", false)), kicks(), 1},
		{"the endpoints in a list", endpoints.Replace([]any{endpointSlice("12", "web", "n1", true)}, "12"), kicks(), 1},
		{"the Service loses its address", services.Update(svc("13", corev1.ServiceTypeLoadBalancer)), kicks(), 1},
		{"a new version without address", services.Update(svc("14", corev1.ServiceTypeLoadBalancer)), kicks(), 0},
		{"endpoints meanwhile", endpoints.Update(endpointSlice("15", "web", "n2", true)), kicks(), 0},
		{"an address in a list", services.Replace([]any{svc("16", corev1.ServiceTypeLoadBalancer, "192.0.2.1")}, "16"), kicks(), 1},
		{"it becomes internal, the address still there", services.Update(marked(svc("17", corev1.ServiceTypeClusterIP, "192.0.2.1"))), kicks(), 1},
		{"the address goes", services.Update(marked(svc("18", corev1.ServiceTypeClusterIP))), kicks(), 1},
		{"the mark goes", services.Update(svc("19", corev1.ServiceTypeClusterIP)), kicks(), 0},
		{"it is deleted", services.Delete(svc("20", corev1.ServiceTypeClusterIP)), kicks(), 0},
		{"another with an address", services.Add(svc("21", corev1.ServiceTypeLoadBalancer, "192.0.2.1")), kicks(), 1},
		{"that is deleted", services.Delete(svc("22", corev1.ServiceTypeLoadBalancer, "192.0.2.1")), kicks(), 1},
		{"that is deleted again", services.Delete(svc("22", corev1.ServiceTypeLoadBalancer, "192.0.2.1")), kicks(), 0},
		{"one without address in a list", services.Replace([]any{svc("23", corev1.ServiceTypeLoadBalancer)}, "23"), kicks(), 0},
		{"an address", services.Update(svc("24", corev1.ServiceTypeLoadBalancer, "192.0.2.1")), kicks(), 1},
		{"a list without it", services.Replace(nil, "25"), kicks(), 1},
	} {
		if tc.err != nil || tc.got != tc.want {
			t.Errorf("%s: %d kicks, want %d, error %v", tc.what, tc.got, tc.want, tc.err)
		}
	}
}

// The controller looks at all Services, and only its own echo is no news.
func TestTheControllerIsKickedForEveryService(t *testing.T) {
	n := 0
	services := newCopies(cluster.PackNext, regard[*cluster.Packed]{
		same: func(_, now *cluster.Packed) bool { return now.GetResourceVersion() == "2" },
	}, func() { n++ })
	err := errors.Join(
		services.Add(svc("1", corev1.ServiceTypeClusterIP)),
		services.Update(svc("2", corev1.ServiceTypeClusterIP)), // the echo
		services.Update(svc("3", corev1.ServiceTypeClusterIP)),
		services.Delete(svc("4", corev1.ServiceTypeClusterIP)))
	if err != nil || n != 3 {
		t.Errorf("%d kicks, want 3, error %v", n, err)
	}
}
