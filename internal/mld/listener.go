// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package mld

import (
	"net/netip"
	"slices"
	"time"
)

// The variables of RFC 3810 9 and RFC 2710 7 that no querier has told yet, or never tells.
const (
	defaultRobustness = 2
	defaultInterval   = 125 * time.Second
	repeatWithin      = time.Second // Unsolicited Report Interval, 9.11
	repeatWithinV1    = 10 * time.Second
)

// Messages leave no closer than spacing on average; burst is how much of it may be used up
// at once.
const (
	spacing   = time.Millisecond
	spacingV1 = spacing / 5
	burst     = 10 * spacing
)

// Listener reports the groups of one link. It is not safe for concurrent use.
type Listener struct {
	rand    func() float64
	members map[netip.Addr]*member
	joined  int

	// Changes that were never told, that are to be told again at repeatAt, and those of them
	// whose time has come.
	fresh, repeat, again []*member
	repeatAt             time.Time

	answers answers
	sources int // recorded in answers
	sweep   sweep

	robustness int
	interval   time.Duration
	older      time.Time // until then a querier of version 1 is present
	paid       time.Time // the messages sent so far are paid for until then
}

// member is a group that is joined, or was left and not told often enough.
type member struct {
	group  netip.Addr
	joined bool
	queue  queue // where its change waits; entries elsewhere are void
	left   int   // how often it is still to be told
	answer answer
}

// queue is one of the Listener's.
type queue uint8

const (
	nowhere queue = iota
	inFresh
	inRepeat
	inAgain
)

// New returns a Listener with no groups. rand gives numbers from 0 to below 1, evenly.
func New(rand func() float64) *Listener {
	return &Listener{
		rand: rand, members: make(map[netip.Addr]*member),
		robustness: defaultRobustness, interval: defaultInterval,
	}
}

// Join adds a multicast group; the next Ticks report it.
func (l *Listener) Join(group netip.Addr) {
	m := l.members[group]
	if m == nil {
		m = &member{group: group, answer: answer{pos: -1}}
		l.members[group] = m
	}
	if !m.joined {
		m.joined = true
		l.joined++
		l.changed(m)
	}
}

// Leave removes a group; the next Ticks report it.
func (l *Listener) Leave(group netip.Addr) {
	if m := l.members[group]; m != nil && m.joined {
		l.drop(m)
		l.changed(m)
	}
}

// Forget removes a group and says nothing, because the node remains a member through
// somebody else.
func (l *Listener) Forget(group netip.Addr) {
	if m := l.members[group]; m != nil && m.joined {
		l.drop(m)
		l.done(m)
	}
}

func (l *Listener) drop(m *member) {
	m.joined = false
	l.joined--
	l.unanswer(m)
}

// Restart reports everything anew: who listens on the link now may know nothing.
func (l *Listener) Restart() {
	l.cancel()
	l.fresh = nil
	for _, group := range l.sorted() {
		m := l.members[group]
		m.queue = nowhere
		l.changed(m)
	}
}

// Pending says whether a change was not told even once.
func (l *Listener) Pending() bool { return len(l.fresh) > 0 }

// changed has a change told, as often as if the one before had never been (RFC 3810 6.1).
func (l *Listener) changed(m *member) {
	m.left = l.robustness
	if m.queue != inFresh {
		m.queue = inFresh
		l.fresh = append(l.fresh, m)
	}
}

// done ends the telling of a change.
func (l *Listener) done(m *member) {
	m.queue, m.left = nowhere, 0
	if !m.joined {
		delete(l.members, m.group)
	}
}

func (l *Listener) sorted() []netip.Addr {
	out := make([]netip.Addr, 0, len(l.members))
	for group := range l.members {
		out = append(out, group)
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return out
}

// v1 is the Host Compatibility Mode of RFC 3810 8.2.1.
func (l *Listener) v1() bool { return !l.older.IsZero() }

// cancel ends all pending answers and repetitions. Changes never told remain.
func (l *Listener) cancel() {
	for len(l.answers) > 0 {
		l.unanswer(l.answers[0])
	}
	l.sweep = sweep{}
	for _, m := range slices.Concat(l.repeat, l.again) {
		if m.queue == inRepeat || m.queue == inAgain {
			l.done(m)
		}
	}
	l.repeat, l.again = nil, nil
}

// lapse goes back to version 2 when the older querier has not been heard for long enough.
func (l *Listener) lapse(now time.Time) {
	if l.v1() && !now.Before(l.older) {
		l.older = time.Time{}
		l.cancel()
	}
}

// Tick returns the messages that are due, as far as the pace allows.
func (l *Listener) Tick(now time.Time) []Message {
	l.lapse(now)
	var out []Message
	for !now.Before(l.gate()) {
		m, ok := l.next(now)
		if !ok {
			break
		}
		out = append(out, m)
		if l.paid.Before(now) {
			l.paid = now
		}
		l.paid = l.paid.Add(l.spacing())
	}
	return out
}

// Deadline returns when to call Tick, which may have passed; false means not until something
// else happens.
func (l *Listener) Deadline() (time.Time, bool) {
	var at time.Time
	ok := false
	sooner := func(t time.Time) {
		if !ok || t.Before(at) {
			at, ok = t, true
		}
	}
	if len(l.fresh)+len(l.again) > 0 {
		sooner(l.gate())
	}
	if len(l.repeat) > 0 {
		sooner(l.repeatAt)
	}
	if len(l.answers) > 0 {
		sooner(l.answers[0].answer.at)
	}
	if l.sweep.active {
		sooner(l.sweep.at)
	}
	if gate := l.gate(); ok && at.Before(gate) {
		at = gate
	}
	return at, ok
}

// gate is when the next message may leave.
func (l *Listener) gate() time.Time { return l.paid.Add(-burst) }

func (l *Listener) spacing() time.Duration {
	if l.v1() {
		return spacingV1
	}
	return spacing
}

// next makes the next message: changes before answers, because the network waits for them.
func (l *Listener) next(now time.Time) (Message, bool) {
	if len(l.repeat) > 0 && !now.Before(l.repeatAt) {
		for _, m := range l.repeat {
			if m.queue == inRepeat {
				m.queue = inAgain
				l.again = append(l.again, m)
			}
		}
		l.repeat = nil
	}
	for _, source := range []func(time.Time) (Message, bool){l.change, l.answer, l.sweepOn} {
		if m, ok := source(now); ok {
			return m, true
		}
	}
	return Message{}, false
}

// change makes a state change report, of news first.
func (l *Listener) change(now time.Time) (Message, bool) {
	out := Message{Kind: ReportV2}
	for recordLen*(len(out.Records)+1) <= room {
		m := pop(&l.fresh, inFresh)
		if m == nil {
			m = pop(&l.again, inAgain)
		}
		if m == nil {
			break
		}
		if l.v1() {
			return l.changeV1(m, now), true
		}
		typ := ToInclude
		if m.joined {
			typ = ToExclude
		}
		out.Records = append(out.Records, Record{Type: typ, Group: m.group})
		l.told(m, now)
	}
	return out, len(out.Records) > 0
}

// changeV1 tells a join as often as in version 2; a leave is told once (RFC 2710 4).
func (l *Listener) changeV1(m *member, now time.Time) Message {
	out := Message{Kind: ReportV1, Group: m.group}
	if !m.joined {
		out.Kind, m.left = DoneV1, 1
	}
	l.told(m, now)
	return out
}

// told has a change told again later, if it is to be.
func (l *Listener) told(m *member, now time.Time) {
	m.left--
	if m.left <= 0 {
		l.done(m)
		return
	}
	if len(l.repeat) == 0 {
		within := repeatWithin
		if l.v1() {
			within = repeatWithinV1
		}
		l.repeatAt = now.Add(l.random(within))
	}
	m.queue = inRepeat
	l.repeat = append(l.repeat, m)
}

// pop takes the first member that still waits in the queue, nil when none does.
func pop(list *[]*member, is queue) *member {
	for len(*list) > 0 {
		m := (*list)[0]
		*list = (*list)[1:]
		if m.queue == is {
			return m
		}
	}
	*list = nil
	return nil
}

func (l *Listener) random(below time.Duration) time.Duration {
	return time.Duration(l.rand() * float64(below))
}
