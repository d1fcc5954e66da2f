// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package members

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"runtime"
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
// MEMBERS_FILE a config file with other parameters, MEMBERS_WATCH=off leaves the detection to
// the gossip alone, and MEMBERS_HOLD the time that a
// partition and a stop last after they were noticed.
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
	hold := 700 * time.Millisecond // twice the limit and more, so that a stopped one must notice
	if d, err := time.ParseDuration(os.Getenv("MEMBERS_HOLD")); err == nil {
		hold = d
	}

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
		<-time.After(hold)
		began = clock()
		h.port("master", "br0")
		rejoined.times = append(rejoined.times, seg.all(seg.hosts, began, seg.names(seg.hosts))-began)
		return took
	})
	add("SIGSTOP", time.Second, func(h *host) time.Duration {
		took := seg.gone(h, func() { h.signal(syscall.SIGSTOP) })
		<-time.After(hold)
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
		for _, r := range h.since(0) {
			if r.Violation != "" {
				seg.t.Errorf("%s: %s", h.name, r.Violation)
			}
		}
	}
}

// TestNoFalseAlarmUnderLoad keeps every processor busy with a process at normal priority
// and expects no view to change. MEMBERS_STRESS is the time, such as 10m. The busy
// processes are also the witnesses: an alarm in the second after one of them was deprived of
// its processor is counted apart, because then the machine failed and not the speakers.
func TestNoFalseAlarmUnderLoad(t *testing.T) {
	length, err := time.ParseDuration(cmp.Or(os.Getenv("MEMBERS_STRESS"), "3s"))
	if err != nil {
		t.Fatal(err)
	}
	seg := newSegment(t, number("MEMBERS_NODES", 5))
	seg.all(seg.hosts, 0, seg.names(seg.hosts))
	began := clock()
	var burners []*host
	for i := range runtime.NumCPU() {
		burners = append(burners, startBurner(t, seg, i))
	}
	<-time.After(length)
	var deprived []time.Duration
	for _, b := range burners {
		for _, r := range b.since(began) {
			deprived = append(deprived, r.At)
			t.Logf("after %s: %s", r.At-began, r.Violation)
		}
	}
	alarms, excused, stalls := 0, 0, uint64(0)
	for _, h := range seg.hosts {
		for _, r := range h.since(began) {
			stalls = max(stalls, r.Counts.Stalls)
			switch {
			case members(seg.names(seg.hosts)...)(viewOf(r)):
			case slices.ContainsFunc(deprived, func(at time.Duration) bool { return r.At > at-time.Second && r.At < at+time.Second }):
				excused++
			default:
				alarms++
				t.Errorf("false alarm at %s after %s: %+v", h.name, r.At-began, r)
			}
		}
	}
	t.Logf("%d speakers, %s with all processors busy: %d false alarms, %d while the machine took a processor away; worst process stalled %d times",
		len(seg.hosts), length, alarms, excused, stalls)
}

// startBurner keeps a processor busy until the test ends.
func startBurner(t *testing.T, seg *segment, processor int) *host {
	t.Helper()
	b := &host{seg: seg, name: "burner", news: make(chan struct{}, 1)}
	b.cmd = exec.Command(os.Args[0])
	b.cmd.Env = append(os.Environ(), childBurner+"="+strconv.Itoa(processor))
	out, err := b.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go b.read(out)
	t.Cleanup(b.kill)
	return b
}

// since returns the reports after a time.
func (h *host) since(began time.Duration) []report {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(h.reports), func(r report) bool { return r.At < began })
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
