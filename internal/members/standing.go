// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package members

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/clarion-lb/clarion/internal/lb"
)

// proof is how sure a speaker is of its view.
type proof uint8

const (
	starting   proof = iota // nothing is known yet
	proven                  // the view is good
	rebuilding              // the gossip is set up again; the last good view is shown
	fenced                  // this node may have lost its place and does not count itself
)

// String returns the word that logs and metrics use.
func (p proof) String() string {
	return [...]string{"starting", "proven", "rebuilding", "fenced"}[p]
}

// standing is the whole state from which the view follows. Its methods are pure.
type standing struct {
	self   string
	proof  proof
	runs   bool                      // there is a gossip to prove anything by
	link   bool                      // the link to the peers has carrier
	left   bool                      // goodbye was said
	alive  map[string]netip.AddrPort // the others and where they are, as the gossip has them
	held   map[string]netip.AddrPort // the others before the gossip was set up again
	book   *book
	turns  int    // changes of alive and doubted
	fences uint64 // times that this node was taken out of its own view
	// probation is how long after a fence a finding about this node may still be on its way, and
	// until the time before which therefore nothing is proven.
	probation, until time.Duration
	// doubted are the members that the direct watch has found gone, sorted.
	doubted []string
}

// mark stands for a view: while it is the same, so is the view.
type mark struct {
	proof  proof
	claims bool
	turns  int
	fences uint64
}

func (s *standing) mark() mark { return mark{s.proof, s.claims(), s.turns, s.fences} }

func newStanding(self string, now time.Duration) *standing {
	return &standing{self: self, link: true, alive: map[string]netip.AddrPort{}, book: newBook(self, now)}
}

// isAlive says whether the gossip has the node as alive.
func (s *standing) isAlive(node string) bool {
	_, ok := s.alive[node]
	return ok
}

// claims says whether this node counts itself.
func (s *standing) claims() bool {
	return (s.proof == proven || s.proof == rebuilding) && s.link && !s.left
}

// view is what the loop may use. An awake node was not found stale.
func (s *standing) view(awake bool) lb.View {
	nodes := maps.Clone(s.alive)
	maps.Copy(nodes, s.held)
	for _, n := range s.doubted {
		delete(nodes, n)
	}
	if awake && s.claims() {
		nodes[s.self] = netip.AddrPort{}
	}
	return lb.View{Known: s.proof != starting, Members: slices.Sorted(maps.Keys(nodes))}
}

// fence takes this node out of its own view until it has proved its place again, which takes
// the probation at least: what the others found out while it was not listening may reach it
// only after their first answers, and must not find it in office again.
func (s *standing) fence(now time.Duration) {
	if s.proof != starting {
		s.until = max(s.until, now+s.probation)
	}
	s.oust(now)
}

// oust takes this node out of its own view. One that is only starting is not in it.
func (s *standing) oust(now time.Duration) {
	s.fences++
	if s.proof != starting {
		s.proof = fenced
	}
	s.book.reset(now, false)
}

// accuse notes that others have found this node gone although it listens, and reports whether
// that takes it out of its own view: they have given its addresses away. Here the finding is what
// arrived, so nothing is waited for but the proof. One that is only starting has nothing to lose,
// and the finding is about its earlier life.
func (s *standing) accuse(now time.Duration) bool {
	if s.proof == starting || s.left {
		return false
	}
	s.oust(now)
	return true
}

// setLink notes the carrier of the link. It reports whether that is news.
func (s *standing) setLink(up bool, now time.Duration) bool {
	if s.link == up {
		return false
	}
	s.link = up
	s.fence(now)
	s.book.reset(now, up)
	return true
}

// begin notes that a gossip runs and has found nobody yet.
func (s *standing) begin(now time.Duration) {
	s.runs = true
	s.book.reset(now, false)
}

// end forgets what the gossip knew and holds it as long as the next one is not proven.
func (s *standing) end(now time.Duration) {
	s.runs = false
	if s.proof == proven {
		s.proof = rebuilding
	}
	held := maps.Clone(s.alive)
	maps.Copy(held, s.held)
	s.held, s.alive = held, map[string]netip.AddrPort{}
	s.turns++
	s.book.reset(now, false)
}

// prove ends the search for a proof if there is one, and reports whether it did.
func (s *standing) prove(now time.Duration) bool {
	if s.proof == proven || s.proof == fenced && now < s.until || !s.runs || !s.link || !s.book.proven(now) {
		return false
	}
	s.proof, s.held = proven, nil
	return true
}

// join notes a member, and where it is.
func (s *standing) join(p Peer) {
	if p.Node == s.self {
		return
	}
	s.alive[p.Node] = p.Addr
	s.turns++
	s.book.learn(p)
}

// leave notes that a member is gone.
func (s *standing) leave(node string) {
	delete(s.alive, node)
	s.turns++
}

// count returns the number of nodes to choose the parameters for.
func (s *standing) count() int {
	return max(s.book.size(), 1+len(s.alive), 1+len(s.held))
}
