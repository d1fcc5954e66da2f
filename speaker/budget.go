// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import "time"

// What a pass over the cluster costs, in time to wait before the next: four times what it took, so that
// planning takes a quarter of a core at most, and as much as 40 passes a second leave when
// it took next to nothing. A pass during which the machine gave the processor to others proves
// nothing about what planning costs, so no more than passMost of it counts.
const (
	passFactor = 4
	passLeast  = 25 * time.Millisecond
	passMost   = 50 * time.Millisecond
	// passCredit is for the few passes that one change needs: a Service, its endpoints and what
	// the wire answers come within milliseconds, and each is worth telling the network at once.
	passCredit = 250 * time.Millisecond
)

// budget bounds what passes cost under a flood of changes. It is a token bucket, kept as the moment
// at which it will be full (the virtual scheduling algorithm of ITU-T I.371). The zero value is full.
type budget struct {
	full time.Time
}

// spend pays for a pass and returns how long to rest after it. What was overdrawn because a rest
// ended early is forgiven.
func (b *budget) spend(begin time.Time, took time.Duration) (rest time.Duration) {
	if b.full.Before(begin) {
		b.full = begin
	}
	if overdrawn := begin.Add(passCredit); b.full.After(overdrawn) {
		b.full = overdrawn
	}
	b.full = b.full.Add(max(passLeast, passFactor*min(took, passMost)))
	return max(0, b.full.Sub(begin)-took-passCredit)
}
