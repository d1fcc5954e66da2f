// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Speaker is a speaker's Pod: the node it runs on and its address, "" while it has none.
type Speaker struct {
	Node, IP string
}

// Speakers lists the Pods of the speakers, the peers of the membership.
type Speakers struct {
	pods Store[*corev1.Pod]
}

// WatchSpeakers watches the Pods that the label selector selects in the namespace.
func WatchSpeakers(w *Watcher, c Clients, namespace, labels string) (Speakers, error) {
	pods, err := Watch(w, Source[*corev1.Pod]{
		Client: c.Builtin.CoreV1().RESTClient(), Resource: "pods", Namespace: namespace, Labels: labels,
		Example: &corev1.Pod{}, Strip: stripPod, Same: samePod,
	})
	return Speakers{pods: pods}, err
}

// List returns the speakers sorted by node, or false while they are not known.
func (s Speakers) List() (speakers []Speaker, known bool) {
	if !s.pods.Synced() {
		return nil, false
	}
	for _, p := range s.pods.List() {
		if p.Status.Phase != corev1.PodSucceeded && p.Status.Phase != corev1.PodFailed && p.Spec.NodeName != "" {
			speakers = append(speakers, Speaker{Node: p.Spec.NodeName, IP: p.Status.PodIP})
		}
	}
	slices.SortFunc(speakers, func(a, b Speaker) int {
		return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.IP, b.IP))
	})
	return speakers, true
}

func stripPod(p *corev1.Pod) {
	p.ObjectMeta = metav1.ObjectMeta{
		Namespace: p.Namespace, Name: p.Name, UID: p.UID, ResourceVersion: p.ResourceVersion,
	}
	p.Spec = corev1.PodSpec{NodeName: p.Spec.NodeName}
	p.Status = corev1.PodStatus{Phase: p.Status.Phase, PodIP: p.Status.PodIP}
}

func samePod(a, b *corev1.Pod) bool {
	return a.UID == b.UID && a.Spec.NodeName == b.Spec.NodeName &&
		a.Status.Phase == b.Status.Phase && a.Status.PodIP == b.Status.PodIP
}
