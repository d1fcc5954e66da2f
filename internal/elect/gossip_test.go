// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package elect

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestMessagesSayWhatWasMeant(t *testing.T) {
	claims := map[netip.Addr]Claim{
		netip.MustParseAddr("192.0.2.1"):   {"node-a", 1},
		netip.MustParseAddr("192.0.2.2"):   {strings.Repeat("n", maxName), maxTerm},
		netip.MustParseAddr("2001:db8::1"): {"node-a", 300},
	}
	var g, h Gossip
	for a, c := range claims {
		g.record.Merge(a, c)
	}
	state := g.State(time.Time{})
	if news, err := h.Hear(state, 0); !news || err != nil || !maps.Equal(h.record.claims, claims) {
		t.Errorf("heard %v, %v, %v", h.record.claims, news, err)
	}
	if news, err := h.Hear(state, 1); news || err != nil || len(h.queue) != 0 {
		t.Errorf("heard again: %v, %v, %d to tell", news, err, len(h.queue))
	}
	// Whatever the cut, what came before it counts and nothing else.
	for n := range state {
		var cut Gossip
		_, err := cut.Hear(state[:n], 0)
		if contained := cut.record.claims; !within(contained, claims) || err == nil && len(contained) == len(claims) {
			t.Errorf("of %d bytes: %v, %v", n, contained, err)
		}
	}
	for _, other := range [][]byte{nil, {mark}, {mark, version + 1, 0}, {'c', version, 0}, bytes.Repeat([]byte{255}, 40)} {
		if news, err := h.Hear(other, 0); news || err == nil {
			t.Errorf("%v was taken for a message", other)
		}
	}
}

func within(some, all map[netip.Addr]Claim) bool {
	for a, c := range some {
		if all[a] != c {
			return false
		}
	}
	return true
}

func FuzzHear(f *testing.F) {
	var g Gossip
	g.Take(addresses(3), "node-a", 1, time.Time{})
	g.Take(addresses(5), "node-b", 1, time.Time{}.Add(firstWait))
	f.Add(g.State(time.Time{}))
	f.Add([]byte{mark, version, 1, 1, 'a', 4, 1, 2, 3, 4, 1, 0})
	f.Fuzz(func(t *testing.T, msg []byte) {
		var a, b Gossip
		news, _ := a.Hear(msg, 2)
		if news != (len(a.record.claims) > 0) {
			t.Fatalf("news %v with %v", news, a.record.claims)
		}
		if _, err := b.Hear(a.State(time.Time{}), 0); news && err != nil || !maps.Equal(a.record.claims, b.record.claims) {
			t.Fatalf("%v became %v: %v", a.record.claims, b.record.claims, err)
		}
		for range 1000 {
			if m := a.Next(600); len(m) > 600 {
				t.Fatalf("a message of %d bytes", len(m))
			}
		}
	})
}

func TestEachClaimIsToldItsNumberOfTimesInMessagesThatFit(t *testing.T) {
	var g Gossip
	const n, times, size = 500, 3, 400
	all := addresses(n)
	for _, want := range []bool{true, false} {
		if news, again := g.Take(all, "node-a", times, time.Time{}); news != want || !again.IsZero() {
			t.Fatalf("news %v, want %v; wait until %s", news, want, again)
		}
	}
	told := map[netip.Addr]int{}
	for len(g.queue) > 0 {
		m := g.Next(size)
		if len(m) == 0 || len(m) > size {
			t.Fatalf("a message of %d bytes", len(m))
		}
		if err := read(m, func(a netip.Addr, _ Claim) { told[a]++ }); err != nil {
			t.Fatal(err)
		}
	}
	if len(told) != n {
		t.Errorf("told of %d addresses", len(told))
	}
	for a, k := range told {
		if k != times {
			t.Errorf("told of %s %d times", a, k)
		}
	}
	if m := g.Next(size); m != nil {
		t.Errorf("more to tell: %v", m)
	}
	g.Take(addresses(1), strings.Repeat("n", maxName), 1, time.Time{}.Add(firstWait))
	if m := g.Next(100); m != nil || len(g.queue) != 1 {
		t.Error("a claim that does not fit was told, or forgotten")
	}
}

func TestWhoSaysSomethingOldIsContradicted(t *testing.T) {
	var a, b Gossip
	addr := addresses(1)
	b.Take(addr, "node-b", 1, time.Time{})
	old := b.Next(1000)
	a.Take(addr, "node-b", 0, time.Time{})
	a.Take(addr, "node-a", 0, time.Time{}.Add(firstWait))
	if news, err := a.Hear(old, 1); news || err != nil || len(a.queue) != 1 {
		t.Fatalf("news %v, %v, %d to tell", news, err, len(a.queue))
	}
	if news, _ := b.Hear(a.Next(1000), 1); !news || b.Owners()[addr[0]] != "node-a" {
		t.Errorf("b believes %v", b.Owners())
	}
}

// Whoever has not heard of a claim yet says something older. That makes it be told once more,
// not more often the more of them there are; a newer claim is told as often as the first.
func TestContradictionsDoNotFeedEachOther(t *testing.T) {
	const times, size = 3, 1000
	addr := addresses(1)
	var before, g Gossip
	before.Take(addr, "node-b", 1, time.Time{})
	old := before.Next(size)
	_, _ = g.Hear(old, 0)
	g.Take(addr, "node-a", times, time.Time{})
	told := func(meanwhile func()) int {
		n := 0
		for g.Next(size) != nil {
			n++
			if n <= times {
				meanwhile()
			}
		}
		return n
	}
	contradict := func() { _, _ = g.Hear(old, times) }
	// Each but the last comes while the claim is still queued.
	if n := told(contradict); n != 2*times {
		t.Errorf("told %d times while contradicted, want %d and once more as often", n, times)
	}
	contradict()
	if n := told(func() {}); n != times {
		t.Errorf("told %d times after the contradiction, want %d", n, times)
	}
	contradict()
	g.Next(size)
	var newer Gossip
	_, _ = newer.Hear(g.State(time.Time{}), 0)
	newer.Take(addr, "node-c", 1, time.Time{})
	if news, _ := g.Hear(newer.Next(size), times); !news {
		t.Fatal("a newer claim is no news")
	}
	if n := told(func() {}); n != times {
		t.Errorf("a newer claim was told %d times, want %d", n, times)
	}
}

// Two speakers that do not count each other as members answer each claim with one of their
// own. What is said for that grows with the logarithm of the time it lasts, then by a claim
// each longestWait.
func TestTwoThatIgnoreEachOtherDoNotStorm(t *testing.T) {
	addr := addresses(1)
	names := []string{"node-a", "node-b"}
	speakers := make([]Gossip, 2)
	takes := 0
	var last time.Duration
	const lasting = 2 * time.Minute
	for d := time.Duration(0); d < lasting; d += 5 * time.Millisecond {
		for i := range speakers {
			news, again := speakers[i].Take(addr, names[i], 1, time.Unix(1000, 0).Add(d))
			switch held := speakers[i].Owners()[addr[0]] == names[i]; {
			case news:
				takes, last = takes+1, d
			case !held && again.IsZero():
				t.Fatalf("at %s: %s neither took the address nor knows when to", d, names[i])
			}
			if msg := speakers[i].Next(1000); msg != nil {
				_, _ = speakers[1-i].Hear(msg, 1)
			}
		}
	}
	// 0.5 + 1 + ... + 8 s, and then 16 s each time.
	if most := 2 * (6 + int(lasting/longestWait)); takes > most || last < lasting-2*longestWait {
		t.Errorf("%d claims, want at most %d; the last after %s", takes, most, last)
	}
	// After a while of peace the first claim waits for nobody.
	later := time.Unix(1000, 0).Add(lasting + 3*longestWait)
	for i := range speakers {
		if news, _ := speakers[i].Take(addr, names[i], 1, later); !news && speakers[i].Owners()[addr[0]] != names[i] {
			t.Errorf("%s has to wait for ever", names[i])
		}
	}
}

func TestUnusedClaimsAreKeptForAWhileAndThenForgotten(t *testing.T) {
	var g Gossip
	all := addresses(2)
	g.Take(all, "node-a", 0, time.Time{})
	at := func(d time.Duration) time.Time { return time.Unix(1000, 0).Add(d) }
	g.Use(all[:1], at(0))
	turn := g.Turn()
	for _, step := range []struct {
		at         time.Duration
		kept, sent int
	}{{0, 2, 2}, {passOnFor - 1, 2, 2}, {passOnFor, 2, 1}, {keepFor - 1, 2, 1}, {keepFor, 1, 1}} {
		g.Use(all[:1], at(step.at))
		sent := 0
		_ = read(g.State(at(step.at)), func(netip.Addr, Claim) { sent++ }) // checked elsewhere
		if len(g.Owners()) != step.kept || sent != step.sent {
			t.Errorf("after %s: %d kept, %d sent", step.at, len(g.Owners()), sent)
		}
	}
	if g.Turn() == turn {
		t.Error("forgetting is no change")
	}
	g.Use(all, at(keepFor))
	if len(g.unused) > 0 {
		t.Errorf("remembers %v", g.unused)
	}
}

// However messages are lost, late and doubled: once one more exchange of all with all is
// over, everybody believes the same, and what the last one to act claimed.
func TestGossipAgrees(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 5))
		speakers := make([]Gossip, 2+r.IntN(5))
		var air [][]byte
		for step := range 200 {
			i := r.IntN(len(speakers))
			switch r.IntN(4) {
			case 0:
				speakers[i].Take(addresses(1 + r.IntN(6))[:1], fmt.Sprint("node-", i), 3, time.Unix(int64(step), 0))
			case 1:
				air = append(air, speakers[i].Next(60+r.IntN(200)))
			default:
				if len(air) > 0 {
					k := r.IntN(len(air))
					if air[k] != nil {
						_, _ = speakers[i].Hear(air[k], 3)
					}
					if r.IntN(2) == 0 {
						air = append(air[:k], air[k+1:]...)
					}
				}
			}
		}
		for range 2 {
			for i := range speakers {
				for j := range speakers {
					if m := speakers[i].State(time.Time{}); m != nil {
						_, _ = speakers[j].Hear(m, 1)
					}
				}
			}
		}
		for i := range speakers {
			if !maps.Equal(speakers[0].Owners(), speakers[i].Owners()) {
				t.Fatalf("seed %d: %v and %v", seed, speakers[0].Owners(), speakers[i].Owners())
			}
		}
	}
}

func TestInsistingIsToldAndChangesNoOwner(t *testing.T) {
	var g Gossip
	addr := addresses(1)[0]
	g.Take(addresses(1), "node-a", 0, time.Time{})
	before, turn := g.Owners(), g.Turn()
	g.Insist(addresses(1), "node-b", 2)
	if g.Turn() != turn || len(g.queue) != 0 {
		t.Error("one who is not the owner has insisted")
	}
	g.Insist(addresses(1), "node-a", 2)
	if g.Turn() == turn || len(g.queue) != 1 || !maps.Equal(g.Owners(), before) || g.record.claims[addr].Term != 3 {
		t.Errorf("claims %v, %d to tell", g.record.claims, len(g.queue))
	}
}
