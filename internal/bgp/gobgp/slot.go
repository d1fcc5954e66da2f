// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/clarion-lb/clarion/internal/bgp"
	"github.com/clarion-lb/clarion/internal/lb"
)

const (
	pollEvery = time.Second // counters, and whatever an event has not told
	// A session that fell is set up anew at once, which saves five seconds, but not more often
	// than this: a peer that keeps hanging up is left to the engine's own back-off.
	reconnectEvery = 10 * time.Second
	// How long a peer stays blocked whose own configuration makes a session impossible.
	blockFor = 30 * time.Second
	// The same of one that sends too many routes. Every attempt costs both sides all of them.
	floodFor = 5 * time.Minute
	// How often the next hops of the other family are looked up again.
	hopsEvery = 10 * time.Second
)

// line is a telling line of the engine's log.
type line struct{ event, detail string }

// slot is one peer: its wish, its engine, and the goroutine that brings them together.
type slot struct {
	name string
	opts Options
	pool *pool
	log  *slog.Logger
	wake chan struct{}
	done chan struct{}

	mu      sync.Mutex // guards what others read and write
	want    bgp.PeerWant
	problem string
	gone    func() // set when the peer shall be removed; called when it is
	found   netip.Addr
	lines   []line
	changed bool
	session bgp.Session

	// All below belongs to the goroutine of run.
	engine    *engine
	unwatch   context.CancelFunc
	have      bgp.Have
	address   netip.Addr // that have.Peer was added with
	hops      hops
	hopsAt    time.Time // when they were looked up; zero when that failed
	hopsOn    way       // that they were looked up for
	localAS   uint32    // that the paths in the engine were made with
	wasUp     bool
	lastReset time.Time
	blocked   block
	base      bgp.Messages // of the sessions before the present one
	current   bgp.Messages
	finding   finding
	failure   error             // of the last attempt to get an engine
	failing   map[string]string // what does not work, and why, as it was logged
}

// block keeps a peer without session whose own configuration makes one impossible, until it may
// have been mended there, or is changed here.
type block struct {
	reason lb.Reason
	detail string
	peer   lb.Peer
	end    time.Time
}

func newSlot(name string, o Options, p *pool) *slot {
	return &slot{
		name: name, opts: o, pool: p, log: o.Log.With("peer", name), wake: make(chan struct{}, 1), done: make(chan struct{}),
		session: bgp.Session{Name: name, Phase: bgp.Idle, Since: time.Now()}, failing: map[string]string{},
	}
}

// set hands over the wish. A peer with a problem has no session.
func (s *slot) set(w bgp.PeerWant, problem string) {
	s.mu.Lock()
	s.want, s.problem, s.changed = w, problem, true
	s.mu.Unlock()
	s.kick()
}

// remove ends the session and the slot.
func (s *slot) remove(gone func()) {
	s.mu.Lock()
	s.gone, s.changed = gone, true
	s.mu.Unlock()
	s.kick()
}

func (s *slot) observe() bgp.Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.session
}

func (s *slot) kick() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// said takes a line from the engine, in one of the engine's goroutines.
func (s *slot) said(event, detail string) {
	s.mu.Lock()
	s.lines = append(s.lines, line{event, detail})
	s.mu.Unlock()
	s.kick()
}

// wish is what a pass works with.
type wish struct {
	want    bgp.PeerWant
	problem string
	gone    func()
	found   netip.Addr
	lines   []line
}

func (s *slot) take() wish {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := wish{s.want, s.problem, s.gone, s.found, s.lines}
	s.lines, s.changed = nil, false
	return w
}

func (s *slot) newWish() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// run serves the peer until ctx ends or the peer is removed.
func (s *slot) run(ctx context.Context) {
	defer close(s.done)
	defer s.finding.end()
	timer := time.NewTimer(pollEvery)
	defer timer.Stop()
	for {
		if s.pass(ctx) {
			return
		}
		timer.Reset(pollEvery)
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-timer.C:
		}
	}
}

// pass compares wish and engine once. It is true when the peer is gone.
func (s *slot) pass(ctx context.Context) bool {
	w := s.take()
	now := time.Now()
	if w.gone != nil {
		s.reach(nil)
		s.release()
		w.gone()
		return true
	}
	s.findNeighbor(ctx, w.want.Peer)
	sess := s.look(w, now)
	want := s.decide(w, &sess, now)
	s.reach(&want)
	sess.Announced, sess.Pending = len(s.have.Routes), len(w.want.Routes)-len(s.have.Routes)
	if sess.Phase == bgp.Idle && s.have.Added {
		sess.Phase = bgp.Connecting
	}
	s.explain(&sess, &w)
	s.publish(sess, now)
	return false
}

// explain says what only this side knows of a session that is not there, or not for all routes.
func (s *slot) explain(sess *bgp.Session, w *wish) {
	switch p := w.want.Peer; {
	case s.engine == nil && s.failure != nil:
		sess.Reason, sess.Detail = bgp.SessionFailed, s.failure.Error()
	case sess.Phase == bgp.Connecting && p.Passive() && sess.Reason == "":
		sess.Detail = fmt.Sprintf("waiting for the peer to connect to port %d", p.ListenPort)
	case sess.Reason == "":
		if text := s.hops.lacking(w.want.Routes, localOf(sess, &p)); text != "" {
			sess.Reason, sess.Detail = bgp.NoNextHop, text
		}
	}
}

// decide turns the wish into what the engine shall have now, and says why if that is less.
func (s *slot) decide(w wish, sess *bgp.Session, now time.Time) bgp.PeerWant {
	want := w.want
	if !now.Before(s.blocked.end) || !bgp.SameSession(s.blocked.peer, want.Peer) {
		s.blocked = block{}
	}
	switch {
	case w.problem != "":
		want.Hold, sess.Reason, sess.Detail = bgp.PeerRejected, bgp.PeerRejected, w.problem
		sess.Phase = bgp.Idle
	case want.Hold != "":
		sess.Reason, sess.Phase = want.Hold, bgp.Held
	case s.blocked.reason != "":
		want.Hold, sess.Reason, sess.Detail = s.blocked.reason, s.blocked.reason, s.blocked.detail
		sess.Phase = bgp.Idle
	case want.Peer.Unnumbered() && !w.found.IsValid():
		want.Hold, sess.Reason, sess.Phase = bgp.NoNeighbor, bgp.NoNeighbor, bgp.Idle
		sess.Detail = "no router advertisement on " + want.Peer.Interface
	}
	address := want.Peer.Address
	if want.Peer.Unnumbered() {
		address = w.found
	}
	if s.have.Added && s.address != address {
		s.drop() // another router answers on the link
	}
	if want.Hold == "" {
		s.address = address
	}
	if w.problem == "" {
		s.findHops(wayOf(&want.Peer), now)
	}
	want.Routes = s.hops.sendable(want.Routes)
	sess.Address = address
	return want
}

// findHops looks the next hops up, while there is a session only now and then. They stay as they
// were when that fails: no answer does not say that there is no address.
func (s *slot) findHops(w way, now time.Time) {
	same := s.hopsOn == w
	if same && s.have.Added && now.Sub(s.hopsAt) < hopsEvery {
		return
	}
	h, err := hopsOf(w)
	s.complain("look up next hops", err)
	s.hopsOn, s.hopsAt = w, now
	if err != nil {
		s.hopsAt = time.Time{}
	}
	if err == nil || !same {
		s.setHops(h)
	}
}

// setHops takes new next hops. Routes that had another one are noted as announced with attributes
// that nobody wants, so that they are announced again.
func (s *slot) setHops(h hops) {
	old := s.hops
	s.hops = h
	if h == old {
		return
	}
	for i, r := range s.have.Routes {
		if f := lb.FamilyOf(r.Prefix.Addr()); h.of(f) != old.of(f) {
			s.have.Routes[i] = lb.Route{Prefix: r.Prefix, Bandwidth: math.MaxUint64}
		}
	}
}

// complain logs what fails, once until it works again or fails otherwise.
func (s *slot) complain(what string, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != "" && text != s.failing[what] {
		s.log.Warn(what, "error", err)
	}
	s.failing[what] = text
}

// look reads the engine and what it has said, and reacts to a session that came up or fell.
func (s *slot) look(w wish, now time.Time) bgp.Session {
	prev := s.observe()
	sess := bgp.Session{
		Name: s.name, Phase: bgp.Idle, Since: prev.Since, Ups: prev.Ups,
		Port: w.want.Peer.Port, Link: w.want.Peer.Interface, VRF: w.want.Peer.VRF,
	}
	if prev.Reason == bgp.SessionFailed {
		sess.Reason, sess.Detail = prev.Reason, prev.Detail // until it succeeds
	}
	down := s.hear(w.lines, &sess)
	if s.engine == nil || !s.have.Added {
		s.wasUp = false
		sess.Messages = s.base
		return sess
	}
	up := s.poll(&sess)
	if up && !s.acceptable(&sess, now) {
		up = false
	}
	if s.wasUp && (!up || down) && s.have.Added && now.Sub(s.lastReset) >= reconnectEvery {
		s.lastReset = now
		s.drop()
		up, sess.Phase = false, bgp.Connecting
	}
	if up {
		sess.Phase, sess.Reason, sess.Detail = bgp.Established, "", ""
	}
	s.wasUp = up
	return sess
}

// hear notes why a session ended or could not begin. It is true when one has ended.
func (s *slot) hear(lines []line, sess *bgp.Session) bool {
	down := false
	for _, l := range lines {
		switch l.event {
		case lineUp:
			sess.Ups++
			down = false
		case lineDown:
			down = true
			if sess.Reason == "" {
				sess.Detail = l.detail
			}
			sess.Reason = bgp.SessionFailed
		case lineState:
			if sess.Reason == "" || strings.HasPrefix(sess.Detail, lineNotConnected) {
				sess.Reason, sess.Detail = bgp.SessionFailed, l.detail // nothing better was said
			}
		case lineExpired:
			sess.Reason, sess.Detail = bgp.SessionFailed, "hold timer expired"
		case lineReceived, lineSent, lineNotConnected:
			sess.Reason, sess.Detail = bgp.SessionFailed, fmt.Sprintf("%s: %s", l.event, l.detail)
		}
	}
	return down
}

// acceptable checks what only an established session shows, and blocks the peer otherwise.
func (s *slot) acceptable(sess *bgp.Session, now time.Time) bool {
	reason, detail, pause := objection(&s.have.Peer, sess)
	if reason == "" {
		return true
	}
	s.refuse(reason, detail, now.Add(pause))
	return false
}

// objection says why an established session cannot stay, and how long to wait for another.
func objection(p *lb.Peer, sess *bgp.Session) (reason lb.Reason, detail string, pause time.Duration) {
	switch {
	case p.Dynamic == lb.ExternalASN && sess.ASN == p.LocalAS():
		return bgp.ASNMismatch, fmt.Sprintf("peer has our own AS number %d, but must be external", sess.ASN), blockFor
	case sess.HoldTime == 0:
		// The engine gives every write the negotiated time, and none at all when that is 0.
		return bgp.HoldTimeZero, "peer offers a hold time of 0, which the engine cannot keep", blockFor
	case sess.Received > maxReceived:
		return bgp.TooManyRoutes, fmt.Sprintf("peer sends more than %d routes; filter them there, nothing uses them here", maxReceived), floodFor
	}
	return "", "", 0
}

// refuse ends the session and has none with the peer for a while.
func (s *slot) refuse(reason lb.Reason, detail string, end time.Time) {
	s.blocked = block{reason, detail, s.have.Peer, end}
	s.log.Warn("session refused", "reason", reason, "detail", detail)
	s.drop()
}

// publish makes the session visible and kicks the owner when it has come up or gone down.
func (s *slot) publish(sess bgp.Session, now time.Time) {
	s.mu.Lock()
	prev := s.session
	if prev.Phase != sess.Phase {
		sess.Since = now
	}
	s.session = sess
	s.mu.Unlock()
	switch {
	case prev.Phase == sess.Phase:
		if prev.Ups == sess.Ups {
			return // the log may tell of a session later than the engine's state does
		}
	case sess.Phase == bgp.Established:
		s.log.Info("session established", "addr", sess.Address, "asn", sess.ASN, "routes", sess.Announced)
	case prev.Phase == bgp.Established:
		s.log.Info("session down", "addr", sess.Address, "reason", sess.Reason, "detail", sess.Detail)
	}
	s.opts.Kick()
}
