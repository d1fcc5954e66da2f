// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package elect

import (
	"net/netip"
	"slices"

	"github.com/clarion-lb/clarion/internal/lb"
)

// Item is one address to be owned.
type Item struct {
	Addr netip.Addr
	// Key is the address that is hashed: the first one of the Service. An item whose Key is
	// the Addr of another item goes where that one goes, if it can and need not stay where
	// it is, and is not counted.
	Key      netip.Addr
	Set      Set
	Election lb.Election
}

// Owners elects the owners of addresses with options, in the order of the items; "" where
// there is no candidate. current says who owned each address last; it must be the same on
// every speaker, and may be nil. Fed its own result, Owners changes nothing.
//
// Without options the owner is that of the function Owner. A sticky address stays with its
// current owner while that one is a candidate and is not leaving. Balanced addresses go to
// the candidates of the highest weight only, and of these no node owns two more than
// another that could own the same addresses: each address begins where it is, or with its
// Owner if it cannot stay, and then as few as possible move until that holds. An address
// that is sticky too is not moved from where it is for the sake of balance.
func (e *Elector) Owners(items []Item, current map[netip.Addr]string) []string {
	owners := make([]string, len(items))
	at := make(map[netip.Addr]int, len(items))
	for i := range items {
		at[items[i].Addr] = i
	}
	var balanced, followers []int
	for i := range items {
		it := &items[i]
		switch {
		case leads(items, at, i) >= 0:
			followers = append(followers, i)
		case it.Election.Balanced && len(it.Set.candidates) > 0:
			balanced = append(balanced, i)
		default:
			owners[i] = e.alone(it, current)
		}
	}
	if len(balanced) > 0 {
		e.balance(items, balanced, current, owners)
	}
	for _, i := range followers {
		it, leader := &items[i], owners[leads(items, at, i)]
		stays := it.Election.Sticky && it.Set.keeps(current[it.Addr])
		if !stays && it.Set.keeps(leader) {
			owners[i] = leader
		} else {
			owners[i] = e.alone(it, current)
		}
	}
	return owners
}

// leads returns the item that an item follows, -1 if it follows none. Nobody follows a
// follower: that could go in a circle.
func leads(items []Item, at map[netip.Addr]int, i int) int {
	leader, ok := at[items[i].Key]
	if !ok || leader == i {
		return -1
	}
	if above, ok := at[items[leader].Key]; ok && above != leader {
		return -1
	}
	return leader
}

// alone elects the owner of an address without regard to others.
func (e *Elector) alone(it *Item, current map[netip.Addr]string) string {
	if it.Election.Sticky {
		if now := current[it.Addr]; it.Set.keeps(now) {
			return now
		}
	}
	owner, _ := e.Owner(it.Key, it.Set)
	return owner
}

// keeps says whether a node may go on owning an address: it is a candidate that is not
// leaving, or all of them are.
func (s Set) keeps(node string) bool {
	i := slices.IndexFunc(s.candidates, func(c lb.Candidate) bool { return c.Node == node })
	if i < 0 {
		return false
	}
	return !s.candidates[i].Leaving || !slices.ContainsFunc(s.candidates, func(c lb.Candidate) bool { return !c.Leaving })
}
