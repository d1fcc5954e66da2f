// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/labctl"
)

// patience is how long a test waits for containers to start or end.
const patience = time.Minute

// lab is the cluster of all tests in this package; bare are its nodes before Clarion came.
var (
	lab  labctl.Lab
	bare map[string]string
)

func TestMain(m *testing.M) { labctl.Main(m.Run, withLab) }

func withLab(run func() int) (code int, err error) {
	ctx := context.Background()
	if lab, err = labctl.Open("node", os.Stderr); err != nil {
		return 1, err
	}
	down, err := lab.Fresh(ctx, labctl.Options{Nodes: 2, Runtime: "containerd"})
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, down()) }()
	images, err := filepath.Glob(built("images", "*.tar"))
	if err != nil || len(images) != 2 {
		return 1, fmt.Errorf("want the images of controller and speaker, found %v: run `make test-node`", images)
	}
	if _, err := lab.Run(ctx, append([]string{"import"}, images...)...); err != nil {
		return 1, err
	}
	if bare, err = traces(ctx); err != nil {
		return 1, err
	}
	return run(), nil
}

// built is where `make test-node` puts what is installed.
func built(names ...string) string {
	return filepath.Join(append([]string{lab.Root, "bin", "node"}, names...)...)
}

func nodes() []string { return []string{"n1", "n2"} }

func kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := lab.Kubectl(context.WithoutCancel(t.Context()), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
