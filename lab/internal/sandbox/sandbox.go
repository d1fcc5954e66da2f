// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Package sandbox turns a child of the kubelet into a container's process: it
// builds a private root directory, gives up every right the container does not
// have, and replaces itself by the container's program, which so keeps the pid
// the kubelet knows. The network namespace is the one it is started in. What
// the container may have is decided by package pod.
package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/clarion-lb/clarion/lab/internal/pod"
)

// Program is the name of the sandbox in argv[0]; argv[1] is a file with the Spec.
const Program = "lab-sandbox"

// Spec is one container.
type Spec struct {
	Root     string            `json:"root"`    // an empty directory on the machine
	Program  string            `json:"program"` // program file on the machine
	Argv     []string          `json:"argv"`    // argv[0] is the program's place inside
	Env      []string          `json:"env"`
	Dir      string            `json:"dir"` // working directory inside
	Hostname string            `json:"hostname"`
	Files    map[string]string `json:"files"` // small files inside, such as /etc/hosts
	Mounts   []Mount           `json:"mounts"`
	Security pod.Security      `json:"security"`
}

// Mount shows a file or directory of the machine inside.
type Mount struct {
	Source   string `json:"source"`
	Target   string `json:"target"`
	ReadOnly bool   `json:"readOnly"`
}

// exitCannotRun is the exit code of a container that could not be started.
const exitCannotRun = 128

// Main builds the sandbox and becomes the program.
func Main() int {
	fmt.Fprintln(os.Stderr, "lab-sandbox:", run(os.Args[1:])) // it returns on failure only
	return exitCannotRun
}

func run(args []string) error {
	if len(args) != 1 {
		return errors.New("want one argument, the specification's file")
	}
	b, err := os.ReadFile(args[0])
	if err != nil {
		return fmt.Errorf("read specification: %w", err)
	}
	var s Spec
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("decode specification: %w", err)
	}
	// Namespaces and capabilities belong to a thread; exec makes this one the
	// whole process.
	runtime.LockOSThread()
	if err := s.isolate(); err != nil {
		return err
	}
	if err := restrict(s.Security); err != nil {
		return err
	}
	err = syscall.Exec(s.Argv[0], s.Argv, s.Env)
	if errors.Is(err, syscall.ENOENT) {
		return fmt.Errorf("run %s: %w (is it a static binary? there are no libraries in here: build with CGO_ENABLED=0)", s.Program, err)
	}
	return fmt.Errorf("run %s as %s: %w", s.Program, s.Argv[0], err)
}

// isolate moves into a new root directory in new mount, host name and IPC
// namespaces. All of it vanishes with the process.
func (s *Spec) isolate() error {
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	if err := unix.Sethostname([]byte(s.Hostname)); err != nil {
		return fmt.Errorf("set host name: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("container", s.Root, "tmpfs", unix.MS_NODEV, "mode=755,size=64m"); err != nil {
		return fmt.Errorf("mount root: %w", err)
	}
	if err := s.populate(); err != nil {
		return err
	}
	// pivot_root(".", ".") stacks the old root on the new one; then it is taken off.
	if err := unix.Chdir(s.Root); err != nil {
		return fmt.Errorf("enter root: %w", err)
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("change root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leave old root: %w", err)
	}
	if s.Security.ReadOnlyRoot {
		if err := unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|unix.MS_NODEV, ""); err != nil {
			return fmt.Errorf("make root read-only: %w", err)
		}
	}
	dir := s.Dir
	if dir == "" {
		dir = "/"
	}
	if err := unix.Chdir(dir); err != nil {
		return fmt.Errorf("enter working directory %s: %w", dir, err)
	}
	return nil
}

// populate fills the new root: the program, kernel file systems, a few
// devices, small files and the container's volumes.
func (s *Spec) populate() error {
	if err := os.Mkdir(s.in("/tmp"), 0o777); err != nil {
		return fmt.Errorf("make /tmp: %w", err)
	}
	if err := os.Chmod(s.in("/tmp"), 0o1777); err != nil { // past the umask
		return fmt.Errorf("make /tmp: %w", err)
	}
	for path, content := range s.Files {
		if err := os.MkdirAll(filepath.Dir(s.in(path)), 0o755); err != nil {
			return fmt.Errorf("make directory of %s: %w", path, err)
		}
		if err := os.WriteFile(s.in(path), []byte(content), 0o644); err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
	}
	if err := s.kernelMounts(); err != nil {
		return err
	}
	mounts := []Mount{{Source: s.Program, Target: s.Argv[0], ReadOnly: true}}
	for _, dev := range []string{"null", "zero", "full", "random", "urandom"} {
		mounts = append(mounts, Mount{Source: "/dev/" + dev, Target: "/dev/" + dev})
	}
	mounts = append(mounts, s.Mounts...)
	for _, m := range mounts {
		if err := s.bind(m); err != nil {
			return fmt.Errorf("mount %s on %s: %w", m.Source, m.Target, err)
		}
	}
	// Only now, because the place of one volume may have to be made inside another.
	for _, m := range mounts {
		if err := s.seal(m); err != nil {
			return fmt.Errorf("make %s read-only: %w", m.Target, err)
		}
	}
	return nil
}

func (s *Spec) kernelMounts() error {
	ro := uintptr(unix.MS_RDONLY)
	if s.Security.Privileged {
		ro = 0
	}
	const safe = unix.MS_NOSUID | unix.MS_NOEXEC | unix.MS_NODEV
	for _, m := range []struct {
		target, kind string
		flags        uintptr
	}{
		{"/proc", "proc", safe},
		{"/sys", "sysfs", safe | ro},
		{"/dev", "tmpfs", unix.MS_NOSUID | unix.MS_NOEXEC},
	} {
		if err := os.MkdirAll(s.in(m.target), 0o755); err != nil {
			return fmt.Errorf("make %s: %w", m.target, err)
		}
		if err := unix.Mount(m.kind, s.in(m.target), m.kind, m.flags, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m.target, err)
		}
	}
	if s.Security.Privileged {
		return nil
	}
	sys := Mount{Source: s.in("/proc/sys"), Target: "/proc/sys", ReadOnly: true}
	if err := s.bind(sys); err != nil {
		return err
	}
	return s.seal(sys)
}

func (s *Spec) bind(m Mount) error {
	target := s.in(m.Target)
	st, err := os.Stat(m.Source)
	if err != nil {
		return err
	}
	if err := makeTarget(target, st.IsDir()); err != nil {
		return err
	}
	return unix.Mount(m.Source, target, "", unix.MS_BIND|unix.MS_REC, "")
}

// seal makes a mount that shall be so read-only.
func (s *Spec) seal(m Mount) error {
	if !m.ReadOnly {
		return nil
	}
	return unix.Mount("", s.in(m.Target), "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, "")
}

// makeTarget makes the place to mount on: a directory on a directory, a file
// on a file.
func makeTarget(path string, dir bool) error {
	if dir {
		return os.MkdirAll(path, 0o755)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o755)
	if err != nil {
		return err
	}
	return f.Close()
}

// in returns the place of an inside path before the root is changed.
func (s *Spec) in(path string) string { return filepath.Join(s.Root, path) }
