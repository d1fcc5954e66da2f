// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/clarion-lb/clarion/lab/internal/cluster"
)

func (a *app) fault() *cobra.Command {
	c := &cobra.Command{Use: "fault", Short: "Break something, and repair it"}
	for _, s := range []struct {
		name, short string
		sig         syscall.Signal
	}{
		{"kill", "Send SIGKILL to a component", syscall.SIGKILL},
		{"term", "Send SIGTERM to a component", syscall.SIGTERM},
		{"stop", "Freeze a component (SIGSTOP)", syscall.SIGSTOP},
		{"cont", "Thaw a frozen component (SIGCONT)", syscall.SIGCONT},
	} {
		c.AddCommand(a.action(s.name+" NODE COMPONENT", s.short, 2, func(f *cluster.Faults, args []string) error {
			return f.Signal(args[0], args[1], s.sig)
		}))
	}
	c.AddCommand(
		a.action("start NODE COMPONENT", "Start a component that was killed", 2, func(f *cluster.Faults, args []string) error {
			return f.Start(context.Background(), args[0], args[1])
		}),
		a.action("link-down HOST", "Pull a host's cable: it loses its carrier", 1, func(f *cluster.Faults, args []string) error {
			return f.Link(args[0], false)
		}),
		a.action("link-up HOST", "Plug the cable in again", 1, func(f *cluster.Faults, args []string) error {
			return f.Link(args[0], true)
		}),
		a.action("power-off NODE", "Cut the link and kill everything on a node at once", 1, func(f *cluster.Faults, args []string) error {
			return f.PowerOff(args[0])
		}),
		a.action("power-on NODE", "Boot a node that was powered off", 1, func(f *cluster.Faults, args []string) error {
			return f.PowerOn(context.Background(), args[0])
		}),
		a.action("heal", "Remove all partitions and plug in all cables", 0, func(f *cluster.Faults, _ []string) error {
			return f.Heal()
		}),
		a.partition(),
	)
	return c
}

func (a *app) partition() *cobra.Command {
	var oneWay bool
	var ports []uint
	c := a.action("partition A B", "Drop what two hosts send each other; the carrier stays", 2,
		func(f *cluster.Faults, args []string) error {
			return f.Partition(cluster.Cut{From: args[0], To: args[1], OneWay: oneWay, Ports: ports})
		})
	c.Flags().BoolVar(&oneWay, "one-way", false, "drop only what A sends to B")
	c.Flags().UintSliceVar(&ports, "port", nil, "drop only TCP and UDP from or to these ports, such as memberlist's 7946")
	return c
}

// action is a fault verb with n arguments.
func (a *app) action(use, short string, n int, run func(*cluster.Faults, []string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(n),
		RunE: func(_ *cobra.Command, args []string) error {
			d, c, err := a.load()
			if err != nil {
				return err
			}
			return run(&cluster.Faults{Dir: d, Config: c}, args)
		},
	}
}
