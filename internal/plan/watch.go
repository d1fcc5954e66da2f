// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"hash/fnv"
	"maps"
	"slices"
)

// Limits of the direct watch. They keep its cost the same for every size of cluster: a node
// holds about six sessions, never more than maxSessions, however many addresses there are.
const (
	watchers    = 3  // of each node
	maxSessions = 16 // of each node, watching or watched
	sample      = 16 // addresses of an owner that say who would inherit from it, at most
	allSamples  = 400
)

// pair is two nodes, the watched one first.
type pair struct{ watched, watcher string }

// watch returns the nodes, sorted, with which this node should hold a session, so that each
// node that owns an address or is next in line is watched directly by the three that would
// inherit the most from it. All speakers with the same view find the same pairs, so that
// both ends of a session know of it.
//
// The line of an address is that of the default election. With election options its heir may
// be another node; that one is told, as everybody is.
func (f *facts) watch(groups []group) []string {
	if f.self < 0 {
		return nil
	}
	points := f.heirs(groups)
	heirs := map[string][]string{} // by watched node
	for _, p := range sortedPairs(points) {
		heirs[p.watched] = append(heirs[p.watched], p.watcher)
	}
	sessions := map[string]int{}
	held := map[pair]bool{}
	var mine []string
	for _, watched := range slices.Sorted(maps.Keys(heirs)) {
		n := 0
		for _, w := range heirs[watched] {
			if n == watchers {
				break
			}
			p, q := pair{watched, w}, pair{w, watched}
			if held[p] || held[q] { // a session works both ways
				n++
				continue
			}
			if sessions[w] == maxSessions || sessions[watched] == maxSessions {
				continue
			}
			held[p] = true
			sessions[w]++
			sessions[watched]++
			n++
			switch f.selfName {
			case w:
				mine = append(mine, watched)
			case watched:
				mine = append(mine, w)
			}
		}
	}
	slices.Sort(mine)
	return mine
}

// heirs counts who is behind whom in the lines of the addresses, those next to each other
// more than those further apart.
func (f *facts) heirs(groups []group) map[pair]int {
	points := map[pair]int{}
	sampled := map[string]int{}
	limit := min(sample, max(2, allSamples/len(f.nodes))) // a line costs as much as there are nodes
	for i := range groups {
		g := &groups[i]
		if g.owner == "" || sampled[g.owner] == limit {
			continue
		}
		sampled[g.owner]++
		line := f.line(g)
		for at, watched := range line[:min(watchers, len(line))] {
			for behind, watcher := range line[at+1 : min(at+1+watchers, len(line))] {
				points[pair{watched, watcher}] += watchers - behind
			}
		}
	}
	return points
}

// line is the owner of an address and those who would own it next.
func (f *facts) line(g *group) []string {
	next := f.elector.Leaders(g.key(), g.set, watchers+1)
	line := append(make([]string, 0, watchers+2), g.owner)
	for _, n := range next {
		if n != g.owner {
			line = append(line, n)
		}
	}
	return line
}

// sortedPairs orders pairs by points, those with equally many in an order of each watched
// node's own, so that not all of them choose the same watcher.
func sortedPairs(points map[pair]int) []pair {
	type ranked struct {
		pair
		points int
		hash   uint64
	}
	all := make([]ranked, 0, len(points))
	for p, n := range points {
		h := fnv.New64a()
		_, _ = h.Write([]byte(p.watched + "#" + p.watcher)) // never fails
		all = append(all, ranked{p, n, h.Sum64()})
	}
	slices.SortFunc(all, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(b.points, a.points), cmp.Compare(a.hash, b.hash),
			cmp.Compare(a.watched, b.watched), cmp.Compare(a.watcher, b.watcher))
	})
	out := make([]pair, len(all))
	for i := range all {
		out[i] = all[i].pair
	}
	return out
}
