// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package udp

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
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
	// Buffers that every step uses again: garbage would be collected at this thread's cost.
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
	keep := map[string]bool{}
	for _, t := range want {
		keep[t.Name] = true
		if t.Peer.Is4() && !forwards() {
			t.Params.EchoReceive = 0
		}
		if l.m.port != 0 { // without echo, as between hops; the least TTL is the target's
			t.MultiHop = true
			t.Params.EchoReceive, t.Params.EchoTransmit = 0, 0
		}
		if e := l.byName[t.Name]; e != nil {
			if e.target.SameSession(t) {
				e.target = t
				e.session.Set(t.Params, now)
				continue
			}
			l.leave(e, now)
		}
		l.add(t, now)
	}
	for name, e := range l.byName {
		if !keep[name] {
			l.leave(e, now)
		}
	}
	l.repair(now)
	l.changed = true
}

// add starts a session. An older one to the same neighbour that is still saying goodbye ends
// now: two sessions of ours would confuse the neighbour.
func (l *loop) add(t bfd.Target, now time.Time) {
	for _, old := range l.byDisc {
		if old.leaving && old.target.Peer == t.Peer && old.target.MultiHop == t.MultiHop {
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
	delete(l.byName, e.target.Name)
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

// receive finds the session of a packet (RFC 5880 6.8.6, RFC 5881 3, RFC 5883 4) and
// hands it over.
func (l *loop) receive(from netip.Addr, ttl, index int, multiHop bool, b []byte) {
	p, err := bfd.Parse(b)
	if err != nil {
		l.m.log.Debug("drop control packet", "addr", from, "err", err)
		return
	}
	e := l.find(p.YourDisc, from, index, multiHop)
	if e == nil {
		l.m.log.Debug("drop control packet", "addr", from, "err", "no session")
		return
	}
	least := 255 // RFC 5881 5: nobody off the link can send this
	if multiHop {
		least = int(e.target.MinimumTTL)
	}
	if ttl < least {
		l.m.log.Debug("drop control packet", "addr", from, "ttl", ttl, "minimum", least)
		return
	}
	e.counters.ControlIn++
	l.execute(e, e.session.Receive(p, time.Now()))
}

// find looks a session up by its discriminator and, before the neighbour has learned that, by
// the neighbour's address. Either way address and link must be the neighbour's.
func (l *loop) find(disc uint32, from netip.Addr, index int, multiHop bool) *entry {
	if disc != 0 {
		if e := l.byDisc[disc]; e != nil && e.isFrom(from, index, multiHop) {
			return e
		}
		return nil
	}
	for _, e := range l.byName {
		if e.isFrom(from, index, multiHop) {
			return e
		}
	}
	return nil
}

// isFrom says whether a packet can be of this session.
func (e *entry) isFrom(from netip.Addr, index int, multiHop bool) bool {
	return e.target.MultiHop == multiHop && e.target.Peer.WithZone("") == from && (e.index == 0 || e.index == index)
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
