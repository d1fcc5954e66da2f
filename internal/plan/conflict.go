// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/clarion-lb/clarion/internal/lb"
)

// Conflict is a foreign host that uses an address of a Service.
type Conflict struct {
	Service lb.Key
	lb.Rival
}

// withholds says whether one of the advertisements of an address leaves it to foreign hosts.
func (f *facts) withholds(live []member) bool {
	for i := range live {
		for _, k := range live[i].class.ads {
			if f.ads[k].Withhold {
				return true
			}
		}
	}
	return false
}

// WithConflicts adds to a plan which foreign hosts use its addresses. Other speakers are none:
// see Settle.
func WithConflicts(d Desired, rivals []lb.Rival) Desired {
	d.Conflicts = nil
	for _, r := range rivals {
		i, found := slices.BinarySearchFunc(d.L2, r.Addr, func(a lb.Announcement, addr netip.Addr) int { return a.Addr.Compare(addr) })
		if r.Node != "" || !found {
			continue
		}
		for _, k := range d.L2[i].Services {
			d.Conflicts = append(d.Conflicts, Conflict{k, r})
		}
	}
	slices.SortFunc(d.Conflicts, func(a, b Conflict) int {
		return cmp.Or(a.Service.Compare(b.Service), a.Addr.Compare(b.Addr), cmp.Compare(a.Link, b.Link), cmp.Compare(a.MAC, b.MAC))
	})
	return d
}

// conflictEvents returns what is to be said about foreign hosts: that one was seen, that the
// address is withheld or not any more, and that nobody else uses it any more. A conflict that
// goes with the address itself is not worth a word.
func conflictEvents(prev, next Desired) []Event {
	before := map[Conflict]bool{}
	for _, c := range prev.Conflicts {
		before[c] = true
	}
	still := map[place]bool{}
	var out []Event
	for _, c := range next.Conflicts {
		still[place{c.Service, c.Addr}] = true
		if !before[c] {
			out = append(out, Event{Service: c.Service, Warning: true, Reason: lb.AddressConflict, Message: c.text(next.Self)})
		}
	}
	announced := map[place]bool{}
	for i := range next.L2 {
		for _, k := range next.L2[i].Services {
			announced[place{k, next.L2[i].Addr}] = true
		}
	}
	for _, c := range prev.Conflicts {
		at := place{c.Service, c.Addr}
		if still[at] || !announced[at] {
			continue
		}
		still[at] = true
		out = append(out, Event{
			Service: c.Service, Reason: lb.ConflictResolved,
			Message: fmt.Sprintf("address %s is announced from node %q, and no host outside the cluster is heard using it any more", c.Addr, next.Self),
		})
	}
	return out
}

func (c *Conflict) text(self string) string {
	what := "announced nevertheless"
	if c.Withheld {
		what = "withheld until it is free"
	}
	return fmt.Sprintf("address %s is used by the host with hardware address %s, seen on interface %s of node %q; it is %s",
		c.Addr, c.MAC, c.Link, self, what)
}

// conflictText tells all conflicts of a Service in one line.
func conflictText(d Desired, service lb.Key) string {
	var texts []string
	at, _ := slices.BinarySearchFunc(d.Conflicts, service, func(c Conflict, k lb.Key) int { return c.Service.Compare(k) })
	for _, c := range d.Conflicts[at:] {
		if c.Service != service {
			break
		}
		texts = append(texts, c.text(d.Self))
	}
	return strings.Join(texts, "; ")
}

// Settle says what to do about other speakers that claim addresses of this node: the
// addresses on which this node steps back, and those that it should announce anew, so that
// the other one, and the segment, hear it. Both sides rank themselves among the same
// candidates by the same hash, so exactly one gives in.
//
// This node never steps back for a speaker that it can talk to: between those the election
// decides, and its result is only late somewhere.
func Settle(self string, s lb.Snapshot, v lb.View, rivals []lb.Rival) (yield, insist []netip.Addr) {
	nodes := map[netip.Addr][]string{}
	var cut []string
	for _, r := range rivals {
		if r.Node == "" || r.Node == self {
			continue
		}
		if _, alive := slices.BinarySearch(v.Members, r.Node); alive || v.All {
			insist = append(insist, r.Addr)
			continue
		}
		nodes[r.Addr] = append(nodes[r.Addr], r.Node)
		cut = append(cut, r.Node)
	}
	if len(nodes) > 0 {
		for addr, outranked := range outranked(self, s, withMembers(v, cut), nodes) {
			if outranked {
				yield = append(yield, addr)
			} else {
				insist = append(insist, addr)
			}
		}
	}
	slices.SortFunc(yield, netip.Addr.Compare)
	slices.SortFunc(insist, netip.Addr.Compare)
	insist = slices.DeleteFunc(slices.Compact(insist), func(a netip.Addr) bool { return slices.Contains(yield, a) })
	return yield, insist
}

// withMembers returns the view with nodes added that are alive, whatever the gossip says.
func withMembers(v lb.View, nodes []string) lb.View {
	v.Members = slices.Concat(v.Members, nodes)
	slices.Sort(v.Members)
	v.Members = slices.Compact(v.Members)
	return v
}

// outranked says of each address whether one of the given nodes ranks before self.
func outranked(self string, s lb.Snapshot, v lb.View, nodes map[netip.Addr][]string) map[netip.Addr]bool {
	var p Planner
	f := newFacts(self, s, v, &p.elector)
	groups := f.groups()
	f.elect(groups, &Desired{})
	out := map[netip.Addr]bool{}
	for i := range groups {
		g := &groups[i]
		others, wanted := nodes[g.addr]
		if !wanted || len(g.live) == 0 {
			continue
		}
		ranked := f.elector.Ranked(g.key(), g.set)
		own := slices.Index(ranked, self)
		out[g.addr] = slices.ContainsFunc(others, func(n string) bool {
			i := slices.Index(ranked, n)
			return i >= 0 && (own < 0 || i < own)
		})
	}
	return out
}
