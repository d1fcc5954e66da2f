// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"
	"time"
)

const ms = time.Millisecond

// Passes follow each other as soon as the rest allows, from a full budget.
func TestBudgetOfPasses(t *testing.T) {
	for name, tc := range map[string]struct {
		took   time.Duration
		atOnce int           // passes before the first rest
		period time.Duration // from one pass to the next when the credit is used up
	}{
		"a few Services":     {200 * time.Microsecond, 10, passLeast},
		"a thousand":         {3 * ms, 11, passLeast},
		"thousands":          {10 * ms, 8, 40 * ms},
		"tens of thousands":  {40 * ms, 2, 160 * ms},
		"a busy machine":     {200 * ms, 100, 200 * ms}, // what a pass took has passed, too
		"a pass descheduled": {time.Second, 100, time.Second},
	} {
		var b budget
		begin := time.Unix(1000, 0)
		now, atOnce, resting := begin, 0, false
		var last, period time.Duration
		for range 100 {
			rest := b.spend(now, tc.took)
			if resting = resting || rest > 0; !resting {
				atOnce++
			}
			now = now.Add(tc.took + rest)
			period, last = now.Sub(begin)-last, now.Sub(begin)
		}
		if atOnce != tc.atOnce || period != tc.period {
			t.Errorf("%s: %d passes at once, then one each %s, want %d and %s", name, atOnce, period, tc.atOnce, tc.period)
		}
	}
}

func TestBudgetOfAFloodAndAfterIt(t *testing.T) {
	var b budget
	begin := time.Unix(1000, 0)
	now, passes := begin, 0
	for now.Sub(begin) < 10*time.Second {
		now = now.Add(ms + b.spend(now, ms))
		passes++
	}
	if passes < 400 || passes > 411 { // 40 a second, and the credit
		t.Errorf("%d passes in a flood of ten seconds", passes)
	}
	for _, tc := range []struct {
		what   string
		later  time.Duration
		atOnce int
	}{
		{"after the flood", 0, 0},
		{"a while later", 100 * ms, 4},
		{"when all is quiet", time.Minute, 10},
	} {
		later := b
		at, n := now.Add(tc.later), 0
		for later.spend(at, ms) == 0 {
			at = at.Add(ms)
			n++
		}
		if n != tc.atOnce {
			t.Errorf("%s: %d passes at once, want %d", tc.what, n, tc.atOnce)
		}
	}
}

// Rests that the membership cuts short are not to be made up for.
func TestBudgetForgivesARestCutShort(t *testing.T) {
	var b budget
	now := time.Unix(1000, 0)
	for range 1000 {
		b.spend(now, ms)
		now = now.Add(ms)
	}
	if rest := b.spend(now, ms); rest > passLeast {
		t.Errorf("rests %s after a thousand passes that did not wait", rest)
	}
}
