// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"time"

	"github.com/clarion-lb/clarion/internal/lb"
)

// schedule is what an address says next on a port, and when.
type schedule struct {
	round int  // announcements completed: 0 is the first, above len(Burst) are refreshes
	half  bool // of the first round of IPv4, the request form has been sent
	due   time.Time
	phase phase
	left  int // probes to send
	tries int // times it was held since it was free

	defended, healed time.Time
	pos              int // in the port's queue, -1 when not in it
}

// first says whether the address has not been heard on the port since its burst began.
func (s *schedule) first() bool { return s.phase == talking && s.round == 0 && !s.half }

// announce starts the burst of an address on a port, from its first round.
func (m *Machine) announce(s *seat, now time.Time) {
	s.phase, s.round, s.half, s.due = talking, 0, false, now
	if s.entry.unproven || m.yields(s) {
		m.beginProbe(s, now)
	}
	if s.port.live() {
		s.enqueue()
		return
	}
	s.unqueue()
}

// resume puts a seat that was taken out of the queue by Release back where it was: the
// address never stopped being answered for.
func (m *Machine) resume(s *seat, now time.Time) {
	switch {
	case !s.port.live():
		return
	case s.phase != talking || s.round <= len(m.cfg.Burst):
		s.due = now
	case m.cfg.RefreshMin < 0:
		return
	default:
		s.due = now.Add(m.interval(s.port))
	}
	s.enqueue()
}

// send emits the announcements of a port that are due, as far as its pace allows.
func (m *Machine) send(p *port, now time.Time) {
	p.bucket.refill(now)
	for len(p.queue) > 0 {
		s := p.queue[0]
		if s.due.After(now) || !p.bucket.take(m.frames(s)) {
			return
		}
		if s.phase != talking {
			m.probeStep(s, now)
			continue
		}
		asks := m.verifies(s)
		m.say(s)
		if asks {
			m.sendProbe(s)
		}
		m.step(s, now)
	}
}

// frames returns how many frames the next announcement of a seat takes.
func (m *Machine) frames(s *seat) int {
	n := 1
	if s.entry.family == lb.IPv4 && s.phase == talking && s.round > 0 && s.round <= len(m.cfg.Burst) {
		n++
	}
	if m.verifies(s) {
		n++
	}
	return n
}

// say emits the next announcement of a seat.
func (m *Machine) say(s *seat) {
	if s.entry.family == lb.IPv6 {
		m.advertise(s)
		return
	}
	switch {
	case s.round == 0:
		m.gratuitous(s, !s.half)
	case s.round <= len(m.cfg.Burst):
		m.gratuitous(s, true)
		m.gratuitous(s, false)
	default: // refreshes alternate between the forms
		m.gratuitous(s, s.round%2 == 0)
	}
}

// step schedules what follows the announcement just made. Counting from when it was made,
// not from when it was due, keeps a backlog from turning into a storm.
func (m *Machine) step(s *seat, now time.Time) {
	burst := m.cfg.Burst
	switch {
	case s.first() && s.entry.family == lb.IPv4:
		s.half = true // the reply form follows at once, behind other addresses' first frames
		s.due = now
	case s.round < len(burst):
		gap := burst[s.round]
		if s.round > 0 {
			gap -= burst[s.round-1]
		}
		s.due = now.Add(gap)
		s.round++
	default:
		s.round++
		if m.cfg.RefreshMin < 0 {
			s.unqueue()
			return
		}
		s.due = now.Add(m.interval(s.port))
	}
	s.enqueue()
}

// interval draws the time until the next refresh of an address on a port.
func (m *Machine) interval(p *port) time.Duration {
	low, high := m.cfg.RefreshMin, m.cfg.RefreshMax
	d := low
	if high > low {
		d += time.Duration(m.rng.Int64N(int64(high - low)))
	}
	// With many addresses the mean interval grows until refreshes stay under RefreshRate.
	mean := (low + high) / 2
	if least := time.Duration(p.seats) * time.Second / time.Duration(m.cfg.RefreshRate); least > mean && mean > 0 {
		d = time.Duration(float64(d) * float64(least) / float64(mean))
	}
	return d
}

// deadline returns when the port has something to do.
func (p *port) deadline(muted bool) (time.Time, bool) {
	if !p.retryAt.IsZero() {
		return p.retryAt, true
	}
	if muted || len(p.queue) == 0 {
		return time.Time{}, false
	}
	due := p.queue[0].due
	if ready := p.bucket.ready(); ready.After(due) {
		due = ready
	}
	return due, true
}

// bucket is a token bucket: depth frames at once, then rate a second.
type bucket struct {
	rate, depth, tokens float64
	at                  time.Time
}

// mostFrames is what one announcement takes at most.
const mostFrames = 3

func newBucket(rate, depth int, now time.Time) bucket {
	return bucket{rate: float64(rate), depth: float64(max(depth, mostFrames)), tokens: float64(max(depth, mostFrames)), at: now}
}

// refill adds the tokens of the time that passed. A clock that goes back adds none.
func (b *bucket) refill(now time.Time) {
	if d := now.Sub(b.at); d > 0 {
		b.tokens = min(b.depth, b.tokens+d.Seconds()*b.rate)
	}
	b.at = now
}

func (b *bucket) take(frames int) bool {
	if b.tokens < float64(frames) {
		return false
	}
	b.tokens -= float64(frames)
	return true
}

// batch is how many tokens a paced port waits for, so that it wakes some sixty times a
// second and not once per frame.
const batch = 16

// ready returns when an announcement of any size may leave: at once while tokens are
// there, else when a batch of them is.
func (b *bucket) ready() time.Time {
	if b.tokens >= mostFrames {
		return b.at
	}
	wait := (min(batch, b.depth) - b.tokens) / b.rate
	return b.at.Add(time.Duration(wait * float64(time.Second)))
}
