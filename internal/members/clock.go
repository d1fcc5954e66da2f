// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package members

import (
	"time"

	"github.com/clarion-lb/clarion/internal/boottime"
)

// clock is the time by which all of this package goes: a suspended machine has stood still.
func clock() time.Duration { return boottime.Now() }

// stale says whether so much time has passed since the last beat of the process that its
// peers may have declared it dead, whatever it remembers.
func stale(last, now, limit time.Duration) bool {
	return now-last > limit
}
