// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Package netnstest lets tests change real interfaces: it runs them in a network namespace of
// their own, which the kernel removes with the process. That needs root, and fails without.
package netnstest

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

const inside = "CLARION_TEST_INSIDE_NETNS"

// Inside says whether this process runs in a namespace that this package made.
func Inside() bool { return os.Getenv(inside) != "" }

// Command returns this program with other arguments, in a namespace of its own that is empty
// but for a loopback interface that is down. It dies with the calling thread.
func Command(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...) //nolint:gosec // the test itself
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	return cmd
}

// Main runs all tests of a package in one namespace and exits. It is for TestMain.
func Main(run func() int) {
	if Inside() {
		os.Exit(run())
	}
	cmd := Command(os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := cmd.Run()
	if cmd.ProcessState == nil {
		fmt.Fprintln(os.Stderr, "make a network namespace for the tests, which needs root:", err)
		os.Exit(1)
	}
	os.Exit(cmd.ProcessState.ExitCode())
}
