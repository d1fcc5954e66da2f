// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"

	"github.com/clarion-lb/clarion/lab/internal/realnode"
	"github.com/clarion-lb/clarion/lab/internal/state"
)

// baseImage is the archive of the image that every node with containerd has.
const baseImage = "base-image.tar"

// CheckRuntime says whether the machine has what the pods need to run.
func CheckRuntime(runtime string) error {
	switch runtime {
	case state.Hollow:
		return nil
	case state.Containerd:
		return realnode.CheckTools()
	}
	return fmt.Errorf("runtime %q is not %s or %s", runtime, state.Hollow, state.Containerd)
}

// Import brings the images of archives to every node.
func Import(ctx context.Context, d state.Dir, c state.Config, archives []string) error {
	if c.Runtime != state.Containerd {
		return fmt.Errorf("the lab %q has no images: start it with --runtime %s", c.Name, state.Containerd)
	}
	for _, n := range c.NodeNames() {
		for _, a := range archives {
			if err := realnode.Import(ctx, d, n, a); err != nil {
				return err
			}
		}
	}
	return nil
}

func prepareRuntime(c state.Config, d state.Dir) error {
	if c.Runtime != state.Containerd {
		return nil
	}
	for _, n := range c.NodeNames() {
		if err := realnode.Prepare(c, d, n); err != nil {
			return err
		}
	}
	return realnode.WriteBaseImage(d.Path(baseImage))
}
