// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package elect

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/clarion-lb/clarion/internal/lb"
)

// golden holds orders that were computed outside this program:
//
//	printf '%s' "$node#$ip" | sha256sum | sort
var golden = []struct{ addr, order string }{
	{"192.0.2.1", "node-c node-e node-a node-d node-b"},
	{"192.0.2.2", "node-b node-e node-c node-a node-d"},
	{"192.0.2.3", "node-c node-e node-a node-d node-b"},
	{"198.51.100.255", "node-a node-d node-c node-b node-e"},
	{"2001:db8::1", "node-d node-b node-a node-c node-e"},
	{"2001:db8:0:0:1::", "node-e node-c node-d node-a node-b"},
	{"::ffff:192.0.2.2", "node-b node-e node-c node-a node-d"}, // as 192.0.2.2
}

func candidates(names ...string) []lb.Candidate {
	out := make([]lb.Candidate, len(names))
	for i, n := range names {
		out[i] = lb.Candidate{Node: n}
	}
	return out
}

func TestOrderIsThatOfMetalLB(t *testing.T) {
	var e Elector
	for _, g := range golden {
		addr := netip.MustParseAddr(g.addr)
		all := candidates("node-a", "node-b", "node-c", "node-d", "node-e")
		if got := strings.Join(Ranked(addr, all), " "); got != g.order {
			t.Errorf("Ranked(%s) = %s, want %s", addr, got, g.order)
		}
		if got := strings.Join(e.Ranked(addr, e.Set(all)), " "); got != g.order {
			t.Errorf("Elector.Ranked(%s) = %s, want %s", addr, got, g.order)
		}
		want := strings.Fields(g.order)
		for len(all) > 0 { // the owner goes, the next one follows
			if got, ok := Owner(addr, all); !ok || got != want[0] {
				t.Errorf("Owner(%s, %v) = %q, %v, want %q", addr, all, got, ok, want[0])
			}
			all = slices.DeleteFunc(all, func(c lb.Candidate) bool { return c.Node == want[0] })
			want = want[1:]
		}
		if got, ok := Owner(addr, nil); ok || got != "" {
			t.Errorf("Owner(%s, nil) = %q, %v", addr, got, ok)
		}
	}
}

func TestHashIsSha256OfNodeAndAddress(t *testing.T) {
	// printf '%s' 'worker-1.example.org#10.0.0.7' | sha256sum
	const want = "5049c1f7385b28caf5a92478d134d01a1a76775d3ff52f1b82f1fd296e68841c"
	if got := fmt.Sprintf("%x", sum("worker-1.example.org", suffixOf(netip.MustParseAddr("10.0.0.7")))); got != want {
		t.Errorf("sum = %s, want %s", got, want)
	}
}

func TestHigherWeightGoesFirst(t *testing.T) {
	addr := netip.MustParseAddr("192.0.2.1") // by hash: c e a d b
	all := []lb.Candidate{{Node: "node-a", Weight: 5}, {Node: "node-b", Weight: 105}, {Node: "node-c"}, {Node: "node-d", Weight: 5}, {Node: "node-e"}}
	want := "node-b node-a node-d node-c node-e"
	if got := strings.Join(Ranked(addr, all), " "); got != want {
		t.Errorf("Ranked = %s, want %s", got, want)
	}
	if got, _ := Owner(addr, all); got != "node-b" {
		t.Errorf("Owner = %s, want node-b", got)
	}
}

func TestLeavingNodeGoesLastWhateverItsWeight(t *testing.T) {
	addr := netip.MustParseAddr("192.0.2.1") // by hash: c e a d b
	all := []lb.Candidate{{Node: "node-a", Weight: 500, Leaving: true}, {Node: "node-b"}, {Node: "node-c", Leaving: true}, {Node: "node-d"}}
	if got, want := strings.Join(Ranked(addr, all), " "), "node-d node-b node-a node-c"; got != want {
		t.Errorf("Ranked = %s, want %s", got, want)
	}
}

// randomCase returns an address and candidates with some equal weights.
func randomCase(r *rand.Rand) (netip.Addr, []lb.Candidate) {
	addr := netip.AddrFrom4([4]byte{10, byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())})
	all := make([]lb.Candidate, 1+r.IntN(12))
	for i := range all {
		all[i] = lb.Candidate{Node: fmt.Sprintf("n%d-%d", i, r.IntN(1000)), Weight: r.IntN(3) * 10, Leaving: r.IntN(6) == 0}
	}
	return addr, all
}

// I3 and I4 of the election itself, with and without memory.
func TestI4OneOwnerWhateverTheOrderAndOnlyItsLossMovesTheAddress(t *testing.T) {
	var e Elector
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 1))
		addr, all := randomCase(r)
		owner, _ := Owner(addr, all)
		ranked := Ranked(addr, all)
		if ranked[0] != owner {
			t.Fatalf("seed %d: Ranked begins with %s, Owner says %s", seed, ranked[0], owner)
		}
		r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		if got, _ := Owner(addr, all); got != owner {
			t.Fatalf("seed %d: owner %s, shuffled %s", seed, owner, got)
		}
		if got, _ := e.Owner(addr, e.Set(all)); got != owner {
			t.Fatalf("seed %d: owner %s, with memory %s", seed, owner, got)
		}
		if got := e.Ranked(addr, e.Set(all)); !slices.Equal(got, ranked) {
			t.Fatalf("seed %d: ranked %v, with memory %v", seed, ranked, got)
		}
		gone := all[r.IntN(len(all))].Node
		left := slices.DeleteFunc(slices.Clone(all), func(c lb.Candidate) bool { return c.Node == gone })
		want := slices.DeleteFunc(slices.Clone(ranked), func(n string) bool { return n == gone })
		if got := Ranked(addr, left); !slices.Equal(got, want) {
			t.Fatalf("seed %d: without %s %v, want %v", seed, gone, got, want)
		}
		if r.IntN(10) == 0 {
			e.Forget()
		}
	}
}

func TestElectorComparesWholeHashesWhenTheLeadingBytesAreEqual(t *testing.T) {
	var e Elector
	addr := netip.MustParseAddr("192.0.2.1")
	all := candidates("node-a", "node-b", "node-c", "node-d", "node-e")
	set := e.Set(all)
	e.Owner(addr, set)
	clear(e.rows[addr].sums) // as if all leading bytes collided
	if got := strings.Join(e.Ranked(addr, set), " "); got != golden[0].order {
		t.Errorf("Ranked = %s, want %s", got, golden[0].order)
	}
}

func TestElectorForgetsWhatNobodyAsksFor(t *testing.T) {
	var e Elector
	for pass := range 50 {
		e.Forget()
		all := candidates("a", fmt.Sprintf("b%d", pass), fmt.Sprintf("c%d", pass), fmt.Sprintf("d%d", pass))
		for i := range 100 {
			addr := netip.AddrFrom4([4]byte{10, byte(pass), 0, byte(i)})
			want, _ := Owner(addr, all)
			if got, _ := e.Owner(addr, e.Set(all)); got != want {
				t.Fatalf("pass %d: owner of %s = %s, want %s", pass, addr, got, want)
			}
		}
	}
	if len(e.rows) > 400 || len(e.names) > 150 {
		t.Errorf("remembers %d addresses and %d nodes of 100 and 4", len(e.rows), len(e.names))
	}
}

func TestElectorKeepsWhatEveryPassAsksFor(t *testing.T) {
	var e Elector
	addrs := addresses(300)
	nodes := names(200)
	for range 3 { // small sets over many nodes, as externalTrafficPolicy Local gives
		e.Forget()
		for i, a := range addrs {
			e.Owner(a, e.Set(candidates(nodes[i%200], nodes[(i+1)%200])))
		}
	}
	if len(e.rows) != 300 || len(e.names) != 200 {
		t.Errorf("remembers %d addresses and %d nodes of 300 and 200", len(e.rows), len(e.names))
	}
}

func addresses(n int) []netip.Addr {
	out := make([]netip.Addr, n)
	for i := range out {
		out[i] = netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
	}
	return out
}

func names(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("worker-%03d.example.org", i)
	}
	return out
}

func BenchmarkOwner(b *testing.B) {
	addrs, all := addresses(10_000), candidates(names(10)...)
	b.Run("computed", func(b *testing.B) {
		for b.Loop() {
			for _, a := range addrs {
				Owner(a, all)
			}
		}
	})
	b.Run("remembered", func(b *testing.B) {
		var e Elector
		for b.Loop() {
			e.Forget()
			set := e.Set(all)
			for _, a := range addrs {
				e.Owner(a, set)
			}
		}
	})
}
