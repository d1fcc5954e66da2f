// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package elect

import (
	"cmp"
	"net/netip"
)

// Claim says that a node owns an address since a term.
type Claim struct {
	Node string
	// Term grows by one with each change of the owner. The higher term is the newer claim.
	Term uint64
}

// Record is who owned each address last, as far as one speaker has heard. Speakers exchange
// their claims in any order, any number of times; those that have heard the same claims hold
// the same record. The zero Record is ready for use; it is not safe for concurrent use.
type Record struct {
	claims map[netip.Addr]Claim
}

// Merge takes over a claim that somebody made and says whether it was news. Two nodes may
// have claimed an address with the same term while they did not hear each other; then the
// lower name counts, everywhere.
func (r *Record) Merge(addr netip.Addr, c Claim) bool {
	have, ok := r.claims[addr]
	if ok && cmp.Or(cmp.Compare(c.Term, have.Term), cmp.Compare(have.Node, c.Node)) <= 0 {
		return false
	}
	if r.claims == nil {
		r.claims = map[netip.Addr]Claim{}
	}
	r.claims[addr] = c
	return true
}

// Take records that a node owns an address now. It returns the claim to tell the others and
// whether it is a new one; the owner of record does not claim again.
func (r *Record) Take(addr netip.Addr, node string) (Claim, bool) {
	have := r.claims[addr]
	if have.Node == node {
		return have, false
	}
	c := Claim{Node: node, Term: have.Term + 1}
	return c, r.Merge(addr, c)
}

// Insist claims an address of a node anew, because another node claimed it in a part of the
// cluster that this record hears nothing from, and gave in. That part is one term ahead, so the
// claim has two more. It says false when the node is not the owner of record.
func (r *Record) Insist(addr netip.Addr, node string) bool {
	have := r.claims[addr]
	return have.Node == node && r.Merge(addr, Claim{Node: node, Term: have.Term + 2})
}

// Owners returns the record as lb.View wants it.
func (r *Record) Owners() map[netip.Addr]string {
	out := make(map[netip.Addr]string, len(r.claims))
	for a, c := range r.claims {
		out[a] = c.Node
	}
	return out
}
