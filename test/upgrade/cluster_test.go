// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package upgrade

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/labctl"
)

// patience is how long something may take that should take a moment.
const patience = 30 * time.Second

// cluster is a lab cluster that MetalLB was in, and where its user works.
type cluster struct {
	labctl.Lab
	kubeconfig string
	dir        string // the user's folder; kubectl and helm are in it, too
}

// start brings up an empty cluster. Nobody else uses it, because Clarion must not be there.
func start(t *testing.T) *cluster {
	t.Helper()
	lab, err := labctl.Open("upgrade", os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	// No programs by component, or MetalLB's pods would run Clarion.
	down, err := lab.Fresh(t.Context(), labctl.Options{Nodes: 3, IPFamily: "ipv4", RestartDelay: "1s"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := down(); err != nil {
			t.Error(err)
		}
	})
	c := &cluster{Lab: lab, dir: t.TempDir()}
	for _, component := range []string{"controller", "speaker"} {
		for _, registry := range []string{"", "registry.example.com/clarion/"} {
			image := registry + "clarion-" + component + "=" + filepath.Join(lab.Root, "bin", component)
			if _, err := lab.Run(t.Context(), "image", image); err != nil {
				t.Fatal(err)
			}
		}
	}
	if c.kubeconfig, err = lab.Kubeconfig(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.write(t, "kubectl", fmt.Sprintf("#!/bin/sh\nexec %s --name %s kubectl -- \"$@\"\n", lab.Bin, lab.Name), 0o700)
	return c
}

func (c *cluster) write(t *testing.T, name, content string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(c.dir, name), []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

// kubectl runs it and returns what it printed.
func (c *cluster) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := c.Kubectl(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (c *cluster) apply(t *testing.T, manifests string) {
	t.Helper()
	if err := c.Apply(t.Context(), manifests); err != nil {
		t.Fatal(err)
	}
}

func (c *cluster) eventually(t *testing.T, what string, check func(context.Context) error) {
	t.Helper()
	if err := labctl.Eventually(t.Context(), patience, check); err != nil {
		t.Errorf("%s: %v", what, err)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// elected is the node that MetalLB's speakers choose: that with the lowest SHA-256 of its name,
// "#" and the address.
func elected(addr string, nodes ...string) string {
	return slices.MinFunc(nodes, func(a, b string) int {
		x, y := sha256.Sum256([]byte(a+"#"+addr)), sha256.Sum256([]byte(b+"#"+addr))
		return slices.Compare(x[:], y[:])
	})
}
