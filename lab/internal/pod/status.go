// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ReadyAnnotation makes a pod not ready while its value is "false".
const ReadyAnnotation = "lab.clarion/ready"

// Observed is what the kubelet knows about a pod that runs on it.
type Observed struct {
	PodIPs, HostIPs []netip.Addr
	Containers      []corev1.ContainerStatus // in the order of the pod's containers
}

// Status returns the status a pod should have. Times of conditions that do not
// change are kept, so that the same observation gives the same status.
func Status(p *corev1.Pod, o Observed, now time.Time) corev1.PodStatus {
	s := *p.Status.DeepCopy()
	s.Phase = phase(p, o.Containers)
	s.PodIPs, s.HostIPs = nil, nil
	for _, a := range o.PodIPs {
		s.PodIPs = append(s.PodIPs, corev1.PodIP{IP: a.String()})
	}
	for _, a := range o.HostIPs {
		s.HostIPs = append(s.HostIPs, corev1.HostIP{IP: a.String()})
	}
	s.PodIP, s.HostIP = first(o.PodIPs), first(o.HostIPs)
	if s.StartTime == nil {
		t := metav1.NewTime(now.Truncate(time.Second))
		s.StartTime = &t
	}
	held := p.Annotations[ReadyAnnotation] == "false"
	ready := s.Phase == corev1.PodRunning && !held
	s.ContainerStatuses = nil
	for _, c := range o.Containers {
		c.Ready = c.Ready && !held
		ready = ready && c.Ready
		s.ContainerStatuses = append(s.ContainerStatuses, c)
	}
	gates := ready
	for _, g := range p.Spec.ReadinessGates {
		gates = gates && conditionTrue(s.Conditions, g.ConditionType)
	}
	s.Conditions = setCondition(s.Conditions, corev1.PodInitialized, true, now)
	s.Conditions = setCondition(s.Conditions, corev1.ContainersReady, ready, now)
	s.Conditions = setCondition(s.Conditions, corev1.PodReady, gates, now)
	return s
}

func phase(p *corev1.Pod, containers []corev1.ContainerStatus) corev1.PodPhase {
	ended, failed, begun := 0, false, false
	for _, c := range containers {
		if t := c.State.Terminated; t != nil {
			ended++
			failed = failed || t.ExitCode != 0
		}
		begun = begun || c.State.Running != nil || c.State.Terminated != nil || c.LastTerminationState.Terminated != nil
	}
	final := p.Spec.RestartPolicy == corev1.RestartPolicyNever ||
		p.Spec.RestartPolicy == corev1.RestartPolicyOnFailure && !failed
	switch {
	case !begun:
		return corev1.PodPending
	case ended == len(containers) && final && failed:
		return corev1.PodFailed
	case ended == len(containers) && final:
		return corev1.PodSucceeded
	}
	return corev1.PodRunning
}

func conditionTrue(cs []corev1.PodCondition, t corev1.PodConditionType) bool {
	return slices.ContainsFunc(cs, func(c corev1.PodCondition) bool {
		return c.Type == t && c.Status == corev1.ConditionTrue
	})
}

func setCondition(cs []corev1.PodCondition, t corev1.PodConditionType, yes bool, now time.Time) []corev1.PodCondition {
	status := corev1.ConditionFalse
	if yes {
		status = corev1.ConditionTrue
	}
	for i := range cs {
		if cs[i].Type == t {
			if cs[i].Status != status {
				cs[i].Status, cs[i].LastTransitionTime = status, metav1.NewTime(now.Truncate(time.Second))
			}
			return cs
		}
	}
	return append(cs, corev1.PodCondition{Type: t, Status: status, LastTransitionTime: metav1.NewTime(now.Truncate(time.Second))})
}
