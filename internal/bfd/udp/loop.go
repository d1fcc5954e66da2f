// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package udp

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clarion-lb/clarion/internal/bfd"
)

// housekeeping is how often sockets are repaired and counters published.
const housekeeping = time.Second

// entry is one session with its socket.
type entry struct {
	target   bfd.Target
	session  *bfd.Session
	disc     uint32
	index    int // of the link the neighbour's packets must arrive on, 0 for any
	tx       *sender
	counters Counters
	problem  string
	leaving  bool
}

// loop is the state of Run. Nobody else touches it.
type loop struct {
	m       *Manager
	byName  map[string]*entry
	byDisc  map[uint32]*entry // includes the sessions that are leaving
	rx      map[rxKey]*receiver
	cleanup time.Time
	changed bool // a state changed: publish and kick
	applied []bfd.Target
	// Buffers that every step uses again: garbage would be collected at the cost of all sessions.
	buf, oob, out []byte
	fds           []unix.PollFd
	polled        []*receiver
}

func newLoop(m *Manager) *loop {
	return &loop{
		m: m, byName: map[string]*entry{}, byDisc: map[uint32]*entry{}, rx: map[rxKey]*receiver{},
		buf: make([]byte, 512), oob: make([]byte, 256),
	}
}

// step waits for the next packet, deadline or wish, and handles all that is there.
func (l *loop) step() error {
	l.fds = append(l.fds[:0], unix.PollFd{Fd: int32(l.m.wake), Events: unix.POLLIN})
	l.polled = l.polled[:0]
	for _, r := range l.rx {
		if r.fd >= 0 {
			l.fds = append(l.fds, unix.PollFd{Fd: int32(r.fd), Events: unix.POLLIN})
			l.polled = append(l.polled, r)
		}
	}
	timeout := unix.NsecToTimespec(int64(l.wait(time.Now())))
	if _, err := unix.Ppoll(l.fds, &timeout, nil); err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("poll sockets: %w", err)
	}
	if l.fds[0].Revents != 0 {
		var b [8]byte
		_, _ = unix.Read(l.m.wake, b[:])
	}
	// Every socket is read, also when poll ended by time: a packet that arrived while this
	// thread could not run must not be taken for silence.
	for _, r := range l.polled {
		l.drain(r)
	}
	now := time.Now()
	if want := l.m.want.Load(); want != nil && !slices.Equal(*want, l.applied) {
		l.applied = *want
		l.apply(*want, now)
	}
	if !now.Before(l.cleanup) {
		l.cleanup = now.Add(housekeeping)
		l.repair(now)
	}
	for _, e := range l.byDisc {
		if next := e.session.Next(); !next.IsZero() && !now.Before(next) {
			l.execute(e, e.session.Tick(now))
		}
		if e.leaving && e.session.Quiet(now) {
			l.remove(e)
		}
	}
	l.report()
	return nil
}

// wait is the time until something is due.
func (l *loop) wait(now time.Time) time.Duration {
	next := l.cleanup
	for _, e := range l.byDisc {
		if n := e.session.Next(); !n.IsZero() && n.Before(next) {
			next = n
		}
	}
	return max(next.Sub(now), 0)
}

// apply makes the sessions those of the wanted targets.
func (l *loop) apply(want []bfd.Target, now time.Time) {
	want = slices.Clone(want)
	for i := range want {
		l.m.adapt(&want[i])
	}
	running, kept := l.byName, l.claim(want)
	l.byName = kept
	for _, t := range want {
		if e := kept[t.Name]; e != nil {
			e.target = t
			e.session.Set(t.Params, now)
		}
	}
	for _, e := range running {
		if kept[e.target.Name] != e {
			l.leave(e, now)
		}
	}
	for _, t := range want {
		if kept[t.Name] == nil {
			l.add(t, now)
		}
	}
	l.repair(now)
	l.changed = true
}

// adapt takes from a target what this manager or this host cannot do.
func (m *Manager) adapt(t *bfd.Target) {
	if t.Peer.Is4() && !forwards() {
		t.Params.EchoReceive = 0
	}
	if m.port != 0 { // without echo, as between hops; the least TTL is the target's
		t.MultiHop = true
		t.Params.EchoReceive, t.Params.EchoTransmit = 0, 0
	}
}

// claim finds the running sessions of targets: under the target's name or, when two peers had
// shared a session and one of them is gone, under another.
func (l *loop) claim(want []bfd.Target) map[string]*entry {
	kept, taken := make(map[string]*entry, len(want)), map[*entry]bool{}
	for _, t := range want {
		if e := l.byName[t.Name]; e != nil && e.target.SameSession(t) {
			kept[t.Name], taken[e] = e, true
		}
	}
	names := slices.Sorted(maps.Keys(l.byName))
	for _, t := range want {
		for _, name := range names {
			if e := l.byName[name]; kept[t.Name] == nil && !taken[e] && e.target.SameSession(t) {
				kept[t.Name], taken[e] = e, true
			}
		}
	}
	return kept
}

// add starts a session. An older one to the same neighbour that is still saying goodbye ends
// now: two sessions of ours would confuse the neighbour.
func (l *loop) add(t bfd.Target, now time.Time) {
	for _, old := range l.byDisc {
		if old.leaving && confusable(old.target, t) {
			l.remove(old)
		}
	}
	disc := rand.Uint32()
	for disc == 0 || l.byDisc[disc] != nil {
		disc = rand.Uint32()
	}
	e := &entry{target: t, disc: disc, session: bfd.New(t.Params, disc, rand.Float64, now)}
	l.byName[t.Name], l.byDisc[disc] = e, e
}

// leave tells the neighbour that the session ends on purpose and forgets it later.
func (l *loop) leave(e *entry, now time.Time) {
	e.leaving = true
	l.execute(e, e.session.Disable(now))
	l.changed = true
}

func (l *loop) remove(e *entry) {
	delete(l.byDisc, e.disc)
	e.tx.close()
}

// execute does what a session asked for.
func (l *loop) execute(e *entry, out bfd.Output) {
	for _, p := range out.Packets {
		l.out = p.Append(l.out[:0])
		if err := l.send(e, l.out); err != nil {
			l.m.log.Debug("send control packet", "peer", e.target.Name, "addr", e.target.Peer, "err", err)
			continue
		}
		e.counters.ControlOut++
	}
	if out.Echo {
		l.sendEcho(e)
	}
	if !out.Changed {
		return
	}
	st := e.session.Status()
	switch st.State {
	case bfd.Up:
		e.counters.Ups++
	case bfd.Down:
		e.counters.Downs++
	}
	if st.State != bfd.Init { // a stage of a few milliseconds
		l.m.log.Info("session "+strings.ToLower(st.State.String()), "peer", e.target.Name,
			"addr", e.target.Peer, "reason", st.Diagnostic.String())
	}
	l.changed = true
}

// report publishes the state of the sessions, and kicks the owner when one changed.
func (l *loop) report() {
	if !l.changed {
		return
	}
	l.changed = false
	l.publish()
	l.m.kick()
}

func (l *loop) publish() {
	out := make([]Status, 0, len(l.byName))
	for _, e := range l.byName {
		out = append(out, Status{Target: e.target, Session: e.session.Status(), Counters: e.counters, Problem: e.problem})
	}
	slices.SortFunc(out, func(a, b Status) int { return strings.Compare(a.Target.Name, b.Target.Name) })
	l.m.status.Store(&out)
}

// goodbye tells every neighbour that we stop on purpose. Twice, because nobody repeats it.
func (l *loop) goodbye() {
	now := time.Now()
	for _, e := range l.byDisc {
		out := e.session.Disable(now)
		l.execute(e, out)
		l.execute(e, bfd.Output{Packets: out.Packets})
	}
}

func (l *loop) close() {
	for _, e := range l.byDisc {
		e.tx.close()
	}
	for _, r := range l.rx {
		r.close()
	}
	l.m.status.Store(nil)
}
