// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package udp

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/clarion-lb/clarion/internal/bfd"
)

// Counters count packets and changes of a session since its target appeared.
type Counters struct {
	ControlIn, ControlOut, EchoIn, EchoOut uint64
	Ups, Downs                             uint64
}

// Status is a target and the state of its session.
type Status struct {
	Target   bfd.Target
	Session  bfd.Status
	Counters Counters
	// Problem is why no packets can be sent or received, "" when they can.
	Problem string
}

// Options are what a Manager needs.
type Options struct {
	Log *slog.Logger
	// Kick is called, without locks held, when a session changed its state. It must not block.
	Kick func()
}

// Manager keeps the sessions of a host. One thread serves all of them, so that a packet that
// has arrived is always read before a detection time is judged.
type Manager struct {
	log  *slog.Logger
	kick func()
	wake int // eventfd

	mu     sync.Mutex
	want   []bfd.Target
	dirty  bool
	status []Status
}

// New returns a Manager without sessions; Run serves it.
func New(o Options) (*Manager, error) {
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create eventfd: %w", err)
	}
	return &Manager{log: o.Log, kick: o.Kick, wake: fd}, nil
}

// Set hands over all targets. It returns at once; the same targets again change nothing.
func (m *Manager) Set(want []bfd.Target) {
	want = slices.Clone(want)
	slices.SortFunc(want, func(a, b bfd.Target) int { return strings.Compare(a.Name, b.Name) })
	m.mu.Lock()
	if !slices.Equal(want, m.want) {
		m.want, m.dirty = want, true
	}
	m.mu.Unlock()
	m.signal()
}

// Observe returns the sessions sorted by name, as of their last change or the last second.
func (m *Manager) Observe() []Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.status)
}

// Run serves the sessions until ctx ends; then it tells the neighbours that they are
// administratively down, which is no failure to them (RFC 5882 4.1).
func (m *Manager) Run(ctx context.Context) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// Late packets are false alarms at the neighbour, so this thread goes before the rest of the
	// program. Without CAP_SYS_NICE it does not, and that is measured to be enough too.
	previous, err := unix.Getpriority(unix.PRIO_PROCESS, unix.Gettid())
	if err == nil && unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), -15) == nil {
		// Getpriority returns 20 minus the nice value.
		defer func() { _ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), 20-previous) }()
	}
	stop := context.AfterFunc(ctx, m.signal)
	defer stop()
	l := newLoop(m)
	defer l.close()
	for ctx.Err() == nil {
		if err := l.step(); err != nil {
			return err
		}
	}
	l.goodbye()
	return nil
}

// signal makes the loop look at what changed.
func (m *Manager) signal() {
	one := [8]byte{1}                 // any non-zero value, in either byte order
	_, _ = unix.Write(m.wake, one[:]) // full means that the loop is awake anyway
}

// take returns the wanted targets when they have changed.
func (m *Manager) take() ([]bfd.Target, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	changed := m.dirty
	m.dirty = false
	return m.want, changed
}

func (m *Manager) publish(s []Status) {
	m.mu.Lock()
	m.status = s
	m.mu.Unlock()
}
