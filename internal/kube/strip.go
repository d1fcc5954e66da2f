// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"maps"
	"reflect"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/clarion-lb/clarion/internal/cluster"
)

// The strip functions drop from the local copies what neither program reads. For Services see
// cluster.Packed, for EndpointSlices cluster.PackedSlice.

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

// stripManaged serves every kind of which all but the bookkeeping is read.
func stripManaged[T metav1.Object](o T) { o.SetManagedFields(nil) }

// stripReported keeps of a node's own status objects what is compared with what it reports. Their
// owner is mostly one and the same Pod, and held once.
func stripReported[T cluster.Object]() func(T) {
	var owners []metav1.OwnerReference
	return func(o T) {
		o.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
		o.SetManagedFields(nil)
		o.SetLabels(nil)
		o.SetUID("")
		if reflect.DeepEqual(o.GetOwnerReferences(), owners) {
			o.SetOwnerReferences(owners)
		}
		owners = o.GetOwnerReferences()
	}
}

// sameConfig ignores the status, which the controller itself writes.
func sameConfig[T metav1.Object](a, b T) bool {
	return a.GetUID() == b.GetUID() && a.GetGeneration() == b.GetGeneration() &&
		maps.Equal(a.GetLabels(), b.GetLabels()) && maps.Equal(a.GetAnnotations(), b.GetAnnotations())
}
