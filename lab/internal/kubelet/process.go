// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kubelet

import (
	"context"
	"net/netip"
	"sync"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarion-lb/clarion/lab/internal/host"
	"github.com/clarion-lb/clarion/lab/internal/pod"
	"github.com/clarion-lb/clarion/lab/internal/proc"
	"github.com/clarion-lb/clarion/lab/internal/state"
)

// processPod is a pod whose containers are processes of this machine.
type processPod struct {
	k     *Kubelet
	cfg   state.Config
	id    string // short name for directories, links and namespaces
	ips   []netip.Addr
	again func() // asks for a sync of this pod

	end   context.CancelFunc // ends the containers' goroutines, not the containers
	ended chan struct{}      // closed when all containers have ended and all is removed

	mu       sync.Mutex
	pod      *corev1.Pod
	parts    []*container
	stopping bool
	known    *pod.Facts // as last read; nil before
}

// startProcess starts a pod's processes, or takes over those an earlier
// kubelet started. It returns at once.
func (k *Kubelet) startProcess(ctx context.Context, p *corev1.Pod, ips []netip.Addr, cfg state.Config, again func()) instance {
	ctx, cancel := context.WithCancel(ctx)
	pp := &processPod{
		k: k, cfg: cfg, id: podID(p), ips: ips, again: again, end: cancel, ended: make(chan struct{}), pod: p,
	}
	for i := range p.Spec.Containers {
		pp.parts = append(pp.parts, newContainer(pp, &p.Spec.Containers[i]))
	}
	go pp.run(ctx)
	return pp
}

// podID returns a name that is short enough for a network link.
func podID(p *corev1.Pod) string { return string(p.UID)[:8] }

// run prepares the pod, runs its containers and cleans up after them.
func (pp *processPod) run(ctx context.Context) {
	if pp.prepare(ctx) {
		go pp.refresh(ctx)
		var wg sync.WaitGroup
		for _, c := range pp.parts {
			wg.Go(func() { c.run(ctx) })
		}
		wg.Wait()
	}
	<-ctx.Done() // a pod whose containers have all completed waits to be deleted
	pp.mu.Lock()
	stopping := pp.stopping
	pp.mu.Unlock()
	if !stopping {
		return // only the kubelet ends; the pod goes on without it
	}
	pp.k.cleanUp(pp.id)
	close(pp.ended)
	pp.again()
}

// prepare makes the pod's network and volumes and tries until it succeeds.
func (pp *processPod) prepare(ctx context.Context) bool {
	for {
		err := pp.prepareOnce(ctx)
		if err == nil {
			return true
		}
		pp.k.log.Warn("prepare pod", "pod", pp.current().Name, "err", err)
		for _, c := range pp.parts {
			c.waiting("ContainerCreating", err.Error())
		}
		pp.again()
		// Soon: the usual reason is that the API server has not yet seen that
		// this node may read what its new pod refers to.
		if !sleep(ctx, 250*time.Millisecond) {
			return false
		}
	}
}

func (pp *processPod) prepareOnce(ctx context.Context) error {
	if !pp.current().Spec.HostNetwork {
		if err := host.CreatePod(pp.cfg.Lab, pp.k.node, pp.id, pp.ips); err != nil {
			return err
		}
	}
	return pp.writeVolumes(ctx)
}

// refresh keeps the volumes as the API objects are: rotated tokens, changed
// secrets and config maps.
func (pp *processPod) refresh(ctx context.Context) {
	for sleep(ctx, 2*time.Second) {
		if err := pp.writeVolumes(ctx); err != nil && ctx.Err() == nil {
			pp.k.log.Warn("refresh volumes", "pod", pp.current().Name, "err", err)
		}
	}
}

// netns returns the namespace the pod's processes live in.
func (pp *processPod) netns() string {
	if pp.current().Spec.HostNetwork {
		return pp.cfg.Netns(pp.k.node)
	}
	return host.PodNetns(pp.cfg.Lab, pp.k.node, pp.id)
}

func (pp *processPod) current() *corev1.Pod {
	pp.mu.Lock()
	defer pp.mu.Unlock()
	return pp.pod
}

func (pp *processPod) update(p *corev1.Pod) {
	pp.mu.Lock()
	defer pp.mu.Unlock()
	pp.pod = p
}

func (pp *processPod) containers() []corev1.ContainerStatus {
	var out []corev1.ContainerStatus
	for _, c := range pp.parts {
		out = append(out, c.snapshot())
	}
	return out
}

// stop sends SIGTERM to all containers now and SIGKILL after the grace time.
func (pp *processPod) stop(grace time.Duration) bool {
	select {
	case <-pp.ended:
		return true
	default:
	}
	pp.mu.Lock()
	first := !pp.stopping
	pp.stopping = true
	pp.mu.Unlock()
	if first {
		go func() {
			var wg sync.WaitGroup
			for _, c := range pp.parts {
				wg.Go(func() { c.kill(grace) })
			}
			wg.Wait()
			pp.end()
		}()
	}
	return false
}

// cleanUp removes a pod's network and directory; its logs stay.
func (k *Kubelet) cleanUp(id string) {
	if err := host.DeletePod(k.nodes.lab, k.node, id); err != nil {
		k.log.Warn("remove pod network", "id", id, "err", err)
	}
	if err := k.dir.Forget(k.node, id); err != nil {
		k.log.Warn("remove pod directory", "id", id, "err", err)
	}
}

// removeOrphan kills a container whose pod is gone.
func (k *Kubelet) removeOrphan(c state.Container) {
	if err := proc.Signal(c.ID, syscall.SIGKILL); err != nil {
		k.log.Warn("kill orphan", "pod", c.Pod, "err", err)
	}
	proc.WaitGone(c.ID, 5*time.Second)
	k.cleanUp(c.PodID)
}

// sleep waits and reports false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
