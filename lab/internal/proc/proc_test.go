// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package proc

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestParseStatSurvivesBracketsInTheName(t *testing.T) {
	line := "42 (a) Z (b) S 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 1 2"
	got, err := parseStat([]byte(line))
	if want := (status{state: 'S', threads: 1, start: 98765}); err != nil || got != want {
		t.Errorf("parseStat = %+v, %v, want %+v", got, err, want)
	}
	for _, bad := range []string{"", "42 a S", "42 (a) S 1"} {
		if _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("parseStat(%q): want an error", bad)
		}
	}
}

// listens makes this program, when its environment has it, a process whose
// first thread has ended while others hold a socket: a killed one, too, is such
// a process for a while.
const listens = "CLARION_TEST_LISTENS"

func init() {
	runtime.LockOSThread() // TestMain runs on the first thread
}

func TestMain(m *testing.M) {
	if os.Getenv(listens) == "" {
		os.Exit(m.Run())
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() {
		fmt.Println(l.Addr())
		time.Sleep(time.Minute) // until it is killed
	}()
	_, _, _ = syscall.Syscall(syscall.SYS_EXIT, 0, 0, 0)
}

func TestAProcessIsGoneWhenItsLastThreadIs(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), listens+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	id, err := Identify(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if WaitGone(id, 100*time.Millisecond) || !Alive(id) {
		t.Error("gone with a thread left that listens")
	}
	if err := Signal(id, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if !WaitGone(id, 5*time.Second) {
		t.Fatal("the killed process counts as alive")
	}
	l, err := net.Listen("tcp", strings.TrimSpace(addr))
	if err != nil {
		t.Fatalf("gone, but its port is not free: %v", err)
	}
	l.Close()
	_ = cmd.Wait() // killed, as wanted
}

func TestSignalHitsOnlyTheProcessWithThatStartTime(t *testing.T) {
	cmd := exec.Command("cat")
	stdin, err := cmd.StdinPipe() // keeps cat waiting
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	id, err := Identify(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	recycled := ID{PID: id.PID, Start: id.Start + 1}
	if err := Signal(recycled, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if Alive(recycled) || !Alive(id) {
		t.Errorf("Alive(recycled) = %v, Alive(id) = %v, want false, true", Alive(recycled), Alive(id))
	}
	if err := Signal(id, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	// Not reaped yet: a zombie must count as gone.
	if !WaitGone(id, 5*time.Second) {
		t.Error("the killed process counts as alive")
	}
	if got := State(id); got != "dead" {
		t.Errorf("State = %q, want dead", got)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the process was not killed")
	}
}

func TestAliveOfSelf(t *testing.T) {
	id, err := Identify(os.Getpid())
	if err != nil || !Alive(id) || State(id) != "running" {
		t.Errorf("self: %v, %v, alive %v", id, err, Alive(id))
	}
}
