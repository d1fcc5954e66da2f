// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"slices"
	"time"

	"github.com/clarion-lb/clarion/internal/watch"
)

// The sessions of guards: silence counts after four intervals, as the speaker has it.
const (
	guardInterval = 50 * time.Millisecond
	guardSilence  = 4 * guardInterval
)

// guard is the direct watch of a speaker: the real judgement, over sessions that are beats
// without a handshake.
type guard struct {
	s       *speaker
	machine *watch.Machine
	alive   bitmap
	peers   []int                 // of sessions, sorted
	heard   map[int]time.Duration // by peer of a session: the last beat
	expired map[int]bool          // sessions that were up and are silent
	fit     bool
	waiting bool
	wakes   time.Duration // when, if waiting
}

func newGuard(s *speaker) *guard {
	g := &guard{s: s, heard: map[int]time.Duration{}, expired: map[int]bool{}}
	g.machine = watch.New(watch.Config{Self: s.name, Serial: uint64(s.w.now) + uint64(s.life)})
	g.machine.SetFit(false)
	g.beat()
	return g
}

// beat sends to all peers, looks for silence, and goes on.
func (g *guard) beat() {
	s, w := g.s, g.s.w
	for _, i := range g.peers {
		peer, life := w.speakers[i], s.life
		w.send(&w.net, s.id, i, func() {
			peer.whenRunning(peer.life, func() {
				if peer.guard != nil && s.life == life {
					peer.guard.receiveBeat(s.id)
				}
			})
		})
	}
	g.listen()
	s.later(guardInterval-w.upTo(guardInterval/4), g.beat)
}

func (g *guard) receiveBeat(from int) {
	if !slices.Contains(g.peers, from) {
		return // this end does not know of the session
	}
	g.heard[from] = g.s.w.now
	if g.expired[from] {
		delete(g.expired, from)
		g.tell()
	}
}

// listen looks for sessions that have expired.
func (g *guard) listen() {
	news := false
	for i, at := range g.heard {
		if g.s.w.now-at > guardSilence && !g.expired[i] {
			g.expired[i], news = true, true
		}
	}
	if news {
		g.tell()
	}
}

// tell hands the sessions to the machine.
func (g *guard) tell() {
	var sessions []watch.Session
	for _, i := range g.peers {
		sessions = append(sessions, watch.Session{Node: g.s.w.speakers[i].name, Silent: g.expired[i]})
	}
	g.do(g.machine.SetSessions(sessions, g.s.w.now))
}

// set makes the sessions those that the plan names.
func (g *guard) set(nodes []string) {
	g.peers = g.peers[:0]
	for _, n := range nodes {
		g.peers = append(g.peers, g.s.w.id(n))
	}
	slices.Sort(g.peers)
	for i := range g.heard {
		if !slices.Contains(g.peers, i) {
			delete(g.heard, i)
			delete(g.expired, i)
		}
	}
}

// follow tells the machine what the membership has.
func (g *guard) follow() {
	s, w := g.s, g.s.w
	var alive bitmap
	for i := range w.speakers {
		if i != s.id && s.isAlive(i) {
			alive.add(i)
		}
	}
	if alive != g.alive {
		g.alive = alive
		var names []string
		for i, peer := range w.speakers {
			if alive.has(i) {
				names = append(names, peer.name)
			}
		}
		g.machine.SetMembers(names, 2*w.cfg.deadAfter())
	}
	known := s.joined || w.now-s.started >= w.cfg.grace
	if known != g.fit {
		g.fit = known
		g.machine.SetFit(known)
		if known {
			g.do(g.machine.Restored(w.now))
		}
	}
}

// doubts says whether a node is to be left out of the view.
func (g *guard) doubts(i int) bool { return g.machine.Doubts(g.s.w.speakers[i].name) }

// do performs actions.
func (g *guard) do(actions []watch.Action) {
	s, w := g.s, g.s.w
	for _, a := range actions {
		switch a.Op {
		case watch.Fence:
			w.trace("node %d hears that it is gone", s.id)
			s.touched = true
			s.fence()
		case watch.Ping:
			g.ping(w.id(a.To), a.To)
		case watch.Send:
			msg := a.Message
			if msg.Kind == watch.Gone {
				w.trace("node %d finds %s gone", s.id, msg.Node)
			}
			g.send(w.id(a.To), func(to *guard) { to.do(to.machine.Receive(msg, w.now)) })
		}
	}
	g.wait()
	s.replanIfChanged()
}

// wait lets the machine do what is due later. Once woken for something that is void by then, it
// waits for the next.
func (g *guard) wait() {
	at, due := g.machine.Next()
	if !due || g.waiting && g.wakes <= at {
		return
	}
	g.waiting, g.wakes = true, at
	g.s.later(max(at-g.s.w.now, 0), func() {
		if g.waiting && g.wakes == at { // not replaced by an earlier one
			g.waiting = false
			g.do(g.machine.Tick(g.s.w.now))
		}
	})
}

// send carries something to the guard of a node.
func (g *guard) send(to int, deliver func(*guard)) {
	peer := g.s.w.speakers[to]
	g.s.w.send(&g.s.w.net, g.s.id, to, func() {
		peer.whenRunning(peer.life, func() { deliver(peer.guard) })
	})
}

func (g *guard) ping(to int, name string) {
	s, done := g.s, false
	end := func(ok bool) {
		if !done {
			done = true
			g.do(g.machine.Pinged(name, ok, s.w.now))
		}
	}
	g.send(to, func(peer *guard) {
		peer.send(s.id, func(back *guard) {
			if back == g {
				end(true)
			}
		})
	})
	s.later(watch.PingTime, func() { end(false) })
}
