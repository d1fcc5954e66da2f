// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package members

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/lb"
)

// series are the times of one kind of event.
type series struct {
	name  string
	times []time.Duration
}

func (s *series) String() string {
	sorted := slices.Sorted(slices.Values(s.times))
	ms := func(d time.Duration) int64 { return d.Milliseconds() }
	return fmt.Sprintf("%-28s %4d %6d %6d %6d", s.name, len(sorted),
		ms(sorted[0]), ms(sorted[len(sorted)/2]), ms(sorted[len(sorted)-1]))
}

// within fails the test if the worst time exceeds the limit. The limits leave room for a
// busy machine; the figures of a quiet one are in the package's documentation.
func (s *series) within(t *testing.T, limit time.Duration) {
	t.Helper()
	if worst := slices.Max(s.times); worst > limit {
		t.Errorf("%s took %s, the limit is %s", s.name, worst, limit)
	}
}

// TestDetectionOverLinks measures how long the segment needs to agree after each kind of
// event. MEMBERS_RUNS is the number of rounds, MEMBERS_NODES the number of speakers,
// MEMBERS_FILE a config file with other parameters.
func TestDetectionOverLinks(t *testing.T) {
	seg := newSegment(t, number("MEMBERS_NODES", 5))
	seg.all(seg.hosts, 0, seg.names(seg.hosts))
	var table []*series
	add := func(name string, limit time.Duration, f func(h *host) time.Duration) {
		s := &series{name: name}
		for i := range number("MEMBERS_RUNS", 2) {
			s.times = append(s.times, f(seg.hosts[i%len(seg.hosts)]))
		}
		if os.Getenv("MEMBERS_FILE") == "" {
			s.within(t, limit)
		}
		table = append(table, s)
	}
	back := &series{name: "restarted, known to all"}
	cut := &series{name: "link cut, peers dead there"}
	healed := &series{name: "link restored, all agree"}
	rejoined := &series{name: "partition healed, all agree"}
	resumed := &series{name: "SIGCONT, all agree"}
	slow := 3 * time.Second

	add("SIGKILL", time.Second, func(h *host) time.Duration {
		took := seg.gone(h, func() { h.kill() })
		began := clock()
		h.start()
		back.times = append(back.times, seg.all(seg.hosts, began, seg.names(seg.hosts))-began)
		return took
	})
	add("Leave", 400*time.Millisecond, func(h *host) time.Duration {
		took := seg.gone(h, func() { h.order(order{Leave: true}) })
		h.kill()
		began := clock()
		h.start()
		seg.all(seg.hosts, began, seg.names(seg.hosts))
		return took
	})
	add("link cut", time.Second, func(h *host) time.Duration {
		began := clock()
		took := seg.gone(h, func() { h.port("down") })
		cut.times = append(cut.times, h.seen(began, []string{})-began)
		began = clock()
		h.port("up")
		healed.times = append(healed.times, seg.all(seg.hosts, began, seg.names(seg.hosts))-began)
		return took
	})
	add("partition without carrier", time.Second, func(h *host) time.Duration {
		began := clock()
		took := seg.gone(h, func() { h.port("nomaster") })
		h.seen(began, []string{h.name})
		began = clock()
		h.port("master", "br0")
		rejoined.times = append(rejoined.times, seg.all(seg.hosts, began, seg.names(seg.hosts))-began)
		return took
	})
	add("SIGSTOP", time.Second, func(h *host) time.Duration {
		took := seg.gone(h, func() { h.signal(syscall.SIGSTOP) })
		<-time.After(700 * time.Millisecond) // twice the limit and more, so that it must notice
		began := clock()
		h.signal(syscall.SIGCONT)
		resumed.times = append(resumed.times, seg.all(seg.hosts, began, seg.names(seg.hosts))-began)
		return took
	})
	for _, s := range []*series{back, healed, rejoined, resumed, cut} {
		if os.Getenv("MEMBERS_FILE") == "" {
			s.within(t, slow)
		}
		table = append(table, s)
	}
	seg.noViolations()
	t.Logf("%d speakers, ms until the last one agrees\n%-28s %4s %6s %6s %6s\n%s", len(seg.hosts),
		"event", "runs", "min", "median", "max", lines(table))
}

// gone makes a host go and returns how long the last of the others took to know.
func (seg *segment) gone(h *host, how func()) time.Duration {
	seg.t.Helper()
	others := seg.without(h)
	began := clock()
	how()
	return seg.all(others, began, seg.names(others)) - began
}

func (seg *segment) noViolations() {
	seg.t.Helper()
	for _, h := range seg.hosts {
		h.mu.Lock()
		for _, r := range h.reports {
			if r.Violation != "" {
				seg.t.Errorf("%s: %s", h.name, r.Violation)
			}
		}
		h.mu.Unlock()
	}
}

// TestNoFalseAlarmUnderLoad keeps every processor busy with a process at normal priority
// and expects no view to change. MEMBERS_STRESS is the time, such as 10m.
func TestNoFalseAlarmUnderLoad(t *testing.T) {
	length, err := time.ParseDuration(cmp.Or(os.Getenv("MEMBERS_STRESS"), "3s"))
	if err != nil {
		t.Fatal(err)
	}
	seg := newSegment(t, number("MEMBERS_NODES", 5))
	seg.all(seg.hosts, 0, seg.names(seg.hosts))
	began := clock()
	for i := range number("MEMBERS_PROCESSORS", 2) {
		burner := exec.Command(os.Args[0])
		burner.Env = append(os.Environ(), childBurner+"="+strconv.Itoa(i))
		if err := burner.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = burner.Process.Kill() // it never ends by itself
			_ = burner.Wait()
		})
	}
	<-time.After(length)
	alarms, stalls := 0, uint64(0)
	for _, h := range seg.hosts {
		h.mu.Lock()
		for _, r := range h.reports {
			if r.At > began {
				stalls = max(stalls, r.Counts.Stalls)
				if !members(seg.names(seg.hosts)...)(viewOf(r)) {
					alarms++
					t.Logf("%s after %s: %+v", h.name, r.At-began, r)
				}
			}
		}
		h.mu.Unlock()
	}
	t.Logf("%d speakers, %s with all processors busy: %d false alarms, worst process stalled %d times", len(seg.hosts), length, alarms, stalls)
	if alarms > 0 {
		t.Errorf("%d false alarms", alarms)
	}
}

func viewOf(r report) lb.View { return lb.View{Known: r.Known, Members: r.Members} }

func number(env string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(env)); err == nil {
		return n
	}
	return otherwise
}

func lines(table []*series) string {
	var b strings.Builder
	for _, s := range table {
		fmt.Fprintln(&b, s)
	}
	return b.String()
}
