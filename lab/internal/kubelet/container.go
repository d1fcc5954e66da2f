// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kubelet

import (
	"context"
	"fmt"
	"os/exec"
	"sync"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarion-lb/clarion/lab/internal/pod"
	"github.com/clarion-lb/clarion/lab/internal/proc"
	"github.com/clarion-lb/clarion/lab/internal/state"
)

// container is one container of a process pod. Containers without a program
// are Running and do nothing.
type container struct {
	pp      *processPod
	spec    *corev1.Container
	program string // "" if only played
	log     string

	mu       sync.Mutex
	status   corev1.ContainerStatus
	id       proc.ID // of the last started process
	failures int     // restarts in a row, for the back-off
	restart  bool    // the next start is a restart
}

func newContainer(pp *processPod, spec *corev1.Container) *container {
	c := &container{
		pp: pp, spec: spec, program: pod.Program(pp.pod, spec, pp.cfg.Images),
		log: pp.k.dir.Log(pp.k.node, pp.pod.Namespace+"_"+pp.pod.Name+"_"+spec.Name),
	}
	c.status = corev1.ContainerStatus{Name: spec.Name, Image: spec.Image, ImageID: "lab://" + c.program}
	c.status.State.Waiting = &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}
	for _, s := range pp.pod.Status.ContainerStatuses {
		if s.Name == spec.Name && s.ContainerID != "" {
			// It ran before, under an earlier kubelet or before a power cycle.
			c.status.RestartCount = s.RestartCount + 1
			c.status.LastTerminationState = s.LastTerminationState
		}
	}
	return c
}

// run keeps the container running until ctx ends or its policy is satisfied.
func (c *container) run(ctx context.Context) {
	if c.program == "" {
		c.setRunning(time.Now(), true)
		c.pp.again()
		<-ctx.Done()
		return
	}
	ended := c.adopt(ctx)
	for {
		if ended == nil {
			var err error
			if ended, err = c.start(ctx); err != nil {
				c.pp.k.log.Warn("start container", "pod", c.pp.pod.Name, "container", c.spec.Name, "err", err)
				c.waiting("CreateContainerConfigError", err.Error())
				c.pp.again()
				if !sleep(ctx, 2*time.Second) {
					return
				}
				continue
			}
		}
		code, ok := c.watch(ctx, ended)
		if !ok {
			c.settle()
			return
		}
		ended = nil
		wait, again := c.exited(code)
		c.pp.again()
		if !again || !sleep(ctx, wait) {
			return
		}
	}
}

// watch waits for the process to end while its probes run.
func (c *container) watch(ctx context.Context, ended <-chan int) (code int, ok bool) {
	probing, stop := context.WithCancel(ctx)
	defer stop()
	go c.health(probing)
	c.pp.again()
	select {
	case code = <-ended:
		return code, true
	case <-ctx.Done():
		return 0, false
	}
}

// settle is called when the pod's context has ended: if the pod is to end, a
// process that was started in the last moment goes as well.
func (c *container) settle() {
	c.pp.mu.Lock()
	stopping := c.pp.stopping
	c.pp.mu.Unlock()
	if stopping {
		c.kill(0)
	}
}

// adopt finds the process that an earlier kubelet started for this container.
func (c *container) adopt(ctx context.Context) <-chan int {
	known, err := c.pp.k.dir.Containers(c.pp.k.node)
	if err != nil {
		return nil
	}
	for _, r := range known {
		if r.UID != string(c.pp.pod.UID) || r.Name != c.spec.Name || !proc.Alive(r.ID) {
			continue
		}
		c.setRunning(r.Started, false)
		c.mu.Lock()
		c.id, c.status.RestartCount = r.ID, r.Restarts
		c.mu.Unlock()
		ended := make(chan int, 1)
		go func() {
			for ctx.Err() == nil {
				if proc.WaitGone(r.ID, time.Second) {
					ended <- exitUnknown
					return
				}
			}
		}()
		return ended
	}
	return nil
}

// exitUnknown is reported for a process that is not this kubelet's child.
const exitUnknown = 255

// start runs the container's program in its sandbox.
func (c *container) start(ctx context.Context) (<-chan int, error) {
	spec, err := c.sandbox(ctx)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	cmd, id, err := proc.Start(spec)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	if c.restart {
		c.status.RestartCount++
	}
	c.id, c.restart = id, false
	c.running(now, false)
	err = c.pp.k.dir.SaveContainer(state.Container{
		Node: c.pp.k.node, PodID: c.pp.id, UID: string(c.pp.pod.UID), Pod: c.pp.pod.Namespace + "/" + c.pp.pod.Name,
		Name: c.spec.Name, Component: pod.Component(c.pp.pod), Log: c.log, ID: id, Restarts: c.status.RestartCount, Started: now,
	})
	if err != nil {
		c.pp.k.log.Warn("record container", "err", err)
	}
	ended := make(chan int, 1)
	go func() { ended <- exitCode(cmd) }()
	return ended, nil
}

// exitCode waits for a child and returns its exit code as a shell would.
func exitCode(cmd *exec.Cmd) int {
	_ = cmd.Wait() // the state says more than the error
	ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return cmd.ProcessState.ExitCode()
}

// exited writes down how the process ended and says whether and when the
// container starts again.
func (c *container) exited(code int) (wait time.Duration, again bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &corev1.ContainerStateTerminated{
		ExitCode: int32(code), Reason: "Completed", ContainerID: c.status.ContainerID, FinishedAt: metav1.Now(),
	}
	if code != 0 {
		t.Reason = "Error"
	}
	if code > 128 && code < exitUnknown {
		t.Signal = int32(code - 128)
	}
	ran := time.Duration(0)
	if r := c.status.State.Running; r != nil {
		t.StartedAt = r.StartedAt
		ran = time.Since(r.StartedAt.Time)
	}
	c.status.Ready, c.status.Started = false, new(bool)
	policy := c.pp.current().Spec.RestartPolicy
	if policy == corev1.RestartPolicyNever || policy == corev1.RestartPolicyOnFailure && code == 0 {
		c.status.State = corev1.ContainerState{Terminated: t}
		return 0, false
	}
	wait, c.failures = pod.Backoff(c.pp.cfg.RestartDelay, ran, c.failures)
	c.status.LastTerminationState = corev1.ContainerState{Terminated: t}
	c.status.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{
		Reason: "CrashLoopBackOff", Message: fmt.Sprintf("back-off %s restarting container %s", wait, c.spec.Name)}}
	c.restart = true
	return wait, true
}

// kill sends SIGTERM, and SIGKILL after the grace time.
func (c *container) kill(grace time.Duration) {
	c.mu.Lock()
	id := c.id
	c.mu.Unlock()
	if id.PID == 0 || !proc.Alive(id) {
		return
	}
	if grace > 0 {
		if err := proc.Signal(id, syscall.SIGTERM); err != nil {
			c.pp.k.log.Warn("terminate container", "container", c.spec.Name, "err", err)
		}
		if proc.WaitGone(id, grace) {
			return
		}
	}
	if err := proc.Signal(id, syscall.SIGKILL); err != nil {
		c.pp.k.log.Warn("kill container", "container", c.spec.Name, "err", err)
	}
	proc.WaitGone(id, 10*time.Second)
}

func (c *container) setRunning(since time.Time, ready bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running(since, ready)
}

// running sets the status of a process that has just begun. Without probes a
// container is ready when it runs.
func (c *container) running(since time.Time, ready bool) {
	started := c.spec.StartupProbe == nil
	c.status.Started = &started
	c.status.Ready = ready || started && c.spec.ReadinessProbe == nil
	c.status.ContainerID = fmt.Sprintf("lab://%s/%s/%d", c.pp.pod.UID, c.spec.Name, c.status.RestartCount)
	c.status.State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(since.Truncate(time.Second))}}
}

func (c *container) waiting(reason, message string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
}

func (c *container) snapshot() corev1.ContainerStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	return *c.status.DeepCopy()
}
