// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kubelet

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarion-lb/clarion/lab/internal/pod"
	"github.com/clarion-lb/clarion/lab/internal/proc"
	"github.com/clarion-lb/clarion/lab/internal/sandbox"
	"github.com/clarion-lb/clarion/lab/internal/state"
)

// sandbox writes down what the container is to be and returns how to start it.
func (c *container) sandbox(ctx context.Context) (proc.Spec, error) {
	p := c.pp.current()
	facts, err := c.pp.facts(ctx)
	if err != nil {
		return proc.Spec{}, err
	}
	env, err := pod.Environment(p, c.spec, facts)
	if err != nil {
		return proc.Spec{}, err
	}
	security, err := pod.SecurityOf(p, c.spec)
	if err != nil {
		return proc.Spec{}, err
	}
	mounts, err := c.mounts(p)
	if err != nil {
		return proc.Spec{}, err
	}
	hostname := p.Name
	if p.Spec.HostNetwork {
		hostname = c.pp.k.node
	}
	dir := c.pp.k.dir.PodDir(c.pp.k.node, c.pp.id)
	s := sandbox.Spec{
		Root:    filepath.Join(dir, c.spec.Name+".root"),
		Program: c.program, Argv: pod.Command(c.spec, c.program, env), Env: env, Dir: c.spec.WorkingDir,
		Hostname: hostname, Mounts: mounts, Security: security,
		Files: map[string]string{
			"/etc/hosts":       fmt.Sprintf("127.0.0.1 localhost\n::1 localhost\n%s %s\n", facts.PodIPs[0], hostname),
			"/etc/hostname":    hostname + "\n",
			"/etc/resolv.conf": fmt.Sprintf("search %s.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n", p.Namespace),
			"/etc/passwd":      "root:x:0:0::/:/none\nnonroot:x:65532:65532::/:/none\n",
		},
	}
	if err := os.MkdirAll(s.Root, 0o755); err != nil {
		return proc.Spec{}, fmt.Errorf("make root: %w", err)
	}
	file := filepath.Join(dir, c.spec.Name+".spec")
	if err := state.WriteJSON(file, s); err != nil {
		return proc.Spec{}, err
	}
	self, err := os.Executable()
	if err != nil {
		return proc.Spec{}, fmt.Errorf("find the lab's own program: %w", err)
	}
	return proc.Spec{Netns: c.pp.netns(), Path: self, Argv: []string{sandbox.Program, file}, Log: c.log}, nil
}

// mounts returns where the pod's volumes are for this container.
func (c *container) mounts(p *corev1.Pod) ([]sandbox.Mount, error) {
	var out []sandbox.Mount
	for _, m := range c.spec.VolumeMounts {
		source, err := c.pp.volumePath(p, m.Name)
		if err != nil {
			return nil, err
		}
		out = append(out, sandbox.Mount{Source: filepath.Join(source, m.SubPath), Target: m.MountPath, ReadOnly: m.ReadOnly})
	}
	return out, nil
}
