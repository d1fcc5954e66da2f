// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package elect

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"net/netip"
	"slices"

	"github.com/clarion-lb/clarion/internal/lb"
)

// Owner returns the node that owns an address: the candidate with the highest weight, among
// equals the one whose sha256(node + "#" + address) is lowest. This is MetalLB's election
// to the bit, so that replacing it moves no address; a node that is leaving, which MetalLB
// does not know, comes after all others. Of a dual-stack Service both addresses are elected
// with the first one. ok is false when there is no candidate.
func Owner(addr netip.Addr, candidates []lb.Candidate) (node string, ok bool) {
	if len(candidates) == 0 {
		return "", false
	}
	suffix := suffixOf(addr)
	best, bestSum := candidates[0], sum(candidates[0].Node, suffix)
	for _, c := range candidates[1:] {
		if preference(c) < preference(best) {
			continue
		}
		s := sum(c.Node, suffix)
		if compare(c, s, best, bestSum) < 0 {
			best, bestSum = c, s
		}
	}
	return best.Node, true
}

// Ranked returns the names of all candidates, the owner first, then who would own the
// address if those before it went away.
func Ranked(addr netip.Addr, candidates []lb.Candidate) []string {
	type ranked struct {
		lb.Candidate
		sum [sha256.Size]byte
	}
	suffix := suffixOf(addr)
	all := make([]ranked, len(candidates))
	for i, c := range candidates {
		all[i] = ranked{c, sum(c.Node, suffix)}
	}
	slices.SortFunc(all, func(a, b ranked) int { return compare(a.Candidate, a.sum, b.Candidate, b.sum) })
	names := make([]string, len(all))
	for i := range all {
		names[i] = all[i].Node
	}
	return names
}

// compare orders candidates for one address, the better one first.
func compare(a lb.Candidate, aSum [sha256.Size]byte, b lb.Candidate, bSum [sha256.Size]byte) int {
	return cmp.Or(cmp.Compare(preference(b), preference(a)), bytes.Compare(aSum[:], bSum[:]), cmp.Compare(a.Node, b.Node))
}

// preference is what counts before the hash. No sum of weights outweighs leaving.
func preference(c lb.Candidate) int64 {
	if c.Leaving {
		return int64(c.Weight) - 1<<40
	}
	return int64(c.Weight)
}

// suffixOf is the part of the hashed text that all candidates of an address share. MetalLB
// writes an IPv4-mapped address as IPv4.
func suffixOf(addr netip.Addr) []byte {
	return addr.Unmap().AppendTo([]byte("#"))
}

func sum(node string, suffix []byte) [sha256.Size]byte {
	buf := make([]byte, 0, 128)
	buf = append(buf, node...)
	buf = append(buf, suffix...)
	return sha256.Sum256(buf)
}
