// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/clarion-lb/clarion/lab/internal/host"
	"github.com/clarion-lb/clarion/lab/internal/proc"
	"github.com/clarion-lb/clarion/lab/internal/realnode"
	"github.com/clarion-lb/clarion/lab/internal/state"
	"github.com/clarion-lb/clarion/lab/internal/topo"
)

// Faults breaks and repairs one running lab.
type Faults struct {
	Dir    state.Dir
	Config state.Config
}

// Signal sends a signal to a component of a host or to the matching containers
// on a node. Whether anything was hit matters: a fault that did nothing would
// make a test pass for the wrong reason.
func (f *Faults) Signal(host, name string, sig syscall.Signal) error {
	ids, err := f.find(host, name)
	if err != nil {
		return err
	}
	hit := false
	for _, id := range ids {
		if !proc.Alive(id) {
			continue
		}
		hit = true
		if err := proc.Signal(id, sig); err != nil {
			return err
		}
		if sig == syscall.SIGKILL && !proc.WaitGone(id, 10*time.Second) {
			return fmt.Errorf("%s on %s survives SIGKILL", name, host)
		}
	}
	if !hit {
		return fmt.Errorf("%s on %s is not running", name, host)
	}
	return nil
}

// find returns the processes that the user's words mean.
func (f *Faults) find(host, name string) ([]proc.ID, error) {
	if _, err := f.Config.Addrs(host); err != nil {
		return nil, err
	}
	comp, err := f.Dir.Component(host, name)
	if err == nil {
		return []proc.ID{comp.ID}, nil
	}
	containers, cerr := f.Dir.Containers(host)
	if cerr != nil {
		return nil, cerr
	}
	var ids []proc.ID
	var known []string
	for _, c := range containers {
		if c.Matches(name) {
			ids = append(ids, c.ID)
		}
		known = append(known, c.Name)
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("%w; its containers: %s", err, strings.Join(known, " "))
	}
	return ids, nil
}

// Start starts a component that is not running, with the arguments it had. It
// returns when an etcd or API server answers: others do not work before.
func (f *Faults) Start(ctx context.Context, host, name string) error {
	comp, err := f.Dir.Component(host, name)
	if err != nil {
		return err
	}
	if proc.Alive(comp.ID) {
		return fmt.Errorf("%s on %s is already running", name, host)
	}
	if err := relaunch(f.Dir, &comp); err != nil {
		return err
	}
	return awaitAnswers(ctx, f.Config, f.Dir, comp)
}

// Link pulls or plugs a host's cable.
func (f *Faults) Link(name string, up bool) error {
	return host.SetLink(f.Config.Lab, name, up)
}

// PowerOff makes a node vanish: first its link, in one step, then its
// processes, then what its kernel knew.
func (f *Faults) PowerOff(node string) error {
	l := f.Config.Lab
	if !l.IsNode(node) {
		return fmt.Errorf("%s is not a node", node)
	}
	if !host.NetnsExists(l.Netns(node)) {
		return fmt.Errorf("%s is already off", node)
	}
	if err := host.Unplug(l, node); err != nil {
		return err
	}
	spaces, err := nodeNetns(l, node)
	if err != nil {
		return err
	}
	if err := proc.KillAllIn(spaces, 10*time.Second); err != nil {
		return err
	}
	errs := []error{realnode.KillPods(f.Dir, node), realnode.Forget(f.Dir, node)}
	for _, s := range spaces {
		errs = append(errs, host.DeleteNetns(s))
	}
	for _, name := range nodeComponents(f.Config) {
		comp, err := f.Dir.Component(node, name)
		if err == nil {
			comp.Off = true
			err = f.Dir.SaveComponent(comp)
		}
		errs = append(errs, err)
	}
	errs = append(errs, f.Dir.ForgetNode(node))
	return errors.Join(errs...)
}

// PowerOn boots a node that was powered off.
func (f *Faults) PowerOn(ctx context.Context, node string) error {
	l := f.Config.Lab
	if !l.IsNode(node) {
		return fmt.Errorf("%s is not a node", node)
	}
	if host.NetnsExists(l.Netns(node)) {
		return fmt.Errorf("%s is already on", node)
	}
	if err := host.CreateHost(l, node); err != nil {
		return err
	}
	return startNode(ctx, f.Config, f.Dir, node)
}

// nodeNetns returns the namespaces of a node, its played pods and its process pods.
func nodeNetns(l topo.Lab, node string) ([]string, error) {
	pods, err := host.NodePodNetns(l, node)
	return append([]string{l.Netns(node), l.Netns(l.PodHost(node))}, pods...), err
}

// Logs returns the log files that the user's words mean, oldest first.
func Logs(d state.Dir, host, name string) ([]string, error) {
	if comp, err := d.Component(host, name); err == nil {
		return []string{comp.Spec.Log}, nil
	}
	containers, err := d.Containers(host)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, c := range containers {
		if c.Matches(name) {
			files = append(files, c.Log)
		}
	}
	if len(files) > 0 {
		return files, nil
	}
	// Pods that are gone have left their logs.
	files, err = filepath.Glob(d.Path("logs", host+".*"+name+"*.log"))
	if err != nil || len(files) > 0 {
		return files, err
	}
	all, _ := os.ReadDir(d.Path("logs"))
	var names []string
	for _, e := range all {
		names = append(names, strings.TrimSuffix(e.Name(), ".log"))
	}
	return nil, fmt.Errorf("no log of %s on %s; there are: %s", name, host, strings.Join(names, " "))
}
