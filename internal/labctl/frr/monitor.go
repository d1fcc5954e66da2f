// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package frr

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"
)

// RouteChange is a change of the kernel's routes in the router's namespace: what packets follow,
// whatever BGP believes.
type RouteChange struct {
	Time    time.Time
	Prefix  netip.Prefix
	Deleted bool
	Hops    []string // next hops, sorted; none when deleted
}

// Monitor collects the changes of the kernel's routes with their times.
type Monitor struct {
	cmd  *exec.Cmd
	done chan struct{}

	mu      sync.Mutex
	changes []RouteChange
	changed chan struct{} // closed and replaced at each change
}

// Monitor begins to collect. Stop ends it.
func (r *Router) Monitor() (*Monitor, error) {
	m := &Monitor{cmd: exec.Command("ip", "netns", "exec", r.netns, "ip", "-o", "-ts", "monitor", "route"), done: make(chan struct{}), changed: make(chan struct{})} //nolint:gosec // the namespace is one of the tests
	m.cmd.Stderr = os.Stderr
	out, err := m.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("monitor routes: %w", err)
	}
	if err := m.cmd.Start(); err != nil {
		return nil, fmt.Errorf("monitor routes: %w", err)
	}
	go m.read(out)
	return m, m.listening()
}

// listening waits until the kernel has the program's subscription.
func (m *Monitor) listening() error {
	pid := fmt.Sprint(m.cmd.Process.Pid)
	for range 500 {
		// The socket is shown with the process that opened it.
		data, err := os.ReadFile("/proc/" + pid + "/net/netlink") //nolint:gosec // pid is of the process just started
		if err == nil && slices.ContainsFunc(strings.Split(string(data), "\n"), func(line string) bool {
			f := strings.Fields(line)
			return len(f) > 3 && f[1] == "0" && f[2] == pid && f[3] != "00000000"
		}) {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	m.Stop()
	return fmt.Errorf("monitor routes: ip monitor does not listen")
}

func (m *Monitor) read(out io.Reader) {
	defer close(m.done)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		c, ok := parseChange(lines.Text())
		if !ok {
			continue
		}
		m.mu.Lock()
		m.changes = append(m.changes, c)
		close(m.changed)
		m.changed = make(chan struct{})
		m.mu.Unlock()
	}
	_ = m.cmd.Wait() // killed by Stop
}

// Stop ends the collection and returns all that was collected.
func (m *Monitor) Stop() []RouteChange {
	_ = m.cmd.Process.Kill() // it may have ended by itself
	<-m.done
	return m.Changes()
}

// Changes returns what has been collected so far.
func (m *Monitor) Changes() []RouteChange {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.changes)
}

// Wait returns the first change, past or future, that the function accepts.
func (m *Monitor) Wait(ctx context.Context, limit time.Duration, accept func(RouteChange) bool) (RouteChange, error) {
	deadline := time.After(limit)
	for seen := 0; ; {
		m.mu.Lock()
		news, changed := m.changes[seen:], m.changed
		m.mu.Unlock()
		if i := slices.IndexFunc(news, accept); i >= 0 {
			return news[i], nil
		}
		seen += len(news)
		select {
		case <-changed:
		case <-deadline:
			return RouteChange{}, fmt.Errorf("no such change of routes within %s; the last are %v", limit, m.last(5))
		case <-ctx.Done():
			return RouteChange{}, ctx.Err()
		}
	}
}

func (m *Monitor) last(n int) []RouteChange {
	all := m.Changes()
	return all[max(0, len(all)-n):]
}

// parseChange reads one line of `ip -o -ts monitor route`.
func parseChange(line string) (RouteChange, bool) {
	var c RouteChange
	stamp, rest, ok := strings.Cut(strings.TrimPrefix(line, "["), "] ")
	if !ok {
		return c, false
	}
	var err error
	if c.Time, err = time.ParseInLocation("2006-01-02T15:04:05.999999", stamp, time.Local); err != nil {
		return c, false
	}
	rest = strings.TrimPrefix(rest, "[ROUTE]")
	rest, c.Deleted = strings.CutPrefix(rest, "Deleted ")
	words := strings.Fields(strings.ReplaceAll(rest, `\`, " "))
	if len(words) == 0 {
		return c, false
	}
	if c.Prefix, ok = parsePrefix(words[0]); !ok {
		return c, false // local, broadcast, default, ...
	}
	for i, w := range words[:len(words)-1] {
		if w == "via" && !c.Deleted {
			hop := words[i+1]
			if hop == "inet6" && i+2 < len(words) { // an IPv4 route by an IPv6 neighbour
				hop = words[i+2]
			}
			c.Hops = append(c.Hops, hop)
		}
	}
	slices.Sort(c.Hops)
	return c, true
}

// parsePrefix reads "192.0.2.0/24" and the "192.0.2.1" that stands for a single address.
func parsePrefix(s string) (netip.Prefix, bool) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p, true
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(a, a.BitLen()), true
}
