// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package realnode

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/clarion-lb/clarion/lab/internal/state"
)

// Program is the name by which the lab's binary becomes containerd in a mount
// namespace of its own; the arguments are containerd's.
const Program = "containerd"

// JoinProgram is the name by which it enters the mount namespace that
// containerd has made for a node, and becomes another program there.
const JoinProgram = "join-mounts"

// JoinArgs returns the command line, but for its own arguments, of a program
// that is to run among a node's mounts.
func JoinArgs(d state.Dir, node, program string) []string {
	return []string{JoinProgram, d.Path(), node, program}
}

// places are the directories outside the node's own that containerd and its
// plugins have no setting for. Each node sees its own there.
func places() []string { return []string{"/run/containerd", "/var/lib/cni"} }

// Main becomes containerd.
func Main() int {
	fmt.Fprintln(os.Stderr, "lab containerd:", become(os.Args[1:])) // it returns on failure only
	return 1
}

func become(args []string) error {
	path, err := exec.LookPath("containerd")
	if err != nil {
		return err
	}
	// The thread keeps the namespace it makes: exec makes it the only one.
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	for _, p := range places() {
		if err := os.MkdirAll(p, 0o755); err != nil {
			return fmt.Errorf("make %s: %w", p, err)
		}
		if err := unix.Mount("containerd", p, "tmpfs", unix.MS_NOSUID, "mode=755"); err != nil {
			return fmt.Errorf("mount %s: %w", p, err)
		}
	}
	// Volumes that the kubelet mounts must be seen by the containers that have
	// asked for propagation, so the tree is shared within the namespace.
	if err := unix.Mount("", "/", "", unix.MS_SHARED|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("share mounts: %w", err)
	}
	return fmt.Errorf("run %s: %w", path, syscall.Exec(path, append([]string{"containerd"}, args...), os.Environ()))
}

// Join becomes the program that JoinArgs names.
func Join() int {
	fmt.Fprintln(os.Stderr, "lab join-mounts:", join(os.Args[1:])) // it returns on failure only
	return 1
}

func join(args []string) error {
	if len(args) < 3 {
		return errors.New("want a state directory, a node and a command line")
	}
	// Read now and not when the command line was made: containerd may have been
	// started again.
	holder, err := state.At(args[0]).Component(args[1], Program)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the lab's own program: %w", err)
	}
	fd, err := unix.Open(fmt.Sprintf("/proc/%d/ns/mnt", holder.ID.PID), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open the mount namespace of containerd: %w", err)
	}
	runtime.LockOSThread()
	// A thread may change its mount namespace only when it shares its root and
	// working directory with no other.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	if err := unix.Setns(fd, unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("enter the mount namespace of containerd: %w", err)
	}
	return fmt.Errorf("run %s: %w", args[2], syscall.Exec(self, args[2:], os.Environ()))
}
