// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package frr

import (
	"bufio"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Updates collects when UPDATE messages arrived at the router: what a speaker is answerable for. FRR
// itself waits 50 ms before it works on one (the hold of bgpd's work queue), in case more follow.
type Updates struct {
	cmd  *exec.Cmd
	done chan struct{}

	mu sync.Mutex
	at []time.Time
}

// Updates begins to collect; Stop ends it. Segments that begin with another message do not count.
func (r *Router) Updates() (*Updates, error) {
	// The type of a BGP message is behind its marker and length: the 19th octet of the payload.
	const update = "tcp dst port 179 and tcp[((tcp[12] & 0xf0) >> 2) + 18] = 2"
	u := &Updates{
		cmd:  exec.Command("ip", "netns", "exec", r.netns, "tcpdump", "-i", "eth0", "-Z", "root", "--immediate-mode", "-l", "-nn", "-tt", "-q", "ip and "+update), //nolint:gosec // the namespace is one of the tests
		done: make(chan struct{}),
	}
	out, err := u.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("capture UPDATEs: %w", err)
	}
	if err := u.cmd.Start(); err != nil {
		return nil, fmt.Errorf("capture UPDATEs: %w", err)
	}
	go u.read(out)
	time.Sleep(500 * time.Millisecond) // tcpdump says that it listens before it does
	return u, nil
}

func (u *Updates) read(out io.Reader) {
	defer close(u.done)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		stamp, _, _ := strings.Cut(lines.Text(), " ")
		sec, micro, _ := strings.Cut(stamp, ".")
		s, err := strconv.ParseInt(sec, 10, 64)
		us, err2 := strconv.ParseInt(micro, 10, 64)
		if err != nil || err2 != nil {
			continue
		}
		u.mu.Lock()
		u.at = append(u.at, time.Unix(s, us*1000))
		u.mu.Unlock()
	}
	_ = u.cmd.Wait() // killed by Stop
}

// Stop ends the collection.
func (u *Updates) Stop() {
	_ = u.cmd.Process.Kill() // it may have ended by itself
	<-u.done
}

// First returns the first UPDATE after a moment.
func (u *Updates) First(after time.Time) (time.Time, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, at := range u.at {
		if at.After(after) {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("no UPDATE after %s", after)
}
