// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

// gcPercent is how much garbage may lie about, in per cent of what is in use. Go's 100 would have
// memory pay for a copy of everything. A speaker that starts with 10,000 routes needs 137 MiB and
// not 195, for no more CPU time; for a controller, collecting four times as often costs a tenth of a
// millisecond for each address given in a cluster with 20,000 Services. In a flood of new Services the
// collector is a third of a speaker's CPU time. The environment GOGC overrides it.
const gcPercent = 25

// Main is the main function of a program: it runs until SIGINT or SIGTERM and turns an error
// into one line on stderr and exit code 1.
func Main(program string, run func(ctx context.Context, args []string, getenv func(string) string) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	err := run(ctx, os.Args[1:], os.Getenv)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(os.Stderr, "%s: %v\n", program, err)
		os.Exit(1)
	}
}
