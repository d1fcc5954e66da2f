// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Package host builds the lab's hosts: network namespaces on one bridge, with
// the addresses, routes and kernel settings of package topo. It is the only
// place that creates or removes namespaces and links; it starts no process.
package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"strings"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

const netnsDir = "/run/netns"

// NetnsPath returns the file that holds the named namespace.
func NetnsPath(name string) string { return filepath.Join(netnsDir, name) }

// NetnsExists reports whether the named namespace is there.
func NetnsExists(name string) bool {
	var st unix.Statfs_t
	return unix.Statfs(NetnsPath(name), &st) == nil && st.Type == unix.NSFS_MAGIC
}

// ListNetns returns the namespaces whose names begin with prefix, also those
// left half made by a crash, sorted.
func ListNetns(prefix string) ([]string, error) {
	entries, err := os.ReadDir(netnsDir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list namespaces: %w", err)
	}
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			names = append(names, e.Name())
		}
	}
	sort.Strings(names)
	return names, nil
}

// Do calls f on a thread inside the named namespace. Sockets opened and
// children started by f itself belong to that namespace; goroutines started
// by f do not. An empty name means the caller's own namespace.
func Do(name string, f func() error) error {
	if name == "" {
		return f()
	}
	fd, err := netns.GetFromName(name)
	if err != nil {
		return fmt.Errorf("open namespace %s: %w", name, err)
	}
	defer fd.Close()
	return onThread(func() error {
		if err := netns.Set(fd); err != nil {
			return fmt.Errorf("enter namespace %s: %w", name, err)
		}
		return f()
	})
}

// onThread runs f on a locked thread that is put back into its network
// namespace afterwards. A thread that cannot be put back stays locked, and the
// runtime destroys it with its goroutine.
func onThread(f func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := netns.Get()
		if err != nil {
			runtime.UnlockOSThread()
			result <- fmt.Errorf("remember namespace: %w", err)
			return
		}
		defer home.Close()
		err = f()
		if netns.Set(home) == nil {
			runtime.UnlockOSThread()
		}
		result <- err
	}()
	return <-result
}

// createNetns makes a named namespace, as `ip netns add` does.
func createNetns(name string) error {
	if err := shareNetnsDir(); err != nil {
		return err
	}
	err := onThread(func() error {
		fd, err := netns.NewNamed(name)
		if err == nil {
			fd.Close()
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("create namespace %s: %w", name, err)
	}
	return nil
}

// shareNetnsDir makes /run/netns a shared mount, as the first `ip netns add` on
// a machine does. It must be done before the first namespace: if somebody else
// did it later, our mounts would exist twice, once hidden below, and their files
// could never be removed.
func shareNetnsDir() error {
	if err := os.MkdirAll(netnsDir, 0o755); err != nil {
		return fmt.Errorf("make %s: %w", netnsDir, err)
	}
	err := unix.Mount("", netnsDir, "", unix.MS_SHARED|unix.MS_REC, "")
	if errors.Is(err, unix.EINVAL) { // not a mount yet
		if err = unix.Mount(netnsDir, netnsDir, "", unix.MS_BIND|unix.MS_REC, ""); err == nil {
			err = unix.Mount("", netnsDir, "", unix.MS_SHARED|unix.MS_REC, "")
		}
	}
	if err != nil {
		return fmt.Errorf("share %s: %w", netnsDir, err)
	}
	return nil
}

// tidyNetnsDir removes /run/netns, mount and directory, if nobody has a
// namespace there.
func tidyNetnsDir() error {
	entries, err := os.ReadDir(netnsDir)
	if errors.Is(err, os.ErrNotExist) || len(entries) > 0 {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", netnsDir, err)
	}
	if err := unix.Unmount(netnsDir, 0); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("unmount %s: %w", netnsDir, err)
	}
	// It may have come into use in this moment; then it stays.
	_ = os.Remove(netnsDir)
	return nil
}

// DeleteNetns removes a named namespace, whole or half made. The namespace
// itself ends with its last process.
func DeleteNetns(name string) error {
	path := NetnsPath(name)
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil &&
		!errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmount namespace %s: %w", name, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove namespace %s: %w", name, err)
	}
	return nil
}

// sysctl sets kernel settings of the namespace the calling thread is in, in
// the given order. A setting the kernel does not have is left out.
func sysctl(settings ...string) error {
	for _, s := range settings {
		key, value, _ := strings.Cut(s, "=")
		path := "/proc/sys/" + strings.ReplaceAll(key, ".", "/")
		err := os.WriteFile(path, []byte(value), 0)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("set %s: %w", s, err)
		}
	}
	return nil
}
