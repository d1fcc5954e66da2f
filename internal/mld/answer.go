// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package mld

import (
	"container/heap"
	"net/netip"
	"slices"
	"time"
)

// What is kept of queries for single sources. Beyond it a group is answered for whole, which
// is as true and only says more.
const (
	maxSources      = 32
	maxSourcesInAll = 4096
)

// answer is what a member owes to queries for it alone.
type answer struct {
	at      time.Time
	sources []netip.Addr // asked for; none means any
	pos     int          // in answers, -1 when nothing is owed
}

// sweep is the answer to a general query.
type sweep struct {
	active  bool
	started bool
	at, by  time.Time // of the next message and, at the query's wish, of the last
	gap     time.Duration
	rest    []netip.Addr // groups to go, once started

	more   bool // asked again meanwhile
	moreBy time.Time
}

// Query takes a query and schedules the answer (RFC 3810 6.2, RFC 2710 4).
func (l *Listener) Query(q Query, now time.Time) {
	l.lapse(now)
	if q.Version == 1 {
		was := l.v1()
		// RFC 3810 9.12.
		l.older = now.Add(time.Duration(l.robustness)*l.interval + q.Delay)
		if !was {
			l.cancel()
		}
	} else {
		l.learn(q)
	}
	if q.Group.IsUnspecified() {
		l.general(q, now)
		return
	}
	if m := l.members[q.Group]; m != nil && m.joined {
		l.owe(m, q, now)
	}
}

// learn takes over the querier's variables (RFC 3810 5.1.8 and 5.1.9).
func (l *Listener) learn(q Query) {
	l.robustness, l.interval = defaultRobustness, defaultInterval
	if q.Robustness > 0 {
		l.robustness = q.Robustness
	}
	if q.Interval > 0 {
		l.interval = q.Interval
	}
}

// owe schedules an answer for one group by the numbered rules of RFC 3810 6.2.
func (l *Listener) owe(m *member, q Query, now time.Time) {
	at := now.Add(l.random(q.Delay))
	if l.sweep.active && !l.sweep.started && !l.sweep.by.After(at) {
		return // 1: the answer to a general query comes sooner
	}
	a := &m.answer
	if a.pos < 0 { // 3
		a.at = at
		heap.Push(&l.answers, m)
		l.record(a, q.Sources)
		return
	}
	if at.Before(a.at) {
		a.at = at
		heap.Fix(&l.answers, a.pos)
	}
	if len(a.sources) == 0 || len(q.Sources) == 0 { // 4
		l.record(a, nil)
		return
	}
	l.record(a, slices.Concat(a.sources, q.Sources)) // 5
}

// record replaces the sources that an answer is for.
func (l *Listener) record(a *answer, sources []netip.Addr) {
	l.sources -= len(a.sources)
	a.sources = nil
	if len(sources) == 0 {
		return
	}
	sources = slices.Clone(sources)
	slices.SortFunc(sources, netip.Addr.Compare)
	sources = slices.Compact(sources)
	if len(sources) <= maxSources && l.sources+len(sources) <= maxSourcesInAll {
		a.sources = slices.Clip(sources)
		l.sources += len(sources)
	}
}

// unanswer cancels what is owed for a group.
func (l *Listener) unanswer(m *member) {
	if m.answer.pos >= 0 {
		heap.Remove(&l.answers, m.answer.pos)
		l.record(&m.answer, nil)
	}
}

// answer makes a report of the groups whose answers are due.
func (l *Listener) answer(now time.Time) (Message, bool) {
	out, size := Message{Kind: ReportV2}, 0
	for len(l.answers) > 0 && !l.answers[0].answer.at.After(now) {
		m := l.answers[0]
		r := Record{Type: IsExclude, Group: m.group}
		if len(m.answer.sources) > 0 { // RFC 3810 6.3: EXCLUDE {} has all that are asked for
			r.Type, r.Sources = IsInclude, m.answer.sources
		}
		if size += r.size(); size > room {
			break
		}
		l.unanswer(m)
		if l.v1() {
			return Message{Kind: ReportV1, Group: m.group}, true
		}
		out.Records = append(out.Records, r)
	}
	return out, len(out.Records) > 0
}

// perMessage is how many groups one message of a sweep holds.
func (l *Listener) perMessage() int {
	if l.v1() {
		return 1
	}
	return room / recordLen
}

func (l *Listener) messages(groups int) time.Duration {
	return time.Duration((groups + l.perMessage() - 1) / l.perMessage())
}

// general schedules the answer to a general query. What is promised already is never put
// off, or somebody who asks without end could keep us silent.
func (l *Listener) general(q Query, now time.Time) {
	s, by := &l.sweep, now.Add(q.Delay)
	switch {
	case l.joined == 0:
	case !s.active:
		l.begin(now, by)
	case !s.started:
		if by.Before(s.by) {
			before := s.at
			l.begin(now, by)
			if before.Before(s.at) {
				s.at = before
			}
		}
	case !s.more || by.Before(s.moreBy):
		// Half of the time for the groups still to go, half for all of them once more.
		s.more, s.moreBy = true, by
		s.gap = min(s.gap, max(q.Delay/2/max(l.messages(len(s.rest)), 1), l.spacing()))
		if soon := now.Add(s.gap); soon.Before(s.at) {
			s.at = soon
		}
	}
}

// begin spreads the answer evenly until by, from a random moment on.
func (l *Listener) begin(now, by time.Time) {
	each := max(by.Sub(now), 0) / max(l.messages(l.joined), 1)
	l.sweep = sweep{
		active: true, at: now.Add(l.random(each)), by: by, gap: max(each, l.spacing()),
	}
}

// sweepOn makes the next message of the answer to a general query.
func (l *Listener) sweepOn(now time.Time) (Message, bool) {
	s := &l.sweep
	for s.active && !s.at.After(now) {
		if !s.started {
			// There may be more groups than there were when it was asked.
			s.started, s.rest = true, l.sorted()
			s.gap = min(s.gap, max(s.by.Sub(s.at)/max(l.messages(len(s.rest)), 1), l.spacing()))
		}
		out := Message{Kind: ReportV2}
		for len(s.rest) > 0 && len(out.Records) < l.perMessage() {
			if m := l.members[s.rest[0]]; m != nil && m.joined {
				out.Records = append(out.Records, Record{Type: IsExclude, Group: m.group})
			}
			s.rest = s.rest[1:]
		}
		s.at = s.at.Add(s.gap)
		if len(s.rest) == 0 {
			l.swept(now)
		}
		switch {
		case len(out.Records) == 0:
			continue // all of them left meanwhile
		case l.v1():
			return Message{Kind: ReportV1, Group: out.Records[0].Group}, true
		default:
			return out, true
		}
	}
	return Message{}, false
}

// swept ends a sweep, and begins another when one was asked for meanwhile.
func (l *Listener) swept(now time.Time) {
	last := l.sweep
	l.sweep = sweep{}
	if last.more && l.joined > 0 {
		l.begin(now, last.moreBy)
	}
}

// answers orders members by when their answers are due.
type answers []*member

func (a answers) Len() int { return len(a) }

func (a answers) Less(i, j int) bool {
	if x, y := a[i].answer.at, a[j].answer.at; !x.Equal(y) {
		return x.Before(y)
	}
	return a[i].group.Less(a[j].group)
}

func (a answers) Swap(i, j int) {
	a[i], a[j] = a[j], a[i]
	a[i].answer.pos, a[j].answer.pos = i, j
}

// Push is for container/heap.
func (a *answers) Push(x any) {
	m := x.(*member)
	m.answer.pos = len(*a)
	*a = append(*a, m)
}

// Pop is for container/heap.
func (a *answers) Pop() any {
	old := *a
	m := old[len(old)-1]
	old[len(old)-1] = nil
	*a = old[:len(old)-1]
	m.answer.pos = -1
	return m
}
