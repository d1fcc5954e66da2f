// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package members

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// Peer is another speaker as the cluster lists it. A node with several addresses may be
// listed several times; an invalid address means that the speaker exists but has none yet.
type Peer struct {
	Node string
	Addr netip.AddrPort
}

const (
	pingPeriod = 200 * time.Millisecond // between pings of one missing peer
	pingGap    = 25 * time.Millisecond  // between pings of all missing peers together
	burst      = 8                      // pings, and joins, under way at a time
	joinPeriod = 5 * time.Second        // between joins of a peer that answers no ping
	grace      = 3 * time.Second        // see the package comment
	quorum     = 3                      // answers that need no further ones

	joinPeriodUnproven = time.Second // joinPeriod while nobody has answered
	futileShifts       = 5           // pingPeriod grows to 6.4 s for one that answers in vain
)

// try is one attempt to reach a peer: a ping, and a join if it is answered, or a join
// at once where UDP does not get through.
type try struct {
	peer Peer
	join bool
}

// entry is what the book holds about one peer.
type entry struct {
	pinging, joining bool          // a try is under way
	pinged, joined   time.Duration // start of the last one
	tried, answered  bool          // since the last reset
	futile           uint          // answers that made it no member
}

// book remembers the known peers and when each was tried. It makes no tries itself: the
// caller does and reports how they ended.
type book struct {
	self    string
	listed  bool // a list has been given, be it empty
	entries map[Peer]*entry
	since   time.Duration // the last reset
	credit  time.Duration // pings may leave for the time since then, one per pingGap
}

func newBook(self string, now time.Duration) *book {
	return &book{self: self, entries: map[Peer]*entry{}, since: now, credit: now - burst*pingGap}
}

// list replaces the peers that the cluster lists. One that only the gossip knows stays as
// long as it is alive.
func (b *book) list(peers []Peer, alive func(node string) bool) {
	b.listed = true
	for p := range b.entries {
		if !alive(p.Node) && !slices.Contains(peers, p) {
			delete(b.entries, p)
		}
	}
	for _, p := range peers {
		b.learn(p)
	}
}

// learn notes a peer.
func (b *book) learn(p Peer) {
	if _, ok := b.entries[p]; !ok && p.Node != b.self {
		b.entries[p] = &entry{pinged: b.since - pingPeriod, joined: b.since}
	}
}

// knows says whether a node is among the peers.
func (b *book) knows(node string) bool {
	for p := range b.entries {
		if p.Node == node {
			return true
		}
	}
	return false
}

// reset starts a new proof: no peer counts as tried. Several may be asked at once, except
// after a link came up: the switch may need another moment, and a packet that is lost then
// costs a second, because that is how often the kernel asks for a hardware address. So
// peers are asked one after the other, each of them being another chance.
func (b *book) reset(now time.Duration, linkUp bool) {
	b.since, b.credit = now, now-burst*pingGap
	if linkUp {
		b.credit = now - pingGap
	}
	for _, e := range b.entries {
		e.tried, e.answered = false, false
		e.pinged, e.joined = now-pingPeriod, now
	}
}

// proven says whether enough was heard since the last reset for this node to trust its
// view, by the rules of the package comment.
func (b *book) proven(now time.Duration) bool {
	answers, untried := map[string]bool{}, 0
	for p, e := range b.entries {
		if e.answered {
			answers[p.Node] = true
		}
		if !e.tried {
			untried++
		}
	}
	switch {
	case len(answers) >= quorum:
		return true
	case untried > 0:
		return false
	case len(answers) > 0:
		return true
	default:
		return b.listed && (len(b.entries) == 0 || now-b.since >= grace)
	}
}

// missing returns the number of nodes that are known and not alive.
func (b *book) missing(alive func(node string) bool) int {
	nodes := map[string]bool{}
	for p := range b.entries {
		if !alive(p.Node) {
			nodes[p.Node] = true
		}
	}
	return len(nodes)
}

// size returns the number of nodes that are known, this one included.
func (b *book) size() int {
	return 1 + b.missing(func(string) bool { return false })
}

// due returns the tries to start now and notes them as under way. While unproven every
// peer is asked until it answers; later only those that are missing.
func (b *book) due(now time.Duration, unproven bool, alive func(node string) bool) []try {
	var wanted []Peer
	pings, joins := 0, 0
	for p, e := range b.entries {
		if e.pinging {
			pings++
		}
		if e.joining {
			joins++
		}
		if alive(p.Node) {
			e.futile = 0
		}
		if alive(p.Node) && (!unproven || e.answered) {
			continue
		}
		if !p.Addr.IsValid() {
			e.tried = true
			continue
		}
		wanted = append(wanted, p)
	}
	// The one that waited longest is next; the rest makes the order repeatable.
	slices.SortFunc(wanted, func(p, q Peer) int {
		return cmp.Or(cmp.Compare(b.entries[p].pinged, b.entries[q].pinged),
			cmp.Compare(p.Node, q.Node), p.Addr.Compare(q.Addr))
	})
	every := joinPeriod
	if unproven {
		every = joinPeriodUnproven
	}
	b.credit = max(b.credit, now-burst*pingGap)
	var out []try
	for _, p := range wanted {
		e := b.entries[p]
		if !e.pinging && now-e.pinged >= pingPeriod && pings < burst && b.credit+pingGap <= now {
			pings++
			b.credit += pingGap
			e.pinging, e.pinged = true, now
			out = append(out, try{peer: p})
		}
		if !e.joining && now-e.joined >= every && joins < burst {
			joins++
			e.joining, e.joined = true, now
			out = append(out, try{peer: p, join: true})
		}
	}
	return out
}

// done notes how a try ended that was started at began. What began before the last reset
// says nothing about the time after it.
func (b *book) done(t try, began time.Duration, answered bool) {
	e, ok := b.entries[t.peer]
	if !ok {
		return
	}
	if t.join {
		e.joining = false
	} else {
		e.pinging = false
	}
	if began < b.since {
		return
	}
	e.tried, e.answered = true, e.answered || answered
	if answered {
		// One that answers again and again and yet is no member is about to leave, or
		// has another name than its Node. It is asked half as often each time.
		e.pinged = began + pingPeriod<<min(e.futile, futileShifts) - pingPeriod
		e.futile++
	}
}
