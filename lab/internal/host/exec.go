// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package host

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"syscall"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Exec replaces the calling program by another one inside the named namespace.
// The program sees that namespace's interfaces under /sys as well. It returns
// only on failure.
func Exec(name string, argv, env []string) error {
	if !NetnsExists(name) {
		return fmt.Errorf("no namespace %s: is the lab up and the node powered on?", name)
	}
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return err
	}
	// The thread keeps the namespaces it is given: exec makes it the only one.
	runtime.LockOSThread()
	fd, err := netns.GetFromName(name)
	if err != nil {
		return fmt.Errorf("open namespace %s: %w", name, err)
	}
	if err := netns.Set(fd); err != nil {
		return fmt.Errorf("enter namespace %s: %w", name, err)
	}
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("leave the mount namespace: %w", err)
	}
	err = errors.Join(
		unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, ""),
		unix.Mount(name, "/sys", "sysfs", 0, ""))
	if err != nil {
		return fmt.Errorf("mount /sys of %s: %w", name, err)
	}
	return fmt.Errorf("run %s: %w", path, syscall.Exec(path, argv, env))
}
