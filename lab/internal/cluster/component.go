// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/clarion-lb/clarion/lab/internal/proc"
	"github.com/clarion-lb/clarion/lab/internal/state"
)

// searchPath is where components look for nft, iptables and conntrack.
const searchPath = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"

// start launches a component on a host and records it.
func start(c state.Config, d state.Dir, host, name string) (state.Component, error) {
	self, err := os.Executable()
	if err != nil {
		return state.Component{}, fmt.Errorf("find the lab's own program: %w", err)
	}
	netns := c.Netns(host)
	if name == Pods {
		netns = c.Netns(c.PodHost(host))
	}
	comp := state.Component{Host: host, Name: name, Spec: proc.Spec{
		Netns: netns,
		Path:  self,
		Argv:  append(command(c, d, host, name), arguments(c, d, host, name)...),
		Env:   []string{searchPath, "HOME=/nonexistent"},
		Log:   d.Log(host, name),
	}}
	return comp, relaunch(d, &comp)
}

// relaunch starts a component as recorded and records its new process.
func relaunch(d state.Dir, comp *state.Component) error {
	_, id, err := proc.Start(comp.Spec)
	if err != nil {
		return fmt.Errorf("%s on %s: %w\n%s", comp.Name, comp.Host, err, tail(comp.Spec.Log))
	}
	comp.ID, comp.Off = id, false
	return d.SaveComponent(*comp)
}

// await polls check until it succeeds. A component that has died meanwhile
// ends the wait at once; either failure comes with the end of the log.
func await(ctx context.Context, comp state.Component, timeout time.Duration, check func() error) error {
	deadline := time.Now().Add(timeout)
	for {
		err := check()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("wait for %s on %s: %w", comp.Name, comp.Host, ctx.Err())
		}
		if !proc.Alive(comp.ID) {
			return fmt.Errorf("%s on %s ended by itself\n%s", comp.Name, comp.Host, tail(comp.Spec.Log))
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s on %s is not ready after %s: %w\n%s", comp.Name, comp.Host, timeout, err, tail(comp.Spec.Log))
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// tail returns the last lines of a log for an error message, and where the
// rest is.
func tail(path string) string {
	const lines = 12
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) || len(b) == 0 {
		return "  its log is empty: " + path
	}
	if err != nil {
		return "  " + err.Error()
	}
	all := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	if len(all) > lines {
		all = all[len(all)-lines:]
	}
	return "  the end of " + path + ":\n    " + strings.Join(all, "\n    ")
}

// stopComponent asks a component to end and kills it if it does not.
func stopComponent(comp state.Component, grace time.Duration) error {
	if err := proc.Signal(comp.ID, syscall.SIGTERM); err != nil {
		return err
	}
	if err := proc.Signal(comp.ID, syscall.SIGCONT); err != nil { // it may be stopped
		return err
	}
	if proc.WaitGone(comp.ID, grace) {
		return nil
	}
	return proc.Signal(comp.ID, syscall.SIGKILL)
}
