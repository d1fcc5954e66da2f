// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kubelet

import (
	"context"
	"net/netip"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarion-lb/clarion/lab/internal/pod"
	"github.com/clarion-lb/clarion/lab/internal/state"
	"github.com/clarion-lb/clarion/lab/internal/workload"
)

// players is the set of pods that the workload process plays.
type players struct {
	file, socket string
	mu           sync.Mutex
	pods         map[string]workload.Pod // by uid
}

// set adds or, with nil, removes a pod and returns when its ports are open or
// closed.
func (p *players) set(ctx context.Context, uid string, w *workload.Pod) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pods == nil {
		p.pods = map[string]workload.Pod{}
	}
	if w == nil {
		delete(p.pods, uid)
	} else {
		p.pods[uid] = *w
	}
	list := make([]workload.Pod, 0, len(p.pods))
	for _, w := range p.pods {
		list = append(list, w)
	}
	if err := state.WriteJSON(p.file, list); err != nil {
		return err
	}
	err := workload.Apply(ctx, p.socket)
	if err != nil && w != nil {
		delete(p.pods, uid) // the caller tries again, or never comes back
	}
	return err
}

// playedPod is a pod that only answers on its ports.
type playedPod struct {
	k    *Kubelet
	pod  *corev1.Pod
	from metav1.Time
}

// play has a pod played. A pod on the node's own network is Running but
// answers on no port: the workload process does not have the node's addresses.
func (k *Kubelet) play(ctx context.Context, p *corev1.Pod, ips []netip.Addr) (instance, error) {
	w := workload.Pod{Name: p.Namespace + "/" + p.Name, Node: k.node, Addrs: ips}
	if !p.Spec.HostNetwork {
		w.Ports = pod.PlayedPorts(p)
	}
	if len(w.Ports) > 0 {
		if err := k.played.set(ctx, string(p.UID), &w); err != nil {
			return nil, err
		}
	}
	from := metav1.NewTime(time.Now().Truncate(time.Second))
	for _, s := range p.Status.ContainerStatuses {
		if s.State.Running != nil { // played by an earlier kubelet as well
			from = s.State.Running.StartedAt
		}
	}
	return &playedPod{k: k, pod: p, from: from}, nil
}

func (h *playedPod) update(*corev1.Pod) {}

func (h *playedPod) containers() []corev1.ContainerStatus {
	started := true
	var out []corev1.ContainerStatus
	for _, c := range h.pod.Spec.Containers {
		out = append(out, corev1.ContainerStatus{
			Name: c.Name, Image: c.Image, ImageID: "lab://played", Ready: true, Started: &started,
			ContainerID: "lab://" + string(h.pod.UID) + "/" + c.Name,
			State:       corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: h.from}},
		})
	}
	return out
}

func (h *playedPod) stop(time.Duration) bool {
	if err := h.k.played.set(context.Background(), string(h.pod.UID), nil); err != nil {
		// The workload process is dead or frozen; it reads the file when it is back.
		h.k.log.Warn("stop a played pod", "pod", h.pod.Name, "err", err)
	}
	return true
}
