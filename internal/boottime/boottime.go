// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Package boottime tells a time that goes on while the machine is suspended. It decides
// nothing; whoever must notice that the node stood still compares two readings.
package boottime

import (
	"time"

	"golang.org/x/sys/unix"
)

// Now returns the time since boot. Unlike Go's monotonic clock it counts the time that the
// machine was suspended, and unlike the wall clock no NTP step moves it.
func Now() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic("CLOCK_BOOTTIME: " + err.Error()) // exists since Linux 2.6.39
	}
	return time.Duration(ts.Nano())
}
