// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package alloc

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"net/netip"
	"slices"
	"sort"
	"strings"

	"github.com/clarion-lb/clarion/internal/lb"
)

// key is an address as a number. IPv4 takes the place of its IPv4-mapped form, which no pool
// can hand out. Keys hash and compare faster than netip.Addr.
type key struct{ hi, lo uint64 }

func keyOf(a netip.Addr) key {
	b := a.As16()
	return key{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

func (k key) addr(f family) netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], k.hi)
	binary.BigEndian.PutUint64(b[8:], k.lo)
	if f == v4 {
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return netip.AddrFrom16(b)
}

func (k key) compare(o key) int {
	if k.hi != o.hi {
		return cmp.Compare(k.hi, o.hi)
	}
	return cmp.Compare(k.lo, o.lo)
}

func (k key) next() key {
	k.lo++
	if k.lo == 0 {
		k.hi++
	}
	return k
}

func (k key) minus(o key) key {
	lo, borrow := bits.Sub64(k.lo, o.lo, 0)
	hi, _ := bits.Sub64(k.hi, o.hi, borrow)
	return key{hi, lo}
}

func (k key) plus(o key) key {
	lo, carry := bits.Add64(k.lo, o.lo, 0)
	hi, _ := bits.Add64(k.hi, o.hi, carry)
	return key{hi, lo}
}

// family indexes tables of two: 0 is IPv4, 1 is IPv6.
type family uint8

const (
	v4 family = iota
	v6
)

func familyOf(a netip.Addr) family {
	if a.Is4() {
		return v4
	}
	return v6
}

func indexOf(f lb.Family) family {
	if f == lb.IPv6 {
		return v6
	}
	return v4
}

func (f family) String() string {
	if f == v6 {
		return "IPv6"
	}
	return "IPv4"
}

// span is one range of a pool with the place up to which it is known to be full.
type span struct {
	first, last key
	family      family
	pool        int32
	avoidBuggy  bool
	// next is the lowest address that may be free: all before it are taken or held back. It
	// moves forward only, except when an address is given back, so that finding n free
	// addresses costs n steps plus the number of taken ones, whatever the size of the range.
	next key
	full bool
	// index is where the pages of the span begin in book.index, and indexed how many are there.
	index, indexed uint64
}

// pool is one lb.Pool with its spans of each family in the user's order.
type pool struct {
	*lb.Pool
	spans   [2][]int32
	cursor  [2]int // the first of spans that may have a free address
	partner int32
	// Numbers for Usage.
	assigned, held [2]int64
	services       int
}

// pools finds a pool by name and by address.
type pools struct {
	list   []pool  // sorted by name
	spans  []span  // in order of pool, then the user's order
	sorted []int32 // spans in order of address, IPv4 first
	nV4    int     // how many of sorted are IPv4
}

func newPools(in []lb.Pool) pools {
	p := pools{list: make([]pool, len(in))}
	for i := range in {
		p.list[i] = pool{Pool: &in[i], partner: none}
	}
	slices.SortFunc(p.list, func(a, b pool) int { return strings.Compare(a.Name, b.Name) })
	for i := range p.list {
		q := &p.list[i]
		for _, r := range q.Ranges {
			f := familyOf(r.First)
			q.spans[f] = append(q.spans[f], int32(len(p.spans)))
			first := keyOf(r.First)
			p.spans = append(p.spans, span{first: first, last: keyOf(r.Last), family: f, pool: int32(i),
				avoidBuggy: q.AvoidBuggyIPs, next: first, full: q.Closed})
		}
		if q.DualStackPartner != "" && q.DualStackPartner != q.Name {
			q.partner = p.named(q.DualStackPartner)
		}
	}
	p.sorted = make([]int32, len(p.spans))
	for i := range p.spans {
		p.sorted[i] = int32(i)
		if p.spans[i].family == v4 {
			p.nV4++
		}
	}
	slices.SortFunc(p.sorted, func(a, b int32) int {
		sa, sb := &p.spans[a], &p.spans[b]
		return cmp.Or(cmp.Compare(sa.family, sb.family), sa.first.compare(sb.first))
	})
	return p
}

// named returns the index of a pool, or none.
func (p *pools) named(name string) int32 {
	i, found := slices.BinarySearchFunc(p.list, name, func(q pool, n string) int { return strings.Compare(q.Name, n) })
	if !found {
		return none
	}
	return int32(i)
}

// spanOf returns the span that may hand out an address, or none.
func (p *pools) spanOf(a netip.Addr) int32 {
	if !a.IsValid() || a.Is4In6() || a.Zone() != "" {
		return none
	}
	list := p.sorted[p.nV4:]
	if a.Is4() {
		list = p.sorted[:p.nV4]
	}
	k := keyOf(a)
	i := sort.Search(len(list), func(i int) bool { return p.spans[list[i]].first.compare(k) > 0 })
	if i == 0 {
		return none
	}
	s := &p.spans[list[i-1]]
	if k.compare(s.last) > 0 || s.avoidBuggy && lb.Buggy(a) {
		return none
	}
	return list[i-1]
}

// allows says whether a pool, if there is one, may serve the Service.
func (p *pools) allows(i int32, s *svc) bool {
	if i == none {
		return false
	}
	q := p.list[i].Pool
	return q.Allocation == nil && !q.Closed || q.Allows(s.Service)
}

// place is an address with its place in the order in which a pool hands out: the user's
// order of ranges, then upwards.
type place struct {
	span int32
	key  key
}

func (a place) compare(b place) int {
	if a.span != b.span {
		return cmp.Compare(a.span, b.span)
	}
	return a.key.compare(b.key)
}

func (p *pools) placeOf(a netip.Addr) (place, bool) {
	s := p.spanOf(a)
	return place{s, keyOf(a)}, s != none
}

func (p *pools) poolAt(at place) int32      { return p.spans[at.span].pool }
func (p *pools) familyAt(at place) family   { return p.spans[at.span].family }
func (p *pools) addrAt(at place) netip.Addr { return at.key.addr(p.spans[at.span].family) }
