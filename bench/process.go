// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/clarion-lb/clarion/internal/labctl"
)

// process is a program under measurement, read from /proc: it works for any binary.
type process struct {
	pid     int
	started time.Time
}

// usage is what a process has used so far.
type usage struct {
	cpu  time.Duration
	peak int64 // bytes of resident memory, the most there ever was
}

// controllerProcess waits until the controller of the lab has a process.
func (c *cluster) controllerProcess(ctx context.Context) (process, error) {
	return runningProcess(ctx, c.lab, "controller", "", 0)
}

// runningProcess waits until a component has a process on a host, "" for any, that is not
// the one given.
func runningProcess(ctx context.Context, lab labctl.Lab, component, host string, not int) (process, error) {
	var p process
	err := labctl.Eventually(ctx, time.Minute, func(ctx context.Context) error {
		found, err := lab.Processes(ctx)
		if err != nil {
			return err
		}
		for _, f := range found {
			if f.Component == component && (host == "" || f.Host == host) && f.PID != not {
				p.pid = f.PID
				p.started, err = startTime(f.Start)
				return err
			}
		}
		return fmt.Errorf("no %s among %d processes", component, len(found))
	})
	return p, err
}

// ticksPerSecond is USER_HZ, the unit of times in /proc on every architecture that matters.
const ticksPerSecond = 100

// startTime turns ticks since boot into a time of day.
func startTime(ticks int64) (time.Time, error) {
	data, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return time.Time{}, fmt.Errorf("read uptime: %w", err)
	}
	var up float64
	if _, err := fmt.Sscan(string(data), &up); err != nil {
		return time.Time{}, fmt.Errorf("read uptime: %w", err)
	}
	ago := up - float64(ticks)/ticksPerSecond
	return time.Now().Add(-time.Duration(ago * float64(time.Second))), nil
}

// usage reads the CPU time from stat and the peak memory from status.
func (p process) usage() (usage, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid))
	if err != nil {
		return usage{}, fmt.Errorf("read CPU time: %w", err)
	}
	// The fields after the command name, which is in parentheses and may hold anything.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	const utime, stime = 11, 12 // proc(5): fields 14 and 15
	if len(fields) <= stime {
		return usage{}, fmt.Errorf("read CPU time: %d fields in stat", len(fields))
	}
	var ticks int64
	for _, i := range []int{utime, stime} {
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return usage{}, fmt.Errorf("read CPU time: %w", err)
		}
		ticks += n
	}
	peak, err := p.peakMemory()
	return usage{cpu: time.Duration(ticks) * time.Second / ticksPerSecond, peak: peak}, err
}

func (p process) peakMemory() (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	if err != nil {
		return 0, fmt.Errorf("read peak memory: %w", err)
	}
	for line := range strings.Lines(string(status)) {
		var kib int64
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kib); err == nil {
			return kib << 10, nil
		}
	}
	return 0, fmt.Errorf("read peak memory: no VmHWM of process %d", p.pid)
}
