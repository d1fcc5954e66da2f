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
// An address with an option stays with its current owner while that one is a candidate and
// is not leaving. One that cannot stay goes to its owner by default, unless it is balanced:
// then those that have to move are spread over the candidates of the highest weight so that
// no node gets one of them that another could have with two addresses less.
func (e *Elector) Owners(items []Item, current map[netip.Addr]string) []string {
	return e.owners(items, current, false)
}

// Targets returns the owners that the addresses should be moved to when nothing else is
// going on. They are those of Owners, except that balanced addresses that are not sticky
// leave nodes of less than the highest weight, and nodes that own two more than another that
// could own the same: as few as possible move until that holds.
//
// Owners does not move them itself, because speakers do not learn of a change at the same
// time: while a node dies, its addresses may be taken before everybody knows of its death,
// and it would look like a node with nothing to do.
func (e *Elector) Targets(items []Item, current map[netip.Addr]string) []string {
	return e.owners(items, current, true)
}

func (e *Elector) owners(items []Item, current map[netip.Addr]string, level bool) []string {
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
		e.balance(items, balanced, current, level, owners)
	}
	for _, i := range followers {
		it, leader := &items[i], owners[leads(items, at, i)]
		movable := !it.Election.Sticky && (level || !it.Election.Balanced)
		if it.Set.keeps(leader) && (movable || !it.Set.keeps(current[it.Addr])) {
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
	if it.Election.Options() {
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
