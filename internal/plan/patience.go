// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/clarion-lb/clarion/internal/lb"
)

// settledAfter is how long neither membership nor record may have changed before addresses
// are moved only because another place is better. It is longer than the news of a death need
// to reach everybody in clusters of up to a hundred nodes.
const settledAfter = 3 * time.Second

// A speaker that was beyond the reach of gossip is heard of before it is a member again: its claims
// travel by way of others. Sticky addresses are left to it for returnWithin, longer than joins take
// (docs/failover.md has the figures), lest they move to a third node. That is done once in
// returnAgain for each address: of a node that stays out of reach of this speaker, but not of the
// others, the claims come again and again.
const (
	returnWithin = 2 * time.Second
	returnAgain  = time.Minute
)

// Patience remembers since when things are as they are, for what must not be done at once.
// The zero Patience is ready for use; it is not safe for concurrent use.
type Patience struct {
	seen  lb.View
	nodes []lb.Node
	since time.Time
	heard map[netip.Addr]time.Time // when a node that is no member claimed it
	back  map[netip.Addr]time.Time
	next  time.Time
}

// Look returns the view of a node with Settled and Returning as they are at a time. stepsBack says
// for which of its addresses the node is silent in favour of a rival. What is known of the nodes counts
// too: an order to leave, or its end, reaches speakers one after the other.
func (p *Patience) Look(self string, v lb.View, stepsBack func(netip.Addr) bool, nodes []lb.Node, now time.Time) lb.View {
	if p.since.IsZero() || !sameView(p.seen, v) || !slices.EqualFunc(p.nodes, nodes, sameNode) {
		p.hear(self, v, stepsBack, now)
		p.seen, p.nodes, p.since = v, nodes, now
	}
	v.Settled = v.Known && now.Sub(p.since) >= settledAfter
	p.next = time.Time{}
	if !v.Settled {
		p.wake(p.since.Add(settledAfter))
	}
	for a, at := range p.heard {
		if until := at.Add(returnWithin); now.Before(until) && !isMember(v, v.Owners[a]) {
			v.Returning = append(v.Returning, a)
			p.wake(until)
		}
	}
	slices.SortFunc(v.Returning, netip.Addr.Compare)
	return v
}

// hear notes the addresses that are claimed by nodes that are no members, where that is news. It is
// none of anybody when this speaker starts; and an address that it answers for is its own to claim back.
func (p *Patience) hear(self string, v lb.View, stepsBack func(netip.Addr) bool, now time.Time) {
	maps.DeleteFunc(p.heard, func(_ netip.Addr, at time.Time) bool { return now.Sub(at) >= returnAgain })
	if !p.seen.Known {
		return
	}
	for a, node := range v.Owners {
		before := p.seen.Owners[a]
		if _, noted := p.heard[a]; noted || before == node || isMember(v, node) {
			continue
		}
		if before == self && !stepsBack(a) {
			continue
		}
		if p.heard == nil {
			p.heard = map[netip.Addr]time.Time{}
		}
		p.heard[a] = now
	}
}

func isMember(v lb.View, node string) bool {
	_, found := slices.BinarySearch(v.Members, node)
	return found
}

// Due returns those of the plan's Back that have been there for long enough, sorted. A plan
// from a view that is not settled says nothing about them: those that wait go on waiting,
// unless this node itself was gone.
func (p *Patience) Due(d Desired, v lb.View, now time.Time) []netip.Addr {
	if !isMember(v, d.Self) {
		p.back = nil
	}
	if !d.Known || !v.Settled {
		return nil
	}
	var due []netip.Addr
	back := make(map[netip.Addr]time.Time, len(d.Back))
	for _, b := range d.Back {
		since, ok := p.back[b.Addr]
		if !ok {
			since = now
		}
		back[b.Addr] = since
		if at := since.Add(b.After); at.After(now) {
			p.wake(at)
		} else {
			due = append(due, b.Addr)
		}
	}
	p.back = back
	return due
}

// Next returns when to look again although nothing changed, and false when there is no need.
func (p *Patience) Next() (time.Time, bool) { return p.next, !p.next.IsZero() }

func (p *Patience) wake(at time.Time) {
	if p.next.IsZero() || at.Before(p.next) {
		p.next = at
	}
}

func sameView(a, b lb.View) bool {
	return a.Known == b.Known && a.All == b.All && slices.Equal(a.Members, b.Members) &&
		slices.Equal(a.Leaving, b.Leaving) && maps.Equal(a.Owners, b.Owners) &&
		maps.EqualFunc(a.Interfaces, b.Interfaces, lb.Usable.Equal)
}

func sameNode(a, b lb.Node) bool {
	return a.Name == b.Name && a.Leaving == b.Leaving && a.ExcludedFromLB == b.ExcludedFromLB &&
		a.NetworkUnavailable == b.NetworkUnavailable
}
