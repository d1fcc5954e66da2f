// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package realnode

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/clarion-lb/clarion/lab/internal/proc"
	"github.com/clarion-lb/clarion/lab/internal/state"
)

// KillPods kills every process in a container of a node, and removes its
// cgroups. Pods with a network namespace of their own are in none that the lab
// has made; what they have in common is a root below the node's directory. With
// an empty name it is every node of the lab.
func KillPods(d state.Dir, node string) error {
	deadline := time.Now().Add(10 * time.Second)
	groups := map[string]bool{}
	for {
		ids, err := containers(dir(d, node)+"/", groups)
		if err != nil {
			return err
		}
		if len(ids) == 0 {
			return removeCgroups(groups)
		}
		for _, id := range ids {
			if err := proc.Signal(id, syscall.SIGKILL); err != nil {
				return err
			}
		}
		for _, id := range ids {
			proc.WaitGone(id, time.Second)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d processes of containers survive SIGKILL", len(ids))
		}
	}
}

// containers returns the processes that have mounts below a directory, and
// adds the cgroups they are in.
func containers(below string, groups map[string]bool) ([]proc.ID, error) {
	files, err := filepath.Glob("/proc/[0-9]*/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var out []proc.ID
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil || !bytes.Contains(b, []byte(below)) {
			continue // gone meanwhile, or not ours
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(f)))
		if err != nil {
			continue
		}
		id, err := proc.Identify(pid)
		if err != nil || !proc.Alive(id) {
			continue
		}
		out = append(out, id)
		b, _ = os.ReadFile(filepath.Join(filepath.Dir(f), "cgroup")) // without it nothing is removed
		for line := range strings.Lines(string(b)) {
			if _, group, ok := strings.Cut(strings.TrimSpace(line), ":/"+runtimeCgroup+"/"); ok {
				groups["/"+runtimeCgroup+"/"+group] = true
			}
		}
	}
	return out, nil
}

// runtimeCgroup is the parent of the cgroups that containerd makes for a
// kubelet that does not say where.
const runtimeCgroup = "k8s.io"

const cgroupMount = "/sys/fs/cgroup"

func removeCgroups(groups map[string]bool) error {
	for g := range groups {
		dirs, err := filepath.Glob(cgroupMount + "/*" + g) // cgroup v1: one tree for each controller
		if err != nil {
			return fmt.Errorf("list cgroups: %w", err)
		}
		for _, d := range append(dirs, cgroupMount+g) {
			if err := syscall.Rmdir(d); err != nil && !errors.Is(err, syscall.ENOENT) {
				return fmt.Errorf("remove cgroup %s: %w", d, err)
			}
		}
	}
	return nil
}

// Forget removes what a powered-off node would not have any more: sockets and
// the state of running containers. What is on its disk, images too, stays.
func Forget(d state.Dir, node string) error {
	return errors.Join(os.RemoveAll(dir(d, node, "run")), os.RemoveAll(dir(d, node, "addresses")))
}

// Remove removes the directories that only containerd has needed, when nobody
// else uses them.
func Remove() {
	parents, _ := filepath.Glob(cgroupMount + "/*/" + runtimeCgroup) // the pattern is well-formed
	for _, p := range append(append(parents, cgroupMount+"/"+runtimeCgroup), places()...) {
		_ = syscall.Rmdir(p)
	}
}
