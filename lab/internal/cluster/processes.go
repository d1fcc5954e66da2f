// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"github.com/clarion-lb/clarion/lab/internal/proc"
	"github.com/clarion-lb/clarion/lab/internal/state"
)

// Process is a running program of the lab, for tools that look at it through /proc.
type Process struct {
	Host      string `json:"host"`
	Component string `json:"component"` // apiserver, kube-proxy, ...; of a pod, its component label
	PID       int    `json:"pid"`
	Start     uint64 `json:"start"` // clock ticks since boot, as in /proc/PID/stat
}

// Processes lists what runs, components before pods, host by host.
func Processes(d state.Dir, c state.Config) ([]Process, error) {
	comps, err := d.Components()
	if err != nil {
		return nil, err
	}
	out := []Process{}
	add := func(host, component string, id proc.ID) {
		if proc.State(id) == "running" {
			out = append(out, Process{Host: host, Component: component, PID: id.PID, Start: id.Start})
		}
	}
	for _, comp := range comps {
		add(comp.Host, comp.Name, comp.ID)
	}
	for _, h := range c.Hosts() {
		containers, err := d.Containers(h)
		if err != nil {
			return nil, err
		}
		for _, ct := range containers {
			add(h, ct.Component, ct.ID)
		}
	}
	return out, nil
}
