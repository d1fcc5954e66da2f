// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"slices"

	"github.com/clarion-lb/clarion/internal/lb"
)

// Explain returns what ForNode says of one Service, with the verdict on every node. It is
// meant for one Service that somebody asks about; it costs as much as a whole pass.
func Explain(self string, s lb.Snapshot, v lb.View, service lb.Key) []Explanation {
	var p Planner
	d := p.ForNode(self, s, v)
	if !d.Known {
		return waiting(d, s, service)
	}
	f := newFacts(self, s, v, &p.elector)
	var out []Explanation
	groups := f.groups()
	f.elect(groups, new(Desired))
	for k := range groups {
		g := &groups[k]
		for i := range g.members {
			if m := &g.members[i]; m.svc.Key == service {
				e := d.Why[m.why]
				e.Nodes = f.verdicts(g, m)
				out = append(out, e)
			}
		}
	}
	return out
}

// waiting explains an address while an input is unknown.
func waiting(d Desired, s lb.Snapshot, service lb.Key) []Explanation {
	var out []Explanation
	for i := range s.Services {
		if s.Services[i].Key != service {
			continue
		}
		for _, a := range s.Services[i].Assigned {
			out = append(out, Explanation{Service: service, Addr: a.Unmap(), Reason: d.Waiting})
		}
	}
	return out
}

// verdicts says what every node is to the member's address.
func (f *facts) verdicts(g *group, m *member) []NodeVerdict {
	if m.class == nil {
		return nil // the reason holds for all nodes alike
	}
	ranked := f.ranked(g)
	out := make([]NodeVerdict, len(f.nodes))
	for n := range f.nodes {
		v := NodeVerdict{
			Node: f.nodes[n].name, Rank: 1 + slices.Index(ranked, f.nodes[n].name),
			Weight: m.class.weight[n], Reason: f.verdict(m, n),
		}
		if v.Rank == 1 && (v.Reason == lb.NotOwner || v.Reason == lb.NoInterface) {
			v.Reason = lb.NodeAssigned
		}
		out[n] = v
	}
	slices.SortFunc(out, func(a, b NodeVerdict) int { return cmp.Compare(a.Node, b.Node) })
	return out
}

// ranked returns the candidates of a group, the owner first. An election with options may
// choose another owner than the hash does; the others follow in the order of the hash.
func (f *facts) ranked(g *group) []string {
	names := f.elector.Ranked(g.key(), g.set)
	if i := slices.Index(names, g.owner); i > 0 {
		names = slices.Insert(slices.Delete(names, i, i+1), 0, g.owner)
	}
	return names
}
