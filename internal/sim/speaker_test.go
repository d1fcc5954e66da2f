// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"math"
	"slices"
	"time"

	"github.com/clarion-lb/clarion/internal/elect"
	"github.com/clarion-lb/clarion/internal/lb"
	"github.com/clarion-lb/clarion/internal/plan"
)

// speaker is one node's speaker: the real decisions, and a heartbeat for a membership.
type speaker struct {
	w    *world
	id   int
	name string

	up, frozen bool
	life       int // counts starts; what belongs to an earlier life is void
	deferred   []func()
	touched    bool // since forgetTouched: it was disturbed, or somebody thought so

	started, ticked time.Duration
	joined          bool
	leaving         bool
	heard           []time.Duration // by node; 0 is never
	left            []bool          // by node: it said that it goes
	record          elect.Gossip
	said            []byte // the whole record at turn saidAt
	saidAt          uint64
	beats           int           // heartbeats sent
	changed         time.Duration // when membership or record changed last
	patience        plan.Patience
	kicked          bool          // a pass is due
	rested          time.Duration // not before this

	guard *guard // nil when nobody watches anybody directly
	wire  wire

	facts   *lb.Snapshot // nil while the apiserver has not been read
	planner plan.Planner
	desired plan.Desired
	seen    standing
	// fences counts those so far, planned is how many there had been before the last plan.
	fences, planned int
}

// message is a heartbeat.
type message struct {
	from, life int
	known      bool
	leaving    bool
	members    bitmap
	claims     []byte // news of the record
	state      []byte // all of it, for one who needs it
}

// start begins a new life with empty memory.
func (s *speaker) start() {
	w := s.w
	s.life++
	var facts *lb.Snapshot
	if !w.apiDown {
		facts = w.copyOfFacts()
	}
	*s = speaker{
		w: w, id: s.id, name: s.name, up: true, life: s.life, touched: true, started: w.now, ticked: w.now,
		heard: make([]time.Duration, w.cfg.nodes), left: make([]bool, w.cfg.nodes),
		facts: facts,
	}
	s.wire = newWire(s)
	if w.cfg.watch {
		s.guard = newGuard(s)
	}
	w.trace("node %d starts", s.id)
	s.tick(s.life)
}

// stop ends a life at once.
func (s *speaker) stop() {
	s.w.trace("node %d stops", s.id)
	s.up, s.frozen, s.touched, s.deferred = false, false, true, nil
	s.desired = plan.Desired{}
	s.wire.book()
}

// leave says goodbye, hands over and ends a life.
func (s *speaker) leave() {
	s.w.trace("node %d leaves", s.id)
	s.leaving, s.touched = true, true
	s.replan()
	s.broadcast()
	life := s.life
	s.w.after(s.w.cfg.interval*3, func() {
		if s.up && s.life == life {
			s.stop()
		}
	})
}

// later does something in this life when time d has passed and the speaker runs.
func (s *speaker) later(d time.Duration, do func()) {
	life := s.life
	s.w.after(d, func() { s.whenRunning(life, do) })
}

func (s *speaker) whenRunning(life int, do func()) {
	switch {
	case !s.up || s.life != life:
	case s.frozen:
		s.deferred = append(s.deferred, func() { s.whenRunning(life, do) })
	default:
		do()
	}
}

// freeze stops the process as SIGSTOP does; what arrives waits in its sockets.
func (s *speaker) freeze(d time.Duration) {
	s.w.trace("node %d freezes for %s", s.id, d)
	s.wire.freeze(d)
	s.frozen, s.touched = true, true
	s.wire.book()
	life := s.life
	s.w.after(d, func() {
		if !s.up || s.life != life {
			return
		}
		s.w.trace("node %d thaws", s.id)
		s.frozen = false
		s.wire.thaw(d)
		// Package members finds that time has passed and fences itself; so does this.
		s.fence()
		s.replanIfChanged()
		waiting := s.deferred
		s.deferred = nil
		for _, do := range waiting {
			do()
		}
	})
}

// fence is what package members does when this node may have lost its place.
func (s *speaker) fence() {
	s.joined, s.started = false, s.w.now
	s.fences++
	s.wire.book()
}

// tick is the heartbeat.
func (s *speaker) tick(life int) {
	s.replanIfChanged()
	if len(s.desired.Back) > 0 { // their time may have come
		s.replan()
	}
	s.broadcast()
	s.ticked = s.w.now
	jitter := s.w.upTo(s.w.cfg.interval / 10)
	s.later(s.w.cfg.interval-jitter, func() { s.tick(life) })
}

// How claims travel is elect.Gossip's business, and what package members makes of it: news in
// the packets that fly anyway, so many times each; everything when one joins, and now and then
// between two at random. memberlist does the latter each 30 s, which would only make stories
// longer.
const (
	packet        = 1300
	exchangeEvery = 20 // heartbeats
)

// times is how often news are told.
func (s *speaker) times() int {
	return 4 * int(math.Ceil(math.Log10(float64(len(s.w.speakers)+1))))
}

func (s *speaker) broadcast() {
	m := s.message()
	if s.options() {
		m.claims = s.record.Next(packet)
		s.w.told += len(m.claims)
	}
	for _, peer := range s.w.speakers {
		if peer != s {
			s.send(peer, m)
		}
	}
	if s.beats++; s.options() && s.beats%exchangeEvery == s.id%exchangeEvery {
		if peer := s.w.someone(); peer != s {
			ours := m.state
			s.w.send(&s.w.net, s.id, peer.id, func() {
				peer.whenRunning(peer.life, func() {
					peer.hear(ours)
					theirs := peer.message().state
					s.w.send(&s.w.net, peer.id, s.id, func() { s.whenRunning(s.life, func() { s.hear(theirs) }) })
				})
			})
		}
	}
}

func (s *speaker) send(peer *speaker, m *message) {
	s.w.send(&s.w.net, s.id, peer.id, func() { peer.whenRunning(peer.life, func() { peer.receive(m) }) })
}

// message is a heartbeat without news of the record.
func (s *speaker) message() *message {
	st := s.standing()
	m := &message{from: s.id, life: s.life, known: st.known && st.alive.has(s.id), leaving: s.leaving, members: st.alive}
	if s.options() {
		if s.said == nil || s.saidAt != s.record.Turn() {
			s.said, s.saidAt = s.record.State(s.w.clock()), s.record.Turn()
		}
		m.state = s.said
	}
	return m
}

func (s *speaker) receive(m *message) {
	joins := m.known && !s.joined
	if joins || !s.isAlive(m.from) || s.guard != nil && s.guard.doubts(m.from) {
		s.hear(m.state) // joining exchanges everything before the other counts as a member
	}
	s.heard[m.from], s.left[m.from] = s.w.now, m.leaving
	s.wire.met(m.from)
	if joins {
		s.joined = true
		for i := range s.w.speakers { // the peer says who else is there
			if m.members.has(i) && i != s.id {
				s.heard[i] = s.w.now
				s.wire.met(i)
			}
		}
	}
	s.hear(m.claims)
	s.replanIfChanged()
}

// hear merges what another says of the record.
func (s *speaker) hear(claims []byte) {
	if len(claims) == 0 {
		return
	}
	news, err := s.record.Hear(claims, s.times())
	if err != nil {
		s.w.fatalf("node %d does not understand: %v", s.id, err)
	}
	if !news {
		return
	}
	s.changed = s.w.now
	s.kick()
}

// kick plans soon: at once, or with whatever else happens until the loop has rested from the
// pass before.
func (s *speaker) kick() {
	if s.kicked {
		return
	}
	if s.w.now >= s.rested {
		s.replan()
		return
	}
	s.kicked = true
	s.later(s.rested-s.w.now, func() {
		s.kicked = false
		s.replan()
	})
}

func (s *speaker) options() bool { return s.w.cfg.election != lb.Election{} }

// maxNodes is the largest cluster that a bitmap holds.
const maxNodes = 256

// bitmap is a set of nodes.
type bitmap [maxNodes / 64]uint64

func (b *bitmap) add(i int)      { b[i/64] |= 1 << (i % 64) }
func (b *bitmap) has(i int) bool { return b[i/64]>>(i%64)&1 == 1 }

// standing is what the membership knows. While it is the same, so is the view.
type standing struct {
	known, settled bool
	alive, leaving bitmap
}

// settled is for how many heartbeats nothing must have changed before balance is restored.
const settled = 10

func (s *speaker) standing() standing {
	w := s.w
	known := s.joined || w.now-s.started >= w.cfg.grace
	fenced := s.desired.Known && !known // it froze, and does not count itself until it is joined
	st := standing{known: known || fenced, settled: s.options() && w.now-s.changed >= settled*w.cfg.interval}
	dead := w.now - w.cfg.deadAfter()
	for i := range w.speakers {
		if s.guard != nil && s.guard.doubts(i) {
			continue
		}
		if self := i == s.id; self && !fenced || !self && s.heard[i] > 0 && s.heard[i] >= dead {
			st.alive.add(i)
			if s.left[i] || self && s.leaving {
				st.leaving.add(i)
			}
		}
	}
	return st
}

// isAlive says whether the heartbeats have another node as alive.
func (s *speaker) isAlive(i int) bool {
	return s.heard[i] > 0 && s.w.now-s.heard[i] <= s.w.cfg.deadAfter()
}

// view is the membership as the plan wants it.
func (s *speaker) view() lb.View {
	st := s.standing()
	v := lb.View{Known: st.known, Settled: st.settled}
	for i, peer := range s.w.speakers {
		if st.alive.has(i) {
			v.Members = append(v.Members, peer.name)
		}
		if st.leaving.has(i) {
			v.Leaving = append(v.Leaving, peer.name)
		}
	}
	if s.options() {
		v.Owners = s.record.Owners()
	}
	return v
}

// look is the view with what plan.Patience adds. Balance is restored sooner here than there.
func (s *speaker) look() lb.View {
	v := s.view()
	settled := v.Settled
	v = s.patience.Look(s.name, v, s.wire.stepsBack, nil, s.w.clock())
	v.Settled = settled
	if at, ok := s.patience.Next(); ok && len(v.Returning) > 0 {
		s.later(at.Sub(s.w.clock()), s.kick)
	}
	return v
}

// replanIfChanged plans when the membership is another one.
func (s *speaker) replanIfChanged() {
	if s.guard != nil {
		s.guard.follow()
	}
	if s.notice() {
		s.kick()
	}
}

// notice compares the membership with that of the last look and says whether it changed.
func (s *speaker) notice() bool {
	now, before := s.standing(), s.seen
	if now == before {
		return false
	}
	for i := range s.w.speakers {
		if before.alive.has(i) && !now.alive.has(i) {
			s.w.speakers[i].touched = true
			s.w.trace("node %d loses sight of node %d", s.id, i)
		}
	}
	if now.settled == before.settled {
		s.changed = s.w.now
		now.settled = false
	}
	s.seen = now
	return true
}

// replan is the speaker's loop: it repeats while the claims that follow from the plan are
// news to the record.
func (s *speaker) replan() {
	s.notice()
	s.rested = s.w.now + s.w.cfg.rest
	for range 20 {
		if s.facts == nil {
			return
		}
		v := s.look()
		if !s.apply(s.planner.ForNode(s.name, *s.facts, v), v) {
			return
		}
	}
	s.w.fatalf("node %d claims for ever", s.id)
}

// apply does with a plan what the speaker does and says whether the record changed.
func (s *speaker) apply(next plan.Desired, v lb.View) bool {
	if !next.Known {
		return false // I7: nothing changes
	}
	prev := s.desired
	s.desired = next
	s.checkOwnership()
	s.wire.set(prev, next)
	s.planned = s.fences
	s.wire.book()
	if s.guard != nil {
		s.guard.set(next.Watch)
	}
	s.record.Use(next.Recorded, s.w.clock())
	claims := slices.Concat(next.Claims, s.patience.Due(next, v, s.w.clock()))
	claims = slices.DeleteFunc(claims, s.wire.stepsBack)
	changed, again := s.record.Take(claims, s.name, s.times(), s.w.clock())
	if changed {
		s.w.claims += len(claims)
		s.w.trace("node %d claims %v", s.id, claims)
	}
	if !again.IsZero() {
		s.later(again.Sub(s.w.clock()), s.kick)
	}
	if changed {
		s.changed = s.w.now
		s.later(0, s.broadcast)
	}
	return changed
}
