// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

func bits(names ...string) uint64 {
	var m uint64
	for _, n := range names {
		m |= 1 << slices.Index(capabilityNames(), n)
	}
	return m
}

func ptr[T any](v T) *T { return &v }

func TestCapabilityNumbersAreTheKernels(t *testing.T) {
	for name, number := range map[string]int{"CHOWN": 0, "NET_BIND_SERVICE": 10, "NET_ADMIN": 12, "NET_RAW": 13, "SYS_ADMIN": 21, "CHECKPOINT_RESTORE": 40} {
		if got := slices.Index(capabilityNames(), name); got != number {
			t.Errorf("%s is number %d, want %d", name, got, number)
		}
	}
}

func TestSecurityOf(t *testing.T) {
	caps := func(add, drop []corev1.Capability) *corev1.SecurityContext {
		return &corev1.SecurityContext{Capabilities: &corev1.Capabilities{Add: add, Drop: drop}}
	}
	defaults := bits(defaultCapabilities()...)
	for _, tc := range []struct {
		name string
		pod  *corev1.PodSecurityContext
		ctr  *corev1.SecurityContext
		want Security
		bad  bool
	}{
		{name: "nothing said", want: Security{Capabilities: defaults}},
		{name: "drop all, add one", ctr: caps([]corev1.Capability{"NET_RAW"}, []corev1.Capability{"ALL"}),
			want: Security{Capabilities: bits("NET_RAW")}},
		{name: "prefix and case", ctr: caps([]corev1.Capability{"cap_net_admin"}, []corev1.Capability{"all"}),
			want: Security{Capabilities: bits("NET_ADMIN")}},
		{name: "unknown capability", ctr: caps([]corev1.Capability{"FLY"}, nil), bad: true},
		{name: "container wins over pod",
			pod:  &corev1.PodSecurityContext{RunAsUser: ptr(int64(5)), RunAsGroup: ptr(int64(6)), FSGroup: ptr(int64(7))},
			ctr:  &corev1.SecurityContext{RunAsUser: ptr(int64(8))},
			want: Security{UID: 8, GID: 6, Groups: []int{7}, Capabilities: defaults}},
		{name: "not root, image's user unknown", pod: &corev1.PodSecurityContext{RunAsNonRoot: ptr(true)},
			want: Security{UID: nonRootUser, Capabilities: defaults}},
		{name: "not root, but root", pod: &corev1.PodSecurityContext{RunAsNonRoot: ptr(true), RunAsUser: ptr(int64(0))}, bad: true},
		{name: "flags", ctr: &corev1.SecurityContext{AllowPrivilegeEscalation: ptr(false), ReadOnlyRootFilesystem: ptr(true)},
			want: Security{NoNewPrivs: true, ReadOnlyRoot: true, Capabilities: defaults}},
	} {
		got, err := SecurityOf(&corev1.Pod{Spec: corev1.PodSpec{SecurityContext: tc.pod}}, &corev1.Container{SecurityContext: tc.ctr})
		if (err != nil) != tc.bad {
			t.Errorf("%s: error %v, want error = %v", tc.name, err, tc.bad)
			continue
		}
		if !tc.bad && (got.UID != tc.want.UID || got.GID != tc.want.GID || !slices.Equal(got.Groups, tc.want.Groups) ||
			got.Capabilities != tc.want.Capabilities || got.NoNewPrivs != tc.want.NoNewPrivs || got.ReadOnlyRoot != tc.want.ReadOnlyRoot) {
			t.Errorf("%s: %+v, want %+v", tc.name, got, tc.want)
		}
	}
}

func TestProgram(t *testing.T) {
	images := map[string]string{"@speaker": "/bin/s", "registry:5000/tool": "/bin/t", "exact:v1": "/bin/e"}
	with := func(image, name string, more ...corev1.Container) *corev1.Pod {
		p := speaker()
		p.Spec.Containers = append([]corev1.Container{{Name: name, Image: image}}, more...)
		return p
	}
	other := with("quay.io/x", "speaker")
	other.Labels["app"] = "something-else"
	for _, tc := range []struct {
		name string
		pod  *corev1.Pod
		want string
	}{
		{"component, only container", with("quay.io/x", "main"), "/bin/s"},
		{"component, container of that name", with("quay.io/x", "speaker", corev1.Container{Name: "side"}), "/bin/s"},
		{"a side container is only played", with("quay.io/x", "side", corev1.Container{Name: "speaker"}), ""},
		{"another application's speaker", other, ""},
		{"image with tag", with("registry:5000/tool:v3", "x"), "/bin/t"},
		{"image with digest", with("registry:5000/tool@sha256:00", "x"), "/bin/t"},
		{"image as a whole", with("exact:v1", "x"), "/bin/e"},
	} {
		if got := Program(tc.pod, &tc.pod.Spec.Containers[0], images); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
	if IsProcess(other, images) {
		t.Error("a pod without a mapped container is no process pod")
	}
}

func TestPlayedPorts(t *testing.T) {
	p := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{}, {}}}}
	if got := fmt.Sprint(PlayedPorts(p)); got != "[{tcp 80}]" {
		t.Errorf("nothing declared: %s, want tcp 80", got)
	}
	p.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 53, Protocol: corev1.ProtocolUDP}, {ContainerPort: 9, Protocol: corev1.ProtocolSCTP}}
	p.Spec.Containers[1].Ports = []corev1.ContainerPort{{ContainerPort: 8000}}
	if got := fmt.Sprint(PlayedPorts(p)); got != "[{udp 53} {tcp 8000}]" {
		t.Errorf("declared: %s, want udp 53, tcp 8000", got)
	}
}

func TestBackoffDoublesAndResets(t *testing.T) {
	first := 10 * time.Second
	failures := 0
	var got []time.Duration
	var wait time.Duration
	for range 7 {
		wait, failures = Backoff(first, time.Second, failures)
		got = append(got, wait/time.Second)
	}
	if want := []time.Duration{10, 20, 40, 80, 160, 300, 300}; !slices.Equal(got, want) {
		t.Errorf("waits %v s, want %v", got, want)
	}
	if wait, failures = Backoff(first, time.Hour, failures); wait != first || failures != 1 {
		t.Errorf("after an hour's run: %s, %d failures, want %s, 1", wait, failures, first)
	}
}
