// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/clarion-lb/clarion/internal/elect"
	"github.com/clarion-lb/clarion/internal/lb"
)

// recorded is a view in which a node has claimed an address.
func recorded(v lb.View, addr netip.Addr, owner string) lb.View {
	v.Owners = map[netip.Addr]string{addr: owner}
	return v
}

// An address moves by a claim: the new owner announces it, and the old one hears the frame
// before it hears the claim. Whatever the hash says of the two, the new owner must not give
// way to the old one, nor the old one fall silent before it hands over.
func TestAClaimedMoveMakesNobodyStepBack(t *testing.T) {
	s := newCluster(newService("one", "192.0.2.1"))
	s.L2[0].Elects, s.L2[0].Election = true, lb.Election{Sticky: true}
	addr := s.Services[0].Assigned[0]
	for _, before := range everyone().Members {
		for _, after := range everyone().Members {
			if before == after {
				continue
			}
			late, ahead := recorded(everyone(), addr, before), recorded(everyone(), addr, after)
			if ownerOf(s, late, addr) != before || ownerOf(s, ahead, addr) != after {
				t.Fatalf("%s to %s: the owners are %s and %s", before, after, ownerOf(s, late, addr), ownerOf(s, ahead, addr))
			}
			for _, side := range []struct {
				self, rival string
				view        lb.View
			}{{before, after, late}, {after, before, ahead}} {
				yield, insist := Settle(side.self, s, side.view, []lb.Rival{{Addr: addr, Node: side.rival}})
				if len(yield) > 0 || !slices.Equal(insist, []netip.Addr{addr}) {
					t.Errorf("%s to %s: %s yields %v, insists on %v", before, after, side.self, yield, insist)
				}
			}
			prev, next := ForNode(before, s, late), ForNode(before, s, ahead)
			if got := Handovers(prev, next); !slices.Equal(got, []netip.Addr{addr}) {
				t.Errorf("%s to %s: hands over %v", before, after, got)
			}
		}
	}
}

// Two owners that do not reach each other have records that contradict each other: each has
// claimed the address in its own. Only what both know alike can tell who gives in, and that is
// the rank.
func TestOfTwoOwnersWithRecordsOfTheirOwnOneGivesIn(t *testing.T) {
	s := newCluster(newService("one", "192.0.2.1"))
	s.L2[0].Elects, s.L2[0].Election = true, lb.Election{Sticky: true}
	addr := s.Services[0].Assigned[0]
	var candidates []lb.Candidate
	for _, n := range everyone().Members {
		candidates = append(candidates, lb.Candidate{Node: n})
	}
	ranked := elect.Ranked(addr, candidates)
	for i, first := range ranked {
		for _, second := range ranked[i+1:] {
			rest := func(without string) lb.View {
				return alive(slices.DeleteFunc(everyone().Members, func(n string) bool { return n == without })...)
			}
			mine, theirs := recorded(rest(second), addr, first), recorded(rest(first), addr, second)
			if yield, _ := Settle(first, s, mine, []lb.Rival{{Addr: addr, Node: second}}); len(yield) > 0 {
				t.Errorf("%s yields to %s, which ranks lower", first, second)
			}
			if yield, _ := Settle(second, s, theirs, []lb.Rival{{Addr: addr, Node: first}}); len(yield) != 1 {
				t.Errorf("%s does not yield to %s, which ranks higher", second, first)
			}
		}
	}
}
