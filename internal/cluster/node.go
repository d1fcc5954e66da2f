// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"reflect"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarion-lb/clarion/internal/lb"
)

// node is one Node compiled.
type node struct {
	node     lb.Node
	problems []lb.Problem
}

func equalNodes(a, b *node) bool { return reflect.DeepEqual(a, b) }

// compileNode takes from a node what may keep it from announcing. Ready, cordons and taints
// are left alone on purpose: forwarding works without them, and withdrawing on a cordon was
// tried by MetalLB and taken back.
func compileNode(in *corev1.Node, ignoreExclude bool) node {
	r := newReport("Node", in)
	out := lb.Node{Name: in.Name, Labels: in.Labels, Leaving: ordered(in.Annotations, AnnotationLeave)}
	if _, labelled := in.Labels[LabelExcludeNode]; labelled && !ignoreExclude {
		out.ExcludedFromLB = true
	}
	for _, c := range in.Status.Conditions {
		if c.Type == corev1.NodeNetworkUnavailable && c.Status == corev1.ConditionTrue {
			out.NetworkUnavailable = true
		}
	}
	out.BGP = compileNodeBGP(r, in.Annotations)
	return node{out, r.problems}
}
