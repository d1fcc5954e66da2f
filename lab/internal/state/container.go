// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package state

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"time"

	"github.com/clarion-lb/clarion/lab/internal/proc"
)

// Container is a running or ended process of a pod. The kubelet of the node
// writes it; a kubelet that was restarted finds its containers by it.
type Container struct {
	Node      string    `json:"node"`
	PodID     string    `json:"podID"`
	UID       string    `json:"uid"`
	Pod       string    `json:"pod"` // namespace/name
	Name      string    `json:"name"`
	Component string    `json:"component"` // the pod's component label
	Log       string    `json:"log"`
	ID        proc.ID   `json:"id"`
	Restarts  int32     `json:"restarts"`
	Started   time.Time `json:"started"`
}

// PodDir returns the directory of one process pod.
func (d Dir) PodDir(node, podID string) string { return d.Path("pods", node, podID) }

// PlayFile says which pods the workload process of a node plays.
func (d Dir) PlayFile(node string) string { return d.Path("pods", node+".play") }

// PlaySocket is where that process is told to read PlayFile again.
func (d Dir) PlaySocket(node string) string { return d.Path("pods", node+".sock") }

// SaveContainer records a container.
func (d Dir) SaveContainer(c Container) error {
	return WriteJSON(filepath.Join(d.PodDir(c.Node, c.PodID), c.Name+".json"), c)
}

// Containers returns the recorded containers of a node, sorted by pod and name.
func (d Dir) Containers(node string) ([]Container, error) {
	files, err := filepath.Glob(d.Path("pods", node, "*", "*.json"))
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	var out []Container
	for _, f := range files {
		var c Container
		if err := readJSON(f, &c); err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	sort.Slice(out, func(i, j int) bool {
		return out[i].Pod+"/"+out[i].Name < out[j].Pod+"/"+out[j].Name
	})
	return out, nil
}

// Forget removes all that is kept of one pod.
func (d Dir) Forget(node, podID string) error {
	if err := os.RemoveAll(d.PodDir(node, podID)); err != nil {
		return fmt.Errorf("remove pod directory: %w", err)
	}
	return nil
}

// ForgetNode removes all that is kept of a node's pods.
func (d Dir) ForgetNode(node string) error {
	for _, path := range []string{d.Path("pods", node), d.PlayFile(node), d.PlaySocket(node)} {
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("remove pods of %s: %w", node, err)
		}
	}
	return nil
}

// Matches reports whether the user's word means this container.
func (c Container) Matches(word string) bool { return c.Name == word || c.Component == word }
