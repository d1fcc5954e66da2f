// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package realnode

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/clarion-lb/clarion/lab/internal/proc"
	"github.com/clarion-lb/clarion/lab/internal/state"
	"github.com/clarion-lb/clarion/lab/internal/topo"
)

const cgroupMount = "/sys/fs/cgroup"

// KillPods kills every process in a container of a node: those that have a
// network namespace of their own are in no namespace that the lab has made.
// With an empty name it is every node of the lab.
func KillPods(l topo.Lab, node string) error {
	deadline := time.Now().Add(10 * time.Second)
	for {
		ids, err := inCgroup(strings.TrimSuffix(cgroup(l, node), "/"))
		if err != nil || len(ids) == 0 {
			return err
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

// inCgroup returns the processes whose cgroup, in any hierarchy, is below prefix.
func inCgroup(prefix string) ([]proc.ID, error) {
	files, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var out []proc.ID
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil || !strings.Contains(string(b), ":"+prefix+"/") {
			continue // gone meanwhile, or not ours
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(f)))
		if err != nil {
			continue
		}
		if id, err := proc.Identify(pid); err == nil && proc.Alive(id) {
			out = append(out, id)
		}
	}
	return out, nil
}

// Forget removes what a powered-off node would not have any more: sockets and
// the state of running containers. What is on its disk, images too, stays.
func Forget(d state.Dir, node string) error {
	return errors.Join(os.RemoveAll(dir(d, node, "run")), os.RemoveAll(dir(d, node, "addresses")))
}

// Remove removes the cgroups of a lab's pods and the directories that only
// containerd has needed.
func Remove(l topo.Lab) error {
	var groups []string
	tops, err := filepath.Glob(cgroupMount + "/*" + strings.TrimSuffix(cgroup(l, ""), "/"))
	if err != nil {
		return fmt.Errorf("list cgroups: %w", err)
	}
	for _, top := range append(tops, cgroupMount+strings.TrimSuffix(cgroup(l, ""), "/")) {
		err := filepath.WalkDir(top, func(path string, e fs.DirEntry, err error) error {
			if err == nil && e.IsDir() {
				groups = append(groups, path)
			}
			return nil // a cgroup that vanishes meanwhile is what is wanted
		})
		if err != nil {
			return fmt.Errorf("list cgroups: %w", err)
		}
		groups = append(groups, filepath.Dir(top))
	}
	slices.SortFunc(groups, func(a, b string) int { return len(b) - len(a) }) // children first
	for _, g := range groups {
		if err := syscall.Rmdir(g); err != nil && !errors.Is(err, syscall.ENOENT) && filepath.Base(g) != "clarion-lab" {
			return fmt.Errorf("remove cgroup %s: %w", g, err)
		}
	}
	for _, p := range places() {
		_ = os.Remove(p) // only when empty: it may be in use by others
	}
	return nil
}
