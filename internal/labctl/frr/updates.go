// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package frr

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
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

	mu   sync.Mutex
	seen []update
}

// update is the arrival of an UPDATE from a neighbour.
type update struct {
	from netip.Addr
	at   time.Time
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
		if one, ok := parseUpdate(lines.Text()); ok {
			u.mu.Lock()
			u.seen = append(u.seen, one)
			u.mu.Unlock()
		}
	}
	_ = u.cmd.Wait() // killed by Stop
}

// Stop ends the collection.
func (u *Updates) Stop() {
	_ = u.cmd.Process.Kill() // it may have ended by itself
	<-u.done
}

// parseUpdate reads a line such as "1700000000.000123 IP 192.168.100.11.40000 > 192.168.100.1.179: tcp 60".
func parseUpdate(line string) (u update, ok bool) {
	fields := strings.Fields(line)
	if len(fields) < 3 {
		return u, false
	}
	sec, micro, _ := strings.Cut(fields[0], ".")
	s, err := strconv.ParseInt(sec, 10, 64)
	us, err2 := strconv.ParseInt(micro, 10, 64)
	from, err3 := netip.ParseAddr(fields[2][:max(0, strings.LastIndexByte(fields[2], '.'))])
	return update{from, time.Unix(s, us*1000)}, err == nil && err2 == nil && err3 == nil
}

// Between returns when, in a span of time, the first UPDATE of each neighbour arrived, the earliest first.
func (u *Updates) Between(begin, end time.Time) []time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	var out []time.Time
	known := map[netip.Addr]bool{}
	for _, one := range u.seen { // in the order of their arrival
		if one.at.After(begin) && one.at.Before(end) && !known[one.from] {
			known[one.from] = true
			out = append(out, one.at)
		}
	}
	return out
}
