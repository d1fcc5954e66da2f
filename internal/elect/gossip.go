// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package elect

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"
)

// Claims about addresses that are not in use here may be for a Service that the others have
// seen already. They are kept, and after a while neither passed on, so that the speakers do
// not keep alive for each other what is gone, nor kept.
const (
	passOnFor = 20 * time.Second
	keepFor   = time.Minute
)

// Two nodes that do not take each other for members, while both talk to the rest, each see the
// other's claim as that of a dead node, and would take the address from each other with each
// message. So a node that took an address waits before it takes it again, twice as long each
// time, up to longestWait; one that had no need to for longestWait starts anew. Nothing is
// lost by that: who is elected announces, recorded or not.
const (
	firstWait   = 500 * time.Millisecond
	longestWait = 16 * time.Second
)

// maxClaims bounds what others can make a speaker remember.
const maxClaims = 1 << 16

// Gossip is a record and what of it is to be told to the others: each change several times
// to whoever is met next, and all of it to one who asks. What is lost on the way is repaired
// by that, and by contradicting those who say something older. The zero Gossip is ready for
// use; it is not safe for concurrent use.
type Gossip struct {
	record Record
	turn   uint64
	// queue are the addresses to tell of, in this order, left how many times each.
	queue []netip.Addr
	left  map[netip.Addr]int
	// unused is since when addresses are not in use here.
	unused map[netip.Addr]time.Time
	waits  map[netip.Addr]wait
}

// wait is until when an address is not taken again, and how long that is in all.
type wait struct {
	until time.Time
	long  time.Duration
}

// Turn counts the changes of the record. While it is the same, so is the record.
func (g *Gossip) Turn() uint64 { return g.turn }

// Owners returns the record as lb.View wants it.
func (g *Gossip) Owners() map[netip.Addr]string { return g.record.Owners() }

// Take records that a node owns addresses now, to be told a number of times, and says whether
// any of that is new. Some may have to wait, because the node took them a moment ago and
// somebody else did since; again is when to try the first of those, zero if there is none.
func (g *Gossip) Take(addrs []netip.Addr, node string, times int, now time.Time) (news bool, again time.Time) {
	for _, a := range addrs {
		if g.record.claims[a].Node == node {
			continue
		}
		w := g.waits[a]
		if now.Before(w.until) {
			if again.IsZero() || w.until.Before(again) {
				again = w.until
			}
			continue
		}
		g.record.Take(a, node)
		g.tell(a, times)
		g.wait(a, w, now)
		news = true
	}
	if news {
		g.turn++
	}
	return news, again
}

// Insist claims addresses of a node anew, to be told a number of times: see Record.Insist. Who
// owns them does not change by that, here.
func (g *Gossip) Insist(addrs []netip.Addr, node string, times int) {
	for _, a := range addrs {
		if g.record.Insist(a, node) {
			g.tell(a, times)
			g.turn++
		}
	}
}

// wait notes that an address was taken, after it had waited before.
func (g *Gossip) wait(a netip.Addr, before wait, now time.Time) {
	if g.waits == nil {
		g.waits = map[netip.Addr]wait{}
	}
	long := firstWait
	if !before.over(now) {
		long = min(2*before.long, longestWait)
	}
	g.waits[a] = wait{now.Add(long), long}
}

// over says whether a wait has no meaning any more. So has none.
func (w wait) over(now time.Time) bool {
	return w.long == 0 || now.Sub(w.until) >= longestWait
}

// Hear merges what another speaker says and says whether any of it is news, which is told on
// the given number of times; so is what this speaker knows better. An error means that some of
// the message could not be read.
func (g *Gossip) Hear(msg []byte, times int) (news bool, err error) {
	err = read(msg, func(a netip.Addr, c Claim) {
		have, known := g.record.claims[a]
		switch {
		case !known && len(g.record.claims) >= maxClaims:
		case g.record.Merge(a, c):
			g.tell(a, times)
			news = true
		case c != have:
			g.repeat(a, times)
		}
	})
	if news {
		g.turn++
	}
	return news, err
}

// tell queues a new claim, to be told the full number of times even if an older one about the
// address has been told already.
func (g *Gossip) tell(a netip.Addr, times int) {
	if times <= 0 {
		return
	}
	if g.left == nil {
		g.left = map[netip.Addr]int{}
	}
	if _, queued := g.left[a]; !queued {
		g.queue = append(g.queue, a)
	}
	g.left[a] = times
}

// repeat queues a claim because somebody said something older. One that is queued already is
// not told more often for that: the more speakers have not heard of it yet, the more of them
// will say so.
func (g *Gossip) repeat(a netip.Addr, times int) {
	if _, queued := g.left[a]; !queued {
		g.tell(a, times)
	}
}

// Next returns the next message of at most size bytes for whoever it can be sent to, nil when
// there is nothing to tell.
func (g *Gossip) Next(size int) []byte {
	var w writer
	n := 0
	for _, a := range g.queue {
		c, ok := g.record.claims[a]
		if ok && w.size()+w.most(c) > size {
			break
		}
		n++
		if !ok {
			delete(g.left, a)
			continue
		}
		w.add(a, c)
		g.left[a]--
	}
	again := slices.DeleteFunc(slices.Clone(g.queue[:n]), func(a netip.Addr) bool {
		if g.left[a] > 0 {
			return false
		}
		delete(g.left, a)
		return true
	})
	g.queue = append(g.queue[n:], again...)
	return w.bytes()
}

// State returns the record as one message, for a speaker that asks for all of it.
func (g *Gossip) State(now time.Time) []byte {
	type item struct {
		addr netip.Addr
		Claim
	}
	var items []item
	for a, c := range g.record.claims {
		if since, unused := g.unused[a]; !unused || now.Sub(since) < passOnFor {
			items = append(items, item{a, c})
		}
	}
	slices.SortFunc(items, func(x, y item) int { return cmp.Or(cmp.Compare(x.Node, y.Node), x.addr.Compare(y.addr)) })
	var w writer
	for _, it := range items {
		w.add(it.addr, it.Claim)
	}
	return w.bytes()
}

// Use says which addresses, sorted, have a recorded owner as far as this speaker knows. What
// has not been in use for a while is dropped.
func (g *Gossip) Use(addrs []netip.Addr, now time.Time) {
	dropped := false
	for a := range g.record.claims {
		if _, used := slices.BinarySearchFunc(addrs, a, netip.Addr.Compare); used {
			delete(g.unused, a)
			continue
		}
		since, known := g.unused[a]
		switch {
		case !known:
			if g.unused == nil {
				g.unused = map[netip.Addr]time.Time{}
			}
			g.unused[a] = now
		case now.Sub(since) >= keepFor:
			delete(g.unused, a)
			delete(g.record.claims, a)
			dropped = true
		}
	}
	if dropped {
		g.turn++
	}
	maps.DeleteFunc(g.waits, func(_ netip.Addr, w wait) bool { return w.over(now) })
	maps.DeleteFunc(g.unused, func(a netip.Addr, _ time.Time) bool { _, ok := g.record.claims[a]; return !ok })
}
