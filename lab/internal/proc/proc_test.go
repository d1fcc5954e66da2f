// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package proc

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

func TestParseStatSurvivesBracketsInTheName(t *testing.T) {
	line := "42 (a) Z (b) S 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 1 2"
	state, start, err := parseStat([]byte(line))
	if err != nil || state != 'S' || start != 98765 {
		t.Errorf("parseStat = %c, %d, %v, want S, 98765", state, start, err)
	}
	for _, bad := range []string{"", "42 a S", "42 (a) S 1"} {
		if _, _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("parseStat(%q): want an error", bad)
		}
	}
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
