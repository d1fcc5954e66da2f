// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package elect

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/clarion-lb/clarion/internal/lb"
)

func TestLeadersAreTheFirstOfTheRanked(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var e Elector
	for range 500 {
		e.Forget()
		var candidates []lb.Candidate
		for i := range r.IntN(12) {
			candidates = append(candidates, lb.Candidate{Node: fmt.Sprintf("n%d", i), Weight: r.IntN(2), Leaving: r.IntN(8) == 0})
		}
		set := e.Set(candidates)
		addr := netip.AddrFrom4([4]byte{10, 0, byte(r.IntN(9)), byte(r.IntN(256))})
		n := r.IntN(6)
		all := e.Ranked(addr, set)
		if got, want := e.Leaders(addr, set, n), all[:min(n, len(all))]; !slices.Equal(got, want) {
			t.Fatalf("the first %d of %v are %v", n, all, got)
		}
	}
}
