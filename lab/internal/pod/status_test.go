// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
)

func running(ready bool) corev1.ContainerStatus {
	return corev1.ContainerStatus{Name: "c", Ready: ready, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}
}

func ended(code int32) corev1.ContainerStatus {
	return corev1.ContainerStatus{Name: "c", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code}}}
}

func TestStatusPhaseAndReady(t *testing.T) {
	waiting := corev1.ContainerStatus{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{}}}
	crashed := waiting
	crashed.LastTerminationState = ended(1).State
	for _, tc := range []struct {
		name       string
		policy     corev1.RestartPolicy
		annotation string
		gate       bool
		containers []corev1.ContainerStatus
		phase      corev1.PodPhase
		ready      bool
	}{
		{"not started", "", "", false, []corev1.ContainerStatus{waiting}, corev1.PodPending, false},
		{"up", "", "", false, []corev1.ContainerStatus{running(true)}, corev1.PodRunning, true},
		{"one of two ready", "", "", false, []corev1.ContainerStatus{running(true), running(false)}, corev1.PodRunning, false},
		{"held by the annotation", "", "false", false, []corev1.ContainerStatus{running(true)}, corev1.PodRunning, false},
		{"other annotation value", "", "true", false, []corev1.ContainerStatus{running(true)}, corev1.PodRunning, true},
		{"waits for a gate", "", "", true, []corev1.ContainerStatus{running(true)}, corev1.PodRunning, false},
		{"crash loop", corev1.RestartPolicyAlways, "", false, []corev1.ContainerStatus{crashed}, corev1.PodRunning, false},
		{"done", corev1.RestartPolicyNever, "", false, []corev1.ContainerStatus{ended(0)}, corev1.PodSucceeded, false},
		{"failed", corev1.RestartPolicyNever, "", false, []corev1.ContainerStatus{ended(1)}, corev1.PodFailed, false},
		{"failed, to be tried again", corev1.RestartPolicyOnFailure, "", false, []corev1.ContainerStatus{ended(1)}, corev1.PodRunning, false},
	} {
		p := speaker()
		p.Spec.RestartPolicy = tc.policy
		if tc.annotation != "" {
			p.Annotations = map[string]string{ReadyAnnotation: tc.annotation}
		}
		if tc.gate {
			p.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: "x/y"}}
		}
		s := Status(p, Observed{PodIPs: facts().PodIPs, HostIPs: facts().HostIPs, Containers: tc.containers}, time.Unix(1000, 0))
		if s.Phase != tc.phase || conditionTrue(s.Conditions, corev1.PodReady) != tc.ready {
			t.Errorf("%s: phase %s, conditions %+v, want %s, ready %v", tc.name, s.Phase, s.Conditions, tc.phase, tc.ready)
		}
		if s.PodIP != "192.168.100.12" || len(s.PodIPs) != 2 {
			t.Errorf("%s: addresses %s, %v", tc.name, s.PodIP, s.PodIPs)
		}
	}
}

func TestStatusOfTheSameObservationDoesNotChange(t *testing.T) {
	p := speaker()
	o := Observed{PodIPs: facts().PodIPs, HostIPs: facts().HostIPs, Containers: []corev1.ContainerStatus{running(true)}}
	p.Status = Status(p, o, time.Unix(1000, 0))
	if again := Status(p, o, time.Unix(2000, 0)); !equality.Semantic.DeepEqual(p.Status, again) {
		t.Errorf("the second status differs:\n%+v\n%+v", p.Status, again)
	}
	o.Containers = []corev1.ContainerStatus{running(false)}
	for _, c := range Status(p, o, time.Unix(3000, 0)).Conditions {
		if c.Type == corev1.PodReady && (c.Status != corev1.ConditionFalse || c.LastTransitionTime.Unix() != 3000) {
			t.Errorf("changed condition %+v, want False since 3000", c)
		}
	}
}
