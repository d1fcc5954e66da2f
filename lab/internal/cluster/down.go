// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/clarion-lb/clarion/lab/internal/host"
	"github.com/clarion-lb/clarion/lab/internal/proc"
	"github.com/clarion-lb/clarion/lab/internal/realnode"
	"github.com/clarion-lb/clarion/lab/internal/state"
	"github.com/clarion-lb/clarion/lab/internal/topo"
)

// Down removes the lab from whatever state it is in. It goes by what exists on
// the machine, namespaces and the processes in them, and not by the records:
// those may be missing or wrong after a crash. The caller holds the lock.
func Down(d state.Dir, l topo.Lab) error {
	names, err := host.ListNetns(l.Netns(""))
	if err != nil {
		return err
	}
	var errs []error
	if err := proc.KillAllIn(names, 20*time.Second); err != nil {
		errs = append(errs, fmt.Errorf("stop processes: %w", err))
	}
	errs = append(errs, realnode.KillPods(d, ""), host.Destroy(l), d.Remove(), leftovers(d, l))
	realnode.Remove()
	return errors.Join(errs...)
}

// leftovers checks that nothing of the lab is there any more.
func leftovers(d state.Dir, l topo.Lab) error {
	names, err := host.ListNetns(l.Netns(""))
	if err != nil {
		return err
	}
	if len(names) > 0 {
		return fmt.Errorf("namespaces are left: %s", strings.Join(names, " "))
	}
	if d.Exists() {
		return fmt.Errorf("directory is left: %s", d.Path())
	}
	return nil
}
