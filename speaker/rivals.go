// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/clarion-lb/clarion/internal/l2"
	"github.com/clarion-lb/clarion/internal/l2/wire"
	"github.com/clarion-lb/clarion/internal/lb"
	"github.com/clarion-lb/clarion/internal/members"
	"github.com/clarion-lb/clarion/internal/plan"
)

const (
	// rivalsTimeout bounds the wait for the packet loop, which answers within microseconds
	// once it runs.
	rivalsTimeout = time.Second
	// rivalsPeriod is how often the loop looks at rivals while there are any: that one is not
	// heard any more is an event of its own, and no frame tells.
	rivalsPeriod = 30 * time.Second
	// An owner that another speaker contradicts says so again after insistPeriod. For one that
	// it can talk to it waits for a second frame, since views differ for a moment in each move.
	insistPeriod = time.Second
	viewsDiffer  = 100 * time.Millisecond
)

// rivals watches who else uses the addresses of this node, and knows which of them are
// speakers.
type rivals struct {
	log     *slog.Logger
	wire    *wire.Wire
	members *members.Members
	kick    func()

	newcomers plan.Newcomers
	speakers  map[members.MAC]string
	seen      []l2.Rival
	insisted  map[netip.Addr]time.Time
	kept      plan.Kept
	told      map[netip.Addr]string // the speaker that was logged last
	yielded   []netip.Addr
	again     *time.Timer
}

func newRivals(log *slog.Logger, w *wire.Wire, m *members.Members, kick func()) *rivals {
	return &rivals{
		log: log, wire: w, members: m, kick: kick,
		insisted: map[netip.Addr]time.Time{}, told: map[netip.Addr]string{},
	}
}

// watch completes a plan with what the wire shows: it settles with other speakers who owns
// an address, and adds the foreign hosts to the plan.
func (r *rivals) watch(ctx context.Context, s lb.Snapshot, v lb.View, d plan.Desired) plan.Desired {
	if speakers := r.members.Hardware(); !maps.Equal(speakers, r.speakers) {
		r.speakers = speakers
		known := make(map[l2.MAC]string, len(speakers))
		for mac, node := range speakers {
			known[mac] = node
		}
		r.wire.Know(known)
	}
	d = r.probe(d)
	r.look(ctx)
	if len(r.seen) == 0 && len(r.yielded) == 0 {
		r.kept = plan.Kept{}
		clear(r.told) // whoever comes back is news
		clear(r.insisted)
		return d
	}
	r.settle(d.Self, s, v)
	if r.again == nil {
		r.again = time.AfterFunc(rivalsPeriod, r.kick)
	}
	r.again.Reset(rivalsPeriod)
	return plan.WithConflicts(d, r.nouns())
}

// probe marks the addresses that nobody announced so far, and has them asked for first where
// foreign hosts have precedence.
func (r *rivals) probe(d plan.Desired) plan.Desired {
	var shy []netip.Addr
	if fresh := r.newcomers.Of(d); len(fresh) > 0 {
		d.L2 = slices.Clone(d.L2)
		for i := range d.L2 {
			a := &d.L2[i]
			if _, a.Fresh = slices.BinarySearchFunc(fresh, a.Addr, netip.Addr.Compare); a.Fresh && a.Withhold {
				shy = append(shy, a.Addr)
			}
		}
	}
	r.wire.Probe(shy)
	return d
}

// look asks the wire. If it does not answer, what it said last holds.
func (r *rivals) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, rivalsTimeout)
	defer cancel()
	seen, err := r.wire.Rivals(ctx)
	if err != nil {
		r.log.Warn("look for rivals", "error", err)
		return
	}
	r.seen = seen
}

// settle steps back for, or insists against, other speakers.
func (r *rivals) settle(self string, s lb.Snapshot, v lb.View) {
	now := r.wire.Now() // the rivals are seen by it
	yield, insist := plan.Settle(self, s, v, r.nouns())
	r.members.Insist(r.kept.Of(insist, v, r.nouns()))
	if !slices.Equal(yield, r.yielded) {
		r.yielded = yield
		r.wire.Yield(yield)
		r.kick() // what is claimed depends on it
	}
	for _, one := range r.seen {
		if one.Node != "" && r.told[one.Addr] != one.Node {
			r.told[one.Addr] = one.Node
			r.log.Info("another speaker claims an address of this node", "addr", one.Addr, "link", one.Link, "node", one.Node,
				"mac", one.MAC.String(), "steppedBack", slices.Contains(yield, one.Addr))
		}
	}
	maps.DeleteFunc(r.told, func(a netip.Addr, _ string) bool { return !r.contested(a) })
	var again []netip.Addr
	for _, one := range r.seen {
		_, wanted := slices.BinarySearchFunc(insist, one.Addr, netip.Addr.Compare)
		_, alive := slices.BinarySearch(v.Members, one.Node)
		late := alive && one.Last.Sub(one.First) < viewsDiffer
		last := r.insisted[one.Addr]
		if wanted && one.Node != "" && !late && one.Last.After(last) && now.Sub(last) >= insistPeriod {
			r.insisted[one.Addr] = now
			again = append(again, one.Addr)
		}
	}
	maps.DeleteFunc(r.insisted, func(a netip.Addr, _ time.Time) bool { return !r.contested(a) })
	if len(again) > 0 {
		r.wire.Reannounce(again)
	}
}

// stepsBack says whether an address is left to another speaker now. Nobody claims such a one: the
// other one's claim would be overruled that may arrive before it counts as a member again.
func (r *rivals) stepsBack(a netip.Addr) bool {
	_, found := slices.BinarySearchFunc(r.yielded, a, netip.Addr.Compare)
	return found
}

func (r *rivals) contested(a netip.Addr) bool {
	return slices.ContainsFunc(r.seen, func(one l2.Rival) bool { return one.Addr == a })
}

func (r *rivals) nouns() []lb.Rival {
	out := make([]lb.Rival, len(r.seen))
	for i, one := range r.seen {
		out[i] = lb.Rival{Addr: one.Addr, Link: one.Link, MAC: one.MAC.String(), Node: one.Node, Withheld: one.Withheld}
	}
	return out
}

// tellHardware tells the other speakers from which addresses this node sends announcements,
// those of interfaces in a subnet first, since there is not room for any number.
func (l *loop) tellHardware(links []lb.Link) {
	links = slices.Clone(links)
	for i := range links {
		links[i].Carrier = true // one that has none now may have it before the others hear of it
	}
	names := l.usable(links).IPv4 // they include those of IPv6
	links = slices.DeleteFunc(links, func(l lb.Link) bool { return !slices.Contains(names, l.Name) })
	l.members.SetHardware(hardware(links))
}

func hardware(links []lb.Link) []members.MAC {
	slices.SortStableFunc(links, func(a, b lb.Link) int {
		return cmp.Or(-cmp.Compare(subnets(a), subnets(b)), cmp.Compare(a.Index, b.Index))
	})
	var out []members.MAC
	for _, l := range links {
		if !slices.Contains(out, l.HardwareAddr) {
			out = append(out, l.HardwareAddr)
		}
	}
	return out
}

// subnets is 1 if the link has an address beyond the link-local ones.
func subnets(l lb.Link) int {
	if slices.ContainsFunc(l.Prefixes, func(p netip.Prefix) bool { return !p.Addr().IsLinkLocalUnicast() }) {
		return 1
	}
	return 0
}
