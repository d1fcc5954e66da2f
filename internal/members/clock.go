// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package members

import (
	"time"

	"golang.org/x/sys/unix"
)

// clock returns the time since boot. Unlike Go's monotonic clock it goes on while the
// machine is suspended, and unlike the wall clock no NTP step moves it.
func clock() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic("CLOCK_BOOTTIME: " + err.Error()) // exists since Linux 2.6.39
	}
	return time.Duration(ts.Nano())
}

// stale says whether so much time has passed since the last beat of the process that its
// peers may have declared it dead, whatever it remembers.
func stale(last, now, limit time.Duration) bool {
	return now-last > limit
}
