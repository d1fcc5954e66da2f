// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/clarion-lb/clarion/internal/elect"
	"github.com/clarion-lb/clarion/internal/lb"
)

// facts are the inputs of one pass, indexed. Everything in them but self is the same on
// every speaker with the same view, so that all elect alike.
type facts struct {
	self     int // index in nodes, -1 when this node is not in the cluster
	selfName string
	services []lb.Service
	nodes    []node
	index    map[string]int // node name -> index in nodes
	spans    []span         // sorted by first address
	ads      []ad
	adsOf    [][]int // by pool: the indices of the advertisements that select it
	classes  map[classKey]*class
	recorded map[netip.Addr]string
	// returning are the addresses, sorted, whose owner is about to be a member again.
	returning []netip.Addr
	settled   bool
	// usable are, by node, the interfaces that can announce; nil where that is not known.
	usable []*lb.Usable
	// options is false when nothing is recorded, so that addresses with options could not
	// have the same owner everywhere.
	options bool
	elector *elect.Elector
}

// node is a node and why it cannot announce anything at all, "" when it can.
type node struct {
	name    string
	reason  lb.Reason
	leaving bool
}

// span is one range of a pool.
type span struct {
	lb.Range
	pool int
}

// ad is an advertisement with its selectors resolved to nodes.
type ad struct {
	*lb.L2Advertisement
	selects []bool // by node
	weight  []int  // by node
}

// classKey names a class: a sorted list of advertisements, encoded, and the family.
type classKey struct {
	ads    string
	family lb.Family
}

// class is what addresses of a family have in common whose Services match the same advertisements.
type class struct {
	ads      []int
	family   lb.Family
	election lb.Election
	// selective is true when an advertisement has serviceSelectors.
	selective bool
	selects   []bool // by node: an advertisement allows it
	weight    []int  // by node
	// reaches says by node whether an interface there may announce, and can.
	reaches []bool
	// interfaces are those of this node; empty means all.
	interfaces []string
	// eligible are the nodes that may announce, endpoints aside.
	eligible elect.Set
}

func newFacts(self string, s lb.Snapshot, v lb.View, e *elect.Elector) *facts {
	f := &facts{
		self: -1, selfName: self, services: s.Services, recorded: v.Owners, returning: v.Returning, settled: v.Settled,
		options: !v.All, elector: e,
		usable:  make([]*lb.Usable, len(s.Nodes)),
		nodes:   make([]node, len(s.Nodes)),
		index:   make(map[string]int, len(s.Nodes)),
		ads:     make([]ad, len(s.L2)),
		adsOf:   make([][]int, len(s.Pools)),
		classes: map[classKey]*class{},
	}
	for i := range s.Nodes {
		n := &s.Nodes[i]
		_, going := slices.BinarySearch(v.Leaving, n.Name)
		f.nodes[i] = node{name: n.Name, reason: nodeReason(n, v), leaving: n.Leaving || going}
		f.index[n.Name] = i
		if usable, known := v.Interfaces[n.Name]; known {
			f.usable[i] = &usable
		}
	}
	if i, ok := f.index[self]; ok {
		f.self = i
	}
	for i := range s.L2 {
		f.ads[i] = resolve(&s.L2[i], s.Nodes)
	}
	for i := range s.Pools {
		for k := range s.L2 {
			if slices.Contains(s.L2[k].Pools, s.Pools[i].Name) {
				f.adsOf[i] = append(f.adsOf[i], k)
			}
		}
	}
	f.spans = spansOf(s.Pools)
	return f
}

// nodeReason says why a node can announce nothing, "" when it can. Readiness, taints and
// cordons are not looked at: a node that kubelet has lost may still forward.
func nodeReason(n *lb.Node, v lb.View) lb.Reason {
	switch _, alive := slices.BinarySearch(v.Members, n.Name); {
	case !alive && !v.All:
		return lb.NoSpeaker
	case n.NetworkUnavailable:
		return lb.NodeNetworkUnavailable
	case n.ExcludedFromLB:
		return lb.NodeLabeledExcludeBalancers
	default:
		return ""
	}
}

// resolve applies an advertisement's node selectors. A preference counts only on nodes that
// the same advertisement allows.
func resolve(a *lb.L2Advertisement, nodes []lb.Node) ad {
	r := ad{L2Advertisement: a, selects: make([]bool, len(nodes)), weight: make([]int, len(nodes))}
	for i := range nodes {
		labels := nodes[i].Labels
		if len(a.Nodes) > 0 && !a.Nodes.MatchesAny(labels) {
			continue
		}
		r.selects[i] = true
		for _, p := range a.Preferred {
			if p.Nodes.Matches(labels) {
				r.weight[i] += p.Weight
			}
		}
	}
	return r
}

// poolOf returns the pool that holds an address. Whether the pool would hand the address out
// today does not matter: it is in use.
func (f *facts) poolOf(addr netip.Addr) (int, bool) { return poolAt(f.spans, addr) }

// poolAt is poolOf for spans.
func poolAt(spans []span, addr netip.Addr) (int, bool) {
	i, found := slices.BinarySearchFunc(spans, addr, func(s span, a netip.Addr) int { return s.First.Compare(a) })
	if !found {
		i--
	}
	if i < 0 || !spans[i].Contains(addr) {
		return 0, false
	}
	return spans[i].pool, true
}

// spansOf returns the ranges of all pools, sorted.
func spansOf(pools []lb.Pool) []span {
	var out []span
	for i := range pools {
		for _, r := range pools[i].Ranges {
			out = append(out, span{r, i})
		}
	}
	slices.SortFunc(out, func(a, b span) int { return a.First.Compare(b.First) })
	return out
}

// classOf returns the class of a Service for an address of a pool, nil when no advertisement
// matches.
func (f *facts) classOf(pool int, svc *lb.Service, family lb.Family) *class {
	var buf [64]int
	matching := buf[:0]
	for _, k := range f.adsOf[pool] {
		if s := f.ads[k].Services; len(s) == 0 || s.MatchesAny(svc.Labels) {
			matching = append(matching, k)
		}
	}
	if len(matching) == 0 {
		return nil
	}
	return f.class(matching, family)
}

// class returns the class of a sorted list of advertisements.
func (f *facts) class(ads []int, family lb.Family) *class {
	var buf [64]byte
	key := buf[:0]
	for _, k := range ads {
		key = binary.AppendUvarint(key, uint64(k))
	}
	c, ok := f.classes[classKey{string(key), family}] // no allocation: the key does not outlive the line
	if !ok {
		c = f.newClass(slices.Clone(ads), family)
		f.classes[classKey{string(key), family}] = c
	}
	return c
}

func (f *facts) newClass(ads []int, family lb.Family) *class {
	c := &class{
		ads: ads, family: family, election: f.election(ads),
		selects: make([]bool, len(f.nodes)), weight: make([]int, len(f.nodes)), reaches: make([]bool, len(f.nodes)),
	}
	for _, k := range ads {
		a := &f.ads[k]
		c.selective = c.selective || len(a.Services) > 0
		for n := range f.nodes {
			c.selects[n] = c.selects[n] || a.selects[n]
			c.weight[n] += a.weight[n]
		}
	}
	for n := range f.nodes {
		c.reaches[n] = f.reaches(ads, family, n)
	}
	var eligible []lb.Candidate
	for n := range f.nodes {
		if c.allows(f, n) {
			eligible = append(eligible, f.candidate(n, c.weight))
		}
	}
	c.eligible = f.elector.Set(c.reaching(f, eligible))
	c.interfaces = f.interfaces(ads, f.self)
	return c
}

// election returns the options that hold where several advertisements announce an address:
// those of the first one, by name, that says how to elect.
func (f *facts) election(ads []int) lb.Election {
	var first *ad
	for _, k := range ads {
		if a := &f.ads[k]; a.Elects && (first == nil || a.Name < first.Name) {
			first = a
		}
	}
	if first == nil || !f.options {
		return lb.Election{}
	}
	return first.Election
}

// reaches says whether a node has an interface to announce addresses of a family on, as far as it
// has told.
func (f *facts) reaches(ads []int, family lb.Family, n int) bool {
	if f.usable[n] == nil {
		return true
	}
	usable := f.usable[n].Of(family)
	named := f.interfaces(ads, n)
	return len(named) == 0 && len(usable) > 0 ||
		slices.ContainsFunc(named, func(i string) bool { return slices.Contains(usable, i) })
}

// reaching leaves out the candidates that have nothing to announce on, unless all of them
// have: then one of them owns the address and reports why it is not announced.
func (c *class) reaching(f *facts, in []lb.Candidate) []lb.Candidate {
	lacks := func(n lb.Candidate) bool { return !c.reaches[f.index[n.Node]] }
	if !slices.ContainsFunc(in, lacks) {
		return in
	}
	if out := slices.DeleteFunc(slices.Clone(in), lacks); len(out) > 0 {
		return out
	}
	return in
}

// candidate returns a node as a candidate, given the weights of all nodes.
func (f *facts) candidate(n int, weight []int) lb.Candidate {
	return lb.Candidate{Node: f.nodes[n].name, Weight: weight[n], Leaving: f.nodes[n].leaving}
}

// allows says whether a node may announce for the class, endpoints aside.
func (c *class) allows(f *facts, n int) bool { return c.selects[n] && f.nodes[n].reason == "" }

// interfaces returns the union of the interfaces that the advertisements name for a node;
// empty, which means all, when one of them names none.
func (f *facts) interfaces(ads []int, n int) []string {
	if n < 0 {
		return nil
	}
	var out []string
	for _, k := range ads {
		a := &f.ads[k]
		if !a.selects[n] {
			continue
		}
		if len(a.Interfaces) == 0 {
			return nil
		}
		out = append(out, a.Interfaces...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
