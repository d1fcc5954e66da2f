// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarion-lb/clarion/internal/cluster"
)

// The strip functions drop from the local copies what neither program reads. A Service of
// type LoadBalancer keeps all its metadata but managedFields, because a status update sends
// the metadata back and the API server would take an absent annotation for a removed one.
// (Absent managedFields are safe: the server then keeps its own.)

func stripService(s *corev1.Service) {
	s.ManagedFields = nil
	if s.Spec.Type == corev1.ServiceTypeLoadBalancer || cluster.CarriesAssignment(s) {
		for i := range s.Spec.Ports {
			s.Spec.Ports[i].AppProtocol = nil
		}
		return
	}
	// Not ours and never was: only its existence and type matter.
	s.ObjectMeta = metav1.ObjectMeta{
		Namespace: s.Namespace, Name: s.Name, UID: s.UID, ResourceVersion: s.ResourceVersion,
	}
	s.Spec = corev1.ServiceSpec{Type: s.Spec.Type}
	s.Status = corev1.ServiceStatus{}
}

func stripNamespace(n *corev1.Namespace) {
	n.ObjectMeta = metav1.ObjectMeta{
		Name: n.Name, UID: n.UID, ResourceVersion: n.ResourceVersion, Labels: n.Labels,
	}
	n.Spec, n.Status = corev1.NamespaceSpec{}, corev1.NamespaceStatus{}
}

func sameNamespace(a, b *corev1.Namespace) bool { return maps.Equal(a.Labels, b.Labels) }

func stripNode(n *corev1.Node) {
	n.ObjectMeta = metav1.ObjectMeta{
		Name: n.Name, UID: n.UID, ResourceVersion: n.ResourceVersion,
		Labels: n.Labels, Annotations: n.Annotations,
	}
	n.Spec = corev1.NodeSpec{}
	var conditions []corev1.NodeCondition
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeNetworkUnavailable {
			conditions = append(conditions, corev1.NodeCondition{Type: c.Type, Status: c.Status})
		}
	}
	n.Status = corev1.NodeStatus{Conditions: conditions, Addresses: n.Status.Addresses}
}

// sameNode ignores the heartbeat: the kubelet rewrites the node status every few minutes
// without a change that an announcer cares about.
func sameNode(a, b *corev1.Node) bool {
	return maps.Equal(a.Labels, b.Labels) && maps.Equal(a.Annotations, b.Annotations) &&
		apiequality.Semantic.DeepEqual(a.Status, b.Status)
}

func stripEndpointSlice(e *discoveryv1.EndpointSlice) {
	e.ObjectMeta = metav1.ObjectMeta{
		Namespace: e.Namespace, Name: e.Name, UID: e.UID, ResourceVersion: e.ResourceVersion,
		Labels: map[string]string{discoveryv1.LabelServiceName: e.Labels[discoveryv1.LabelServiceName]},
	}
	for i := range e.Endpoints {
		ep := &e.Endpoints[i]
		ep.TargetRef, ep.Hostname, ep.Hints, ep.DeprecatedTopology = nil, nil, nil, nil
	}
}

// stripManaged serves every kind of which all but the bookkeeping is read.
func stripManaged[T metav1.Object](o T) { o.SetManagedFields(nil) }
