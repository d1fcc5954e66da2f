// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package udp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

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
	// Port is a UDP port for the control packets of all sessions instead of the standard ones, 0
	// for those. It is for sessions among programs of one kind, which must not meet the BFD
	// daemon of a host, and whose owner checks silence again before it means anything. There is
	// no echo then.
	Port uint16
}

// Manager keeps the sessions of a host. One goroutine serves all of them, so that a packet that
// has arrived is always read before a detection time is judged.
type Manager struct {
	log  *slog.Logger
	kick func()
	port int // 0: the standard ones
	wake int // eventfd

	// No lock is shared with Run: whoever holds one may wait long for a processor, and Run must
	// not wait with them.
	want   atomic.Pointer[[]bfd.Target]
	status atomic.Pointer[[]Status]

	first chan struct{} // closed when there is something to watch
	once  sync.Once
}

// New returns a Manager without sessions; Run serves it.
func New(o Options) (*Manager, error) {
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create eventfd: %w", err)
	}
	return &Manager{log: o.Log, kick: o.Kick, port: int(o.Port), wake: fd, first: make(chan struct{})}, nil
}

// Set hands over all targets. It returns at once; the same targets again change nothing.
func (m *Manager) Set(want []bfd.Target) {
	want = slices.Clone(want)
	slices.SortFunc(want, func(a, b bfd.Target) int { return strings.Compare(a.Name, b.Name) })
	m.want.Store(&want)
	if len(want) > 0 {
		m.once.Do(func() { close(m.first) })
	}
	m.signal()
}

// Observe returns the sessions sorted by name, as of their last change or the last second.
func (m *Manager) Observe() []Status {
	if s := m.status.Load(); s != nil {
		return slices.Clone(*s)
	}
	return nil
}

// ErrRestart as the cause with which Run's context is cancelled, makes Run end without a word:
// FRR takes AdminDown for a failure and drops a BGP session on it, routes that it would have
// kept over a graceful restart included. Silence comes too late to do that.
var ErrRestart = errors.New("speaker restarts")

// Run serves the sessions until ctx ends; then it tells the neighbours that they are
// administratively down, which is no failure to them (RFC 5882 4.1), except for ErrRestart.
func (m *Manager) Run(ctx context.Context) error {
	select {
	case <-m.first:
	case <-ctx.Done():
		return nil
	}
	if runtime.GOMAXPROCS(0) < spare {
		runtime.GOMAXPROCS(spare)
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
	if !errors.Is(context.Cause(ctx), ErrRestart) {
		l.goodbye()
	}
	return nil
}

// spare is how many of its own processors the Go runtime must have at least. On return from a
// system call a thread needs one, and waits when all of them are held by threads of this program
// that the kernel does not let run. With two on two overloaded cores that took more than 150 ms
// three times a minute; with eight it did not happen.
//
// Real-time priority is no cure but a danger. The runtime waits in loops for threads that the
// kernel may have put aside: a goroutine that allocates during a garbage collection scans the
// stacks of others, and yields its processor until each has stopped (runtime.suspendG). With
// SCHED_RR it yields to nobody, least of all to the thread that it waits for, if that has the same
// processor; the kernel ended that only after 950 ms (sched_rt_runtime_us), and all processes of the
// machine stood still meanwhile. Shorter slices (sched_setattr(2)) had the same effect, more rarely.
const spare = 8

// signal makes the loop look at what changed.
func (m *Manager) signal() {
	one := [8]byte{1}                 // any non-zero value, in either byte order
	_, _ = unix.Write(m.wake, one[:]) // full means that the loop is awake anyway
}
