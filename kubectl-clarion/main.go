// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Command kubectl-clarion is the kubectl plugin: `kubectl clarion VERB`. Each verb is a file of its
// own, with a function that returns its command, and is entered in newRoot.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// version is set at link time.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := newRoot().ExecuteContext(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "error: %v\n", err)
		os.Exit(1)
	}
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "clarion",
		Short:         "Look after the addresses that Clarion announces",
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
		// kubectl finds the plugin by the name of its file and calls its verbs in this way.
		Annotations: map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl clarion"},
	}
	t := newTarget(root.PersistentFlags())
	root.AddCommand(newDrain(t), newUndrain(t), newRebalance(t), newMigrate(t))
	return root
}
