// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarion-lb/clarion/lab/internal/workload"
)

// Component returns the component that a pod says it is, by either of the
// labels in use.
func Component(p *corev1.Pod) string {
	if c := p.Labels["app.kubernetes.io/component"]; c != "" {
		return c
	}
	return p.Labels["component"]
}

// ours are the applications whose controller and speaker can be given by path.
func ours(p *corev1.Pod) bool {
	apps := []string{"metallb", "clarion"}
	return slices.Contains(apps, p.Labels["app"]) || slices.Contains(apps, p.Labels["app.kubernetes.io/name"])
}

// Program returns the program file that plays a container: by the container's
// image, with or without its tag, or by the pod's component, which means the
// container of that name, or the only one. "" means that the container is
// only played.
func Program(p *corev1.Pod, c *corev1.Container, images map[string]string) string {
	for _, name := range []string{c.Image, repository(c.Image)} {
		if path := images[name]; path != "" {
			return path
		}
	}
	component := Component(p)
	path := images["@"+component]
	if path != "" && ours(p) && (c.Name == component || len(p.Spec.Containers) == 1) {
		return path
	}
	return ""
}

// IsProcess reports whether any container of the pod is a real process.
func IsProcess(p *corev1.Pod, images map[string]string) bool {
	for i := range p.Spec.Containers {
		if Program(p, &p.Spec.Containers[i], images) != "" {
			return true
		}
	}
	return false
}

// PlayedPorts returns the ports on which a played pod answers: those its
// containers declare, or HTTP's if none declares any, since declaring is
// optional and most images serve there.
func PlayedPorts(p *corev1.Pod) []workload.Port {
	var out []workload.Port
	for _, c := range p.Spec.Containers {
		for _, port := range c.Ports {
			if port.Protocol == corev1.ProtocolSCTP {
				continue
			}
			proto := strings.ToLower(string(port.Protocol))
			if proto == "" {
				proto = "tcp"
			}
			out = append(out, workload.Port{Proto: proto, Number: uint16(port.ContainerPort)})
		}
	}
	if len(out) == 0 {
		out = append(out, workload.Port{Proto: "tcp", Number: 80})
	}
	return out
}

// repository cuts the tag and the digest off an image name.
func repository(image string) string {
	image, _, _ = strings.Cut(image, "@")
	if i := strings.LastIndexByte(image, ':'); i > strings.LastIndexByte(image, '/') {
		image = image[:i]
	}
	return image
}

const (
	longestBackoff = 5 * time.Minute
	backoffReset   = 10 * time.Minute // a container that ran this long starts afresh
)

// Backoff returns how long a container waits that ended after running for ran,
// and how often in a row it has now ended early. The wait doubles each time.
func Backoff(first time.Duration, ran time.Duration, failures int) (time.Duration, int) {
	if ran >= backoffReset {
		failures = 0
	}
	wait := first
	for range failures {
		if wait *= 2; wait >= longestBackoff {
			return longestBackoff, failures + 1
		}
	}
	return wait, failures + 1
}
