// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Package proc starts the lab's long-lived processes and finds, signals and
// awaits them later from another process. A process is known by its pid and
// its start time, so that a recycled pid is never hit. The package does not
// decide what runs or when it is restarted.
package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clarion-lb/clarion/lab/internal/host"
)

// ID names one process for good; Start is field 22 of /proc/PID/stat.
type ID struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"`
}

// Spec says what to start and where.
type Spec struct {
	Netns string   `json:"netns"` // name under /run/netns
	Path  string   `json:"path"`  // the program file
	Argv  []string `json:"argv"`  // argv[0] included
	Env   []string `json:"env"`   // the whole environment
	Log   string   `json:"log"`   // stdout and stderr are appended here
}

// Start runs the program in its namespace, in a session of its own, so that it
// outlives the caller and never sees the terminal's signals. The returned
// command must be waited for if the caller lives on.
func Start(s Spec) (*exec.Cmd, ID, error) {
	log, err := os.OpenFile(s.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, ID{}, fmt.Errorf("open log: %w", err)
	}
	defer log.Close()
	cmd := &exec.Cmd{
		Path: s.Path, Args: s.Argv, Env: s.Env, Dir: "/",
		Stdout: log, Stderr: log,
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	// A child inherits the network namespace of the thread that forks it.
	if err := host.Do(s.Netns, cmd.Start); err != nil {
		return nil, ID{}, fmt.Errorf("start %s: %w", s.Argv[0], err)
	}
	id, err := Identify(cmd.Process.Pid)
	if err != nil {
		return nil, ID{}, fmt.Errorf("start %s: it ended at once: %w", s.Argv[0], err)
	}
	return cmd, id, nil
}

// Identify returns the ID of a running process.
func Identify(pid int) (ID, error) {
	st, err := stat(pid)
	return ID{PID: pid, Start: st.start}, err
}

// Alive reports whether the process still runs. A zombie does not: nobody may
// reap it for a while, and signal 0 would call it alive. One whose first thread
// is a zombie while others are still ending does run: they keep its sockets
// open, for more than 100 ms where much memory is freed.
func Alive(id ID) bool {
	return State(id) != "dead"
}

// State returns "running", "stopped" (SIGSTOP) or "dead".
func State(id ID) string {
	st, err := stat(id.PID)
	switch {
	case err != nil || st.start != id.Start || st.ended():
		return "dead"
	case st.state == 'T' || st.state == 't':
		return "stopped"
	}
	return "running"
}

// Signal sends a signal to exactly this process. A process that is gone is not
// an error: the caller wanted it gone or will see it in State.
func Signal(id ID, sig syscall.Signal) error {
	fd, err := unix.PidfdOpen(id.PID, 0)
	if errors.Is(err, unix.ESRCH) || id.PID == 0 {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open pid %d: %w", id.PID, err)
	}
	defer unix.Close(fd)
	// The start time is read after the pidfd was opened: from here on the pid
	// cannot be recycled without the pidfd going stale.
	if !Alive(id) {
		return nil
	}
	if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("send %s to pid %d: %w", sig, id.PID, err)
	}
	return nil
}

// WaitGone waits until the process has ended and reports whether it did.
func WaitGone(id ID, timeout time.Duration) bool {
	fd, err := unix.PidfdOpen(id.PID, 0)
	if err != nil {
		return !Alive(id)
	}
	defer unix.Close(fd)
	deadline := time.Now().Add(timeout)
	for Alive(id) {
		left := time.Until(deadline)
		if left <= 0 {
			return false
		}
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, int(left.Milliseconds())+1); err != nil && !errors.Is(err, unix.EINTR) {
			return false
		}
	}
	return true
}

// InNetns returns every process whose network namespace is one of the named
// ones. It finds what no record knows, such as a process whose starter was
// killed before it could write the record.
func InNetns(names []string) ([]ID, error) {
	want := map[uint64]bool{}
	for _, n := range names {
		var st unix.Stat_t
		if err := unix.Stat(host.NetnsPath(n), &st); err == nil {
			want[st.Ino] = true
		}
	}
	if len(want) == 0 {
		return nil, nil
	}
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var out []ID
	for _, d := range dirs {
		var st unix.Stat_t
		if unix.Stat(d+"/ns/net", &st) != nil || !want[st.Ino] {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(d))
		if err != nil || pid == os.Getpid() {
			continue
		}
		if id, err := Identify(pid); err == nil {
			out = append(out, id)
		}
	}
	return out, nil
}

// KillAllIn kills every process in the named namespaces and waits until they
// are gone. It looks again after each round, because a process may have forked.
func KillAllIn(names []string, timeout time.Duration) error {
	deadline := time.Now().Add(timeout)
	for {
		ids, err := InNetns(names)
		if err != nil {
			return err
		}
		alive := 0
		for _, id := range ids {
			if !Alive(id) {
				continue
			}
			alive++
			if err := Signal(id, syscall.SIGKILL); err != nil {
				return err
			}
		}
		if alive == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d processes in %s survive SIGKILL", alive, strings.Join(names, " "))
		}
		for _, id := range ids {
			WaitGone(id, time.Until(deadline))
		}
	}
}

// status is what /proc/PID/stat says of a process.
type status struct {
	state   byte   // R, S, D, Z, T, ...; that of the first thread
	threads int    // that are left, the first included
	start   uint64 // ticks since boot
}

// ended reports whether no thread is left but a first one that nobody has reaped.
func (s status) ended() bool {
	return (s.state == 'Z' || s.state == 'X') && s.threads <= 1
}

func stat(pid int) (status, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return status{}, err
	}
	return parseStat(b)
}

// parseStat reads fields 3 (state), 20 (num_threads) and 22 (starttime), see proc(5).
func parseStat(b []byte) (st status, err error) {
	// The command name is in brackets and may itself hold brackets and blanks.
	i := bytes.LastIndexByte(b, ')')
	if i < 0 {
		return st, fmt.Errorf("parse stat %q: no command name", b)
	}
	f := strings.Fields(string(b[i+1:]))
	if len(f) < 20 {
		return st, fmt.Errorf("parse stat %q: too few fields", b)
	}
	st.state = f[0][0]
	if st.threads, err = strconv.Atoi(f[17]); err != nil {
		return st, fmt.Errorf("parse stat %q: %w", b, err)
	}
	if st.start, err = strconv.ParseUint(f[19], 10, 64); err != nil {
		return st, fmt.Errorf("parse stat %q: %w", b, err)
	}
	return st, nil
}
