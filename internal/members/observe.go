// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package members

// Counts are what happened since the start.
type Counts struct {
	Joined  uint64 // members that appeared
	Gone    uint64 // members that left or were declared dead
	Tries   uint64 // attempts to reach a peer that ended
	Answers uint64 // those of them that were answered
	Stalls  uint64 // times this process stood still and fenced itself
	Found   uint64 // members that the direct watch found gone before the gossip did
	Accused uint64 // times this node was found gone and fenced itself
	Refuted uint64 // times this node heard of its own death and fenced itself
	Resizes uint64 // times the gossip was set up again for another size of cluster
}

// Observed is the state of membership for metrics and for people.
type Observed struct {
	Off     bool   // membership is switched off
	Proof   string // starting, proven, rebuilding or fenced
	Claims  bool   // this node counts itself
	Alive   int    // other members
	Missing int    // known nodes that are no members
	Size    Size   // class of the parameters, unless Fixed
	Fixed   bool   // the parameters come from a file or a flag
	Keys    int    // accepted keys; 0 means clear text
	Health  int    // memberlist's score; 0 is best, more means that answers come late
	Error   string // why the gossip does not run; empty if it does
	Counts
}

// Observe returns the present state.
func (m *Members) Observe() Observed {
	if m.off() {
		return Observed{Off: true, Claims: true}
	}
	claims := m.Fresh()
	m.mu.Lock()
	st := m.standing
	o := Observed{
		Proof: st.proof.String(), Claims: claims,
		Alive: len(st.alive), Missing: st.book.missing(st.isAlive),
		Size: m.size, Fixed: m.fixed != nil,
		Error: m.broken, Counts: m.counts,
	}
	s := m.session
	m.mu.Unlock()
	if m.keys != nil {
		o.Keys = int(m.keys.count.Load())
	}
	if s != nil {
		o.Health = s.list.GetHealthScore()
	}
	return o
}
