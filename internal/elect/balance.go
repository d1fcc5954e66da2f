// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package elect

import (
	"cmp"
	"net/netip"
	"slices"
)

// slot is one balanced address while its place is sought. Nodes are columns of the Elector.
type slot struct {
	addr  netip.Addr
	owner int
	// free is true when the address has to move anyway, so that moving it costs nothing.
	free bool
	// bound is true when it must not be moved once it has an owner.
	bound bool
	tier  []bool   // by column: the equally preferred nodes that may own it
	sums  []uint64 // by column
}

// levels is the state of one balancing.
type levels struct {
	names []string // by column
	slots []slot
	load  []int   // by column
	on    [][]int // by column: slots that are or were there
	used  []int   // columns that may own anything
	// offers are the slots that one column can give to another, the next one first. They
	// are made when first needed and dropped when the giver gains a slot.
	offers map[[2]int][]int
	// freeOnly says that only free slots may move.
	freeOnly bool
}

// balance elects the owners of the balanced items and writes them to owners. With level it
// also moves those that could stay.
func (e *Elector) balance(items []Item, balanced []int, current map[netip.Addr]string, level bool, owners []string) {
	l := &levels{
		names: e.names, slots: make([]slot, len(balanced)),
		load: make([]int, len(e.names)), on: make([][]int, len(e.names)),
	}
	tiers := tiers{}
	for k, i := range balanced {
		l.slots[k] = e.slot(&items[i], current, level, tiers)
		l.put(k, l.slots[k].owner)
	}
	reached := tiers.union(len(e.names))
	for col := range l.names {
		if reached[col] || l.load[col] > 0 {
			l.used = append(l.used, col)
		}
	}
	// Those that have to move anyway are spread first: what they can level out, nobody else
	// has to move for.
	l.run(true)
	if level {
		l.run(false)
	}
	for k, i := range balanced {
		owners[i] = e.names[l.slots[k].owner]
	}
}

// slot places an address where it is, or with its default owner if it cannot stay.
func (e *Elector) slot(it *Item, current map[netip.Addr]string, level bool, tiers tiers) slot {
	s := slot{addr: it.Addr, bound: it.Election.Sticky, tier: tiers.of(it.Set, len(e.names)), sums: e.row(it.Key)}
	if now, ok := e.columns[current[it.Addr]]; ok {
		if s.tier[now] || (s.bound || !level) && it.Set.keeps(e.names[now]) {
			s.owner = now
			return s
		}
	}
	owner, _ := e.Owner(it.Key, it.Set)
	s.owner, s.free = e.columns[owner], true
	return s
}

// tiers remembers the tier of each set; addresses with the same candidates share theirs.
type tiers map[*int][]bool

func (t tiers) of(set Set, columns int) []bool {
	id := &set.columns[0]
	if tier, ok := t[id]; ok {
		return tier
	}
	top := preference(set.candidates[0])
	for _, c := range set.candidates {
		top = max(top, preference(c))
	}
	tier := make([]bool, columns)
	for i, c := range set.candidates {
		tier[set.columns[i]] = preference(c) == top
	}
	t[id] = tier
	return tier
}

// union marks the columns of all tiers.
func (t tiers) union(columns int) []bool {
	out := make([]bool, columns)
	for _, tier := range t {
		for col, in := range tier {
			out[col] = out[col] || in
		}
	}
	return out
}

// put gives a slot to a column.
func (l *levels) put(k, col int) {
	l.slots[k].owner = col
	l.load[col]++
	l.on[col] = append(l.on[col], k)
}

// run moves slots, always from the fullest node that can give to the emptiest that can
// take, until no move makes two nodes more equal.
func (l *levels) run(freeOnly bool) {
	l.freeOnly, l.offers = freeOnly, map[[2]int][]int{}
	for l.step() {
	}
}

func (l *levels) step() bool {
	slices.SortFunc(l.used, func(a, b int) int {
		return cmp.Or(cmp.Compare(l.load[a], l.load[b]), cmp.Compare(l.names[a], l.names[b]))
	})
	for i := len(l.used) - 1; i > 0; i-- {
		from := l.used[i]
		for _, to := range l.used[:i] {
			if l.load[from]-l.load[to] < 2 {
				break
			}
			if k, ok := l.take(from, to); ok {
				l.load[from]--
				l.put(k, to)
				l.forget(to)
				return true
			}
		}
	}
	return false
}

// take returns the next slot that one column can give to another.
func (l *levels) take(from, to int) (int, bool) {
	pair := [2]int{from, to}
	offer, ok := l.offers[pair]
	if !ok {
		offer = l.offer(from, to)
	}
	for len(offer) > 0 && l.slots[offer[0]].owner != from {
		offer = offer[1:]
	}
	if len(offer) == 0 {
		l.offers[pair] = nil
		return 0, false
	}
	l.offers[pair] = offer[1:]
	return offer[0], true
}

// offer lists what a column can give to another: free slots first, then by how much the
// hash favours the other, so that the outcome does not depend on the order of the items.
func (l *levels) offer(from, to int) []int {
	slices.Sort(l.on[from])
	l.on[from] = slices.DeleteFunc(slices.Compact(l.on[from]), func(k int) bool { return l.slots[k].owner != from })
	var out []int
	for _, k := range l.on[from] {
		if s := &l.slots[k]; s.tier[to] && (s.free || !l.freeOnly && !s.bound) {
			out = append(out, k)
		}
	}
	slices.SortFunc(out, func(x, y int) int {
		a, b := &l.slots[x], &l.slots[y]
		if a.free != b.free {
			if a.free {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(a.sums[to], b.sums[to]), a.addr.Compare(b.addr))
	})
	return out
}

// forget drops what is known of a column that gained a slot.
func (l *levels) forget(col int) {
	for _, to := range l.used {
		delete(l.offers, [2]int{col, to})
	}
}
