// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package elect

import (
	"maps"
	"math/rand/v2"
	"net/netip"
	"testing"
)

// heard is a claim on its way.
type heard struct {
	addr netip.Addr
	Claim
}

func TestRecordsThatHeardTheSameAreEqual(t *testing.T) {
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 4))
		var said []heard
		for range r.IntN(40) {
			said = append(said, heard{addresses(4)[r.IntN(4)], Claim{Node: names(3)[r.IntN(3)], Term: r.Uint64N(6)}})
		}
		var a, b Record
		for _, h := range said {
			a.Merge(h.addr, h.Claim)
		}
		said = append(said, said...) // everything twice, in another order
		r.Shuffle(len(said), func(i, j int) { said[i], said[j] = said[j], said[i] })
		for _, h := range said {
			b.Merge(h.addr, h.Claim)
		}
		if !maps.Equal(a.claims, b.claims) {
			t.Fatalf("seed %d: %v and %v", seed, a.claims, b.claims)
		}
		for addr, c := range a.claims {
			if b.Merge(addr, c) {
				t.Fatalf("seed %d: %v is news to %v", seed, c, b.claims)
			}
		}
	}
}

func TestNewerClaimWinsAndTheOwnerDoesNotClaimAgain(t *testing.T) {
	var r Record
	addr := addresses(1)[0]
	if c, news := r.Take(addr, "b"); !news || c != (Claim{"b", 1}) {
		t.Errorf("first claim %v, %v", c, news)
	}
	if c, news := r.Take(addr, "b"); news || c != (Claim{"b", 1}) {
		t.Errorf("claimed again: %v, %v", c, news)
	}
	if c, news := r.Take(addr, "c"); !news || c != (Claim{"c", 2}) {
		t.Errorf("the next owner: %v, %v", c, news)
	}
	if r.Merge(addr, Claim{"a", 1}) || r.Merge(addr, Claim{"d", 2}) || !r.Merge(addr, Claim{"a", 2}) || r.Merge(addr, Claim{"a", 2}) {
		t.Errorf("an older claim or a higher name won, or a lower name lost: %v", r.claims)
	}
	if got := r.Owners()[addr]; got != "a" {
		t.Errorf("owner %s, want a", got)
	}
}

// The sides of a split cluster hear nothing of each other's claims. One that keeps an address,
// though the other side has claimed it, is the owner of record when they do.
func TestWhoInsistsIsTheOwnerWhenBothSidesHearEachOther(t *testing.T) {
	addr := addresses(1)[0]
	for _, keeper := range names(2) {
		taker := names(2)[0]
		if taker == keeper {
			taker = names(2)[1]
		}
		var here, there Record
		c, _ := here.Take(addr, keeper)
		there.Merge(addr, c)
		taken, _ := there.Take(addr, taker)
		if here.Insist(addr, taker) || !here.Insist(addr, keeper) {
			t.Fatalf("only %s, whom the record names, can insist", keeper)
		}
		kept := here.claims[addr]
		if here.Merge(addr, taken) || !there.Merge(addr, kept) || there.Owners()[addr] != keeper {
			t.Errorf("%+v against %+v: %v and %v", kept, taken, here.Owners(), there.Owners())
		}
	}
}
