// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package elect

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/clarion-lb/clarion/internal/lb"
)

// place gives the targets of addresses that all have the same candidates.
func place(el lb.Election, addrs []netip.Addr, all []lb.Candidate, current map[netip.Addr]string) map[netip.Addr]string {
	var e Elector
	set := e.Set(all)
	items := make([]Item, len(addrs))
	for i, a := range addrs {
		items[i] = Item{Addr: a, Key: a, Set: set, Election: el}
	}
	return record(items, e.Targets(items, current))
}

func record(items []Item, owners []string) map[netip.Addr]string {
	out := map[netip.Addr]string{}
	for i := range items {
		if owners[i] != "" {
			out[items[i].Addr] = owners[i]
		}
	}
	return out
}

// moves counts the addresses whose owner in before is among the nodes and is not the owner
// in after.
func moves(before, after map[netip.Addr]string, among []lb.Candidate) int {
	n := 0
	for a, owner := range before {
		if after[a] != owner && slices.ContainsFunc(among, func(c lb.Candidate) bool { return c.Node == owner }) {
			n++
		}
	}
	return n
}

func loads(owners map[netip.Addr]string, all []lb.Candidate) []int {
	out := make([]int, len(all))
	for i, c := range all {
		for _, o := range owners {
			if o == c.Node {
				out[i]++
			}
		}
	}
	return out
}

func spread(n []int) int { return slices.Max(n) - slices.Min(n) }

func TestWithoutOptionsTheOwnerIsTheDefault(t *testing.T) {
	addrs, all := addresses(100), candidates(names(7)...)
	current := map[netip.Addr]string{addrs[3]: all[0].Node, addrs[4]: all[1].Node}
	for a, got := range place(lb.Election{}, addrs, all, current) {
		if want, _ := Owner(a, all); got != want {
			t.Errorf("%s: %s, want %s", a, got, want)
		}
	}
}

func TestBalancedNodesDifferByAtMostOneAndMovesAreWhatTheChangeRequires(t *testing.T) {
	balanced := lb.Election{Balanced: true}
	for _, n := range []int{0, 1, 2, 5, 10, 31, 100, 333} {
		for _, m := range []int{1, 2, 3, 5, 10} {
			addrs, all := addresses(n), candidates(names(m+1)...)
			without, with := all[:m], all
			first := place(balanced, addrs, without, nil)
			if s := loads(first, without); spread(s) > 1 {
				t.Errorf("%d on %d: loads %v", n, m, s)
			}
			joined := place(balanced, addrs, with, first)
			if s := loads(joined, with); spread(s) > 1 {
				t.Errorf("%d on %d, one joins: loads %v", n, m, s)
			}
			if got, want := moves(first, joined, without), n/(m+1); got != want {
				t.Errorf("%d on %d, one joins: %d moved, want %d", n, m, got, want)
			}
			left := place(balanced, addrs, without, joined)
			if s := loads(left, without); spread(s) > 1 {
				t.Errorf("%d on %d, it leaves again: loads %v", n, m, s)
			}
			if got := moves(joined, left, without); got != 0 {
				t.Errorf("%d on %d, it leaves again: %d of others moved", n, m, got)
			}
		}
	}
}

// leastMoves is the least number of addresses that must leave a node they may stay on, if
// all nodes may own all addresses: with floor(n/m) or one more on each node, the nodes that
// hold most keep the one more.
func leastMoves(kept []int, n int) int {
	kept = slices.Clone(kept)
	slices.SortFunc(kept, func(a, b int) int { return b - a })
	floor, more := n/len(kept), n%len(kept)
	out := 0
	for i, k := range kept {
		room := floor
		if i < more {
			room++
		}
		out += max(0, k-room)
	}
	return out
}

func TestBalancingMovesAsFewAsPossible(t *testing.T) {
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 2))
		n, m := r.IntN(60), 1+r.IntN(8)
		addrs, all := addresses(n), candidates(names(m)...)
		current := map[netip.Addr]string{} // any record, also of nodes that are gone
		for _, a := range addrs {
			if o := r.IntN(m + 3); o < m {
				current[a] = all[min(o, r.IntN(m))].Node
			} else if o == m {
				current[a] = "gone"
			}
		}
		got := place(lb.Election{Balanced: true}, addrs, all, current)
		if s := loads(got, all); spread(s) > 1 {
			t.Fatalf("seed %d: loads %v", seed, s)
		}
		if got, want := moves(current, got, all), leastMoves(loads(current, all), n); got != want {
			t.Fatalf("seed %d: %d moved, %d would do", seed, got, want)
		}
		got = place(lb.Election{Balanced: true, Sticky: true}, addrs, all, current)
		if n := moves(current, got, all); n != 0 {
			t.Fatalf("seed %d: %d sticky addresses moved", seed, n)
		}
	}
}

// randomItems have different candidates, weights, keys and options.
func randomItems(r *rand.Rand, e *Elector) []Item {
	all := names(1 + r.IntN(8))
	addrs := addresses(r.IntN(60))
	var sets []Set
	for range 1 + r.IntN(4) {
		var cs []lb.Candidate
		for _, n := range all {
			if r.IntN(3) > 0 {
				cs = append(cs, lb.Candidate{Node: n, Weight: r.IntN(2), Leaving: r.IntN(5) == 0})
			}
		}
		sets = append(sets, e.Set(cs))
	}
	items := make([]Item, len(addrs))
	for i, a := range addrs {
		items[i] = Item{Addr: a, Key: a, Set: sets[r.IntN(len(sets))], Election: lb.Election{Balanced: r.IntN(4) > 0, Sticky: r.IntN(4) == 0}}
		if r.IntN(5) == 0 {
			items[i].Key = addrs[r.IntN(len(addrs))]
		}
	}
	return items
}

func randomRecord(r *rand.Rand, items []Item) map[netip.Addr]string {
	current := map[netip.Addr]string{}
	for _, it := range items {
		switch cs := it.Set.candidates; {
		case r.IntN(4) == 0:
		case len(cs) > 0 && r.IntN(3) > 0:
			current[it.Addr] = cs[r.IntN(len(cs))].Node
		default:
			current[it.Addr] = names(9)[r.IntN(9)]
		}
	}
	return current
}

func TestOwnersKeepTheirPromisesOnAnyInput(t *testing.T) {
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 3))
		var e Elector
		items := randomItems(r, &e)
		current := randomRecord(r, items)
		checkOwners(t, slices.Clone(items), current, record(items, e.Owners(items, current)))
		got := record(items, e.Targets(items, current))
		for _, it := range items {
			checkItem(t, it, current[it.Addr], got[it.Addr])
		}
		checkBalance(t, items, got)
		if again := record(items, e.Targets(items, got)); !maps.Equal(again, got) {
			t.Errorf("fed its own result it changes %v to %v", got, again)
		}
		r.Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
		var fresh Elector // with its columns in another order
		for i := range items {
			items[i].Set = fresh.Set(items[i].Set.candidates)
		}
		if shuffled := record(items, fresh.Targets(items, current)); !maps.Equal(shuffled, got) {
			t.Errorf("shuffled %v, want %v", shuffled, got)
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// checkOwners checks Owners beside Targets: what can stay stays, and the result is stable.
func checkOwners(t *testing.T, items []Item, current, got map[netip.Addr]string) {
	t.Helper()
	var e Elector
	for i, it := range items {
		items[i].Set = e.Set(it.Set.candidates)
		if it.Election != (lb.Election{}) && it.Set.keeps(current[it.Addr]) && got[it.Addr] != current[it.Addr] {
			t.Errorf("%s could stay with %s, yet went to %s", it.Addr, current[it.Addr], got[it.Addr])
		}
		if !it.Set.keeps(got[it.Addr]) && len(it.Set.candidates) > 0 {
			t.Errorf("%s went to %q of %v", it.Addr, got[it.Addr], it.Set.candidates)
		}
	}
	if again := record(items, e.Owners(items, got)); !maps.Equal(again, got) {
		t.Errorf("fed its own result it changes %v to %v", got, again)
	}
}

func checkItem(t *testing.T, it Item, current, got string) {
	t.Helper()
	i := slices.IndexFunc(it.Set.candidates, func(c lb.Candidate) bool { return c.Node == got })
	switch {
	case i < 0:
		if len(it.Set.candidates) > 0 || got != "" {
			t.Errorf("%s is owned by %q, candidates %v", it.Addr, got, it.Set.candidates)
		}
	case !it.Set.keeps(got):
		t.Errorf("%s is owned by %s, which is leaving: %v", it.Addr, got, it.Set.candidates)
	case it.Election.Sticky && it.Set.keeps(current) && got != current:
		t.Errorf("%s is sticky on %s, yet went to %s", it.Addr, current, got)
	}
}

// checkBalance compares each two nodes of which one could own all that the other owns of the
// addresses that may be moved.
func checkBalance(t *testing.T, items []Item, got map[netip.Addr]string) {
	t.Helper()
	load, gives := map[string]int{}, map[[2]string]bool{}
	at := map[netip.Addr]int{}
	for i, it := range items {
		at[it.Addr] = i
	}
	for i, it := range items {
		owner := got[it.Addr]
		if !it.Election.Balanced || owner == "" || leads(items, at, i) >= 0 {
			continue
		}
		load[owner]++
		if it.Election.Sticky {
			continue
		}
		for _, c := range it.Set.candidates {
			best := !slices.ContainsFunc(it.Set.candidates, func(o lb.Candidate) bool { return preference(o) > preference(c) })
			gives[[2]string{owner, c.Node}] = gives[[2]string{owner, c.Node}] || best
		}
	}
	for pair, ok := range gives {
		if ok && load[pair[0]] > load[pair[1]]+1 {
			t.Errorf("%s owns %d, %s only %d and could take one", pair[0], load[pair[0]], pair[1], load[pair[1]])
		}
	}
}

func TestWhatADeadNodeOwnedIsSpreadAtOnceAndTheRestStays(t *testing.T) {
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 5))
		n, m := r.IntN(60), 2+r.IntN(8)
		addrs, all := addresses(n), candidates(names(m)...)
		before := place(lb.Election{Balanced: true}, addrs, all, nil)
		var e Elector
		set, items := e.Set(all[1:]), []Item{}
		for _, a := range addrs {
			items = append(items, Item{Addr: a, Key: a, Set: set, Election: lb.Election{Balanced: true}})
		}
		after := record(items, e.Owners(items, before))
		if s := loads(after, all[1:]); spread(s) > 1 || moves(before, after, all[1:]) > 0 {
			t.Fatalf("seed %d: loads %v, %d moved", seed, s, moves(before, after, all[1:]))
		}
		set = e.Set(all) // back again: nothing moves by itself
		for i := range items {
			items[i].Set = set
		}
		if back := record(items, e.Owners(items, after)); !maps.Equal(back, after) {
			t.Fatalf("seed %d: moved on return", seed)
		}
	}
}

func TestStickyOwnerStaysWhenABetterNodeReturns(t *testing.T) {
	sticky := lb.Election{Sticky: true}
	addr := netip.MustParseAddr("192.0.2.1") // by hash: c e a d b
	one := []netip.Addr{addr}
	now := place(sticky, one, candidates("node-a", "node-b"), nil)
	if now[addr] != "node-a" {
		t.Fatalf("owner %s, want node-a", now[addr])
	}
	now = place(sticky, one, candidates("node-a", "node-b", "node-c"), now)
	if now[addr] != "node-a" {
		t.Errorf("a better node came: owner %s, want node-a", now[addr])
	}
	now = place(sticky, one, []lb.Candidate{{Node: "node-a", Leaving: true}, {Node: "node-b"}, {Node: "node-c"}}, now)
	if now[addr] != "node-c" {
		t.Errorf("the owner is leaving: owner %s, want node-c", now[addr])
	}
	now = place(sticky, one, candidates("node-a", "node-b"), now)
	if now[addr] != "node-a" {
		t.Errorf("the owner is gone: owner %s, want node-a", now[addr])
	}
}

func TestSecondAddressFollowsTheFirst(t *testing.T) {
	var e Elector
	set := e.Set(candidates("node-a", "node-b", "node-c"))
	var items []Item
	for i, a := range addresses(30) {
		second := netip.AddrFrom16([16]byte{0x20, 1, 15: byte(i)})
		o := lb.Election{Balanced: true, Sticky: i%2 == 0}
		items = append(items, Item{Addr: second, Key: a, Set: set, Election: o}, Item{Addr: a, Key: a, Set: set, Election: o})
	}
	owners := e.Owners(items, nil)
	for i := 0; i < len(items); i += 2 {
		if owners[i] != owners[i+1] {
			t.Errorf("%s is with %s, %s with %s", items[i].Addr, owners[i], items[i+1].Addr, owners[i+1])
		}
	}
	items[0].Set = e.Set(candidates("node-d"))
	if got := e.Owners(items, nil)[0]; got != "node-d" {
		t.Errorf("a second address that cannot follow went to %q", got)
	}
}

func BenchmarkTargets(b *testing.B) {
	for _, nodes := range []int{10, 200} {
		addrs, all := addresses(10_000), candidates(names(nodes)...)
		balanced := lb.Election{Balanced: true}
		settled := place(balanced, addrs, all, nil)
		died := place(balanced, addrs, all[1:], settled)
		for name, c := range map[string]struct {
			all     []lb.Candidate
			current map[netip.Addr]string
		}{"settled": {all, settled}, "died": {all[1:], settled}, "joined": {all, died}, "fresh": {all, nil}} {
			b.Run(fmt.Sprintf("%s/nodes=%d", name, nodes), func(b *testing.B) {
				var e Elector
				for b.Loop() {
					e.Forget()
					set := e.Set(c.all)
					items := make([]Item, len(addrs))
					for i, a := range addrs {
						items[i] = Item{Addr: a, Key: a, Set: set, Election: balanced}
					}
					e.Targets(items, c.current)
				}
			})
		}
	}
}
