// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package frr

import (
	"bytes"
	"os/exec"
	"sync"
	"time"
)

// daemon is a program that runs until it is killed.
type daemon struct {
	cmd  *exec.Cmd
	out  output
	done chan struct{}
}

// start runs `ip` with arguments that end in a program; `ip netns exec` replaces itself by it, so
// the process is the program's own.
func start(args []string) (*daemon, error) {
	d := &daemon{cmd: exec.Command("ip", args...), done: make(chan struct{})} //nolint:gosec // a program of FRR in a namespace of the tests
	d.cmd.Stdout, d.cmd.Stderr = &d.out, &d.out
	d.cmd.WaitDelay = time.Second // for grandchildren that keep the output open
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = d.cmd.Wait() // how it ended is in its output
		close(d.done)
	}()
	return d, nil
}

func (d *daemon) kill() {
	_ = d.cmd.Process.Kill() // it may have ended by itself
	<-d.done
}

func (d *daemon) ended() bool {
	select {
	case <-d.done:
		return true
	default:
		return false
	}
}

// output is what a program has printed so far.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) all() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

func (o *output) tail(n int) string {
	s := o.all()
	return s[max(0, len(s)-n):]
}
