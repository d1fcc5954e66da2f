// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"github.com/clarion-lb/clarion/internal/boottime"
)

var (
	// errNotLeading: what was to be written was decided as the leader, which this process may not
	// be any more.
	errNotLeading = errors.New("another process may hold the lease by now")

	// errTermOver ends every attempt to renew the Lease after that: what this process knows may
	// be older than what another one has decided.
	errTermOver = errors.New("the term of this process is over")
)

// Term is for how long this process may write as the leader. Nobody else writes earlier than
// leaseDuration after the request that renewed the Lease was sent, however long this process, or
// the machine, stood still since. So whoever writes asks Holds just before, and does not rely on
// being stopped in time: a process that wakes up runs all its goroutines, and the one that finds
// the Lease lost is only one of them.
//
// What is left is a request between that question and the wire when the process is stopped, at
// most one for each writer, and a guest whose hypervisor stops its clocks, too, until its next
// attempt to renew, after retryPeriod. Optimistic locking refuses such a request if anything was
// written to the same Service since. If it is stored all the same and its address is another
// Service's by now, the leader sees two holders and leaves the address to the older Service.
type Term struct {
	clock func() time.Duration

	mu      sync.Mutex
	state   termState
	renewed time.Duration // when the request that renewed the Lease last was begun
}

// termState only ever grows.
type termState int

const (
	termAhead    termState = iota // never led
	termHeld                      // leads, unless that is too long ago
	termReleased                  // gives the Lease up, or has
	termLost                      // has seen that the Lease is another's, or nobody's
)

// NewTerm returns a Term that has not begun.
func NewTerm() *Term { return newTerm(boottime.Now) }

func newTerm(clock func() time.Duration) *Term { return &Term{clock: clock} }

// Holds says whether this process leads and no other one can lead yet.
func (t *Term) Holds() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state == termHeld && t.clock()-t.renewed < renewDeadline
}

// renew notes that a request begun at that time made the Lease this process's own.
func (t *Term) renew(begun time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.state, t.renewed = max(t.state, termHeld), begun
}

// end notes the end of a term that has begun, and says whether it was not known to be over.
func (t *Term) end(how termState) (news bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.state
	if before != termAhead {
		t.state = max(before, how)
	}
	return before == termHeld
}

// may says whether the Lease may be written: renewed, or released.
func (t *Term) may(release bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if release {
		return t.state != termLost // or it would be taken from the one who holds it now
	}
	return t.state <= termHeld
}

// termLock is the Lease as the elector sees it. It keeps the Term, and calls lost as soon as it
// reads that the Lease is another's.
type termLock struct {
	resourcelock.Interface
	term *Term
	lost func()
}

// Get implements resourcelock.Interface.
func (l *termLock) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	record, raw, err := l.Interface.Get(ctx)
	if err == nil && record.HolderIdentity != l.Identity() && l.term.end(termLost) {
		l.lost()
	}
	return record, raw, err
}

// Create implements resourcelock.Interface.
func (l *termLock) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.write(ctx, record, l.Interface.Create)
}

// Update implements resourcelock.Interface.
func (l *termLock) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.write(ctx, record, l.Interface.Update)
}

func (l *termLock) write(
	ctx context.Context, record resourcelock.LeaderElectionRecord,
	send func(context.Context, resourcelock.LeaderElectionRecord) error,
) error {
	release := record.HolderIdentity != l.Identity()
	if !l.term.may(release) {
		return fmt.Errorf("write lease %s: %w", l.Describe(), errTermOver)
	}
	if release {
		l.term.end(termReleased) // before anybody can take it
	}
	begun := l.term.clock()
	err := send(ctx, record)
	if err == nil && !release {
		l.term.renew(begun)
	}
	return err
}
