// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/clarion-lb/clarion/internal/lb"
)

// ParseRange reads one entry of spec.addresses: a prefix, whose host bits are ignored, or two
// addresses of one family with "-" between them. The error says what is wrong and what to
// write instead; it does not repeat the entry.
func ParseRange(s string) (lb.Range, error) {
	s = strings.TrimSpace(s)
	var r lb.Range
	var err error
	switch first, last, isRange := strings.Cut(s, "-"); {
	case isRange:
		r, err = parseSpan(strings.TrimSpace(first), strings.TrimSpace(last))
	case strings.Contains(s, "/"):
		r, err = parsePrefix(s)
	default:
		err = notARange(s)
	}
	if err != nil {
		return lb.Range{}, err
	}
	if mapped := netip.MustParsePrefix("::ffff:0:0/96"); r.Overlaps(rangeOf(mapped)) {
		return lb.Range{}, errors.New("contains ::ffff:0:0/96, which stands for IPv4; choose a smaller prefix")
	}
	return r, nil
}

func notARange(s string) error {
	if addr, err := parseAddr(s); err == nil {
		return fmt.Errorf("is a single address; write \"%s/%d\"", addr, addr.BitLen())
	}
	return errors.New("is neither a prefix nor a range; write for example 198.51.100.0/24 or 198.51.100.10-198.51.100.50")
}

func parseSpan(first, last string) (lb.Range, error) {
	from, err1 := parseAddr(first)
	to, err2 := parseAddr(last)
	if err := cmp.Or(err1, err2); err != nil {
		return lb.Range{}, fmt.Errorf("is no valid range: %w; write for example 198.51.100.10-198.51.100.50", err)
	}
	if from.BitLen() != to.BitLen() {
		return lb.Range{}, errors.New("begins in one address family and ends in the other; write one range for each family")
	}
	if to.Less(from) {
		return lb.Range{}, fmt.Errorf("ends before it begins; write \"%s-%s\"", to, from)
	}
	return lb.Range{First: from, Last: to}, nil
}

func parsePrefix(s string) (lb.Range, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return lb.Range{}, errors.New("is no valid prefix; write for example 198.51.100.0/24 or 2001:db8::/64")
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return rangeOf(p), nil
}

// rangeOf returns the addresses of a prefix, host bits masked.
func rangeOf(p netip.Prefix) lb.Range {
	p = p.Masked()
	last := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(last)*8; bit++ {
		last[bit/8] |= 0x80 >> (bit % 8)
	}
	addr, _ := netip.AddrFromSlice(last) // cannot fail: the length is that of an address
	return lb.Range{First: p.Addr(), Last: addr}
}

// parseAddr reads an address as the Kubernetes API does: no zone, and an IPv4-mapped IPv6
// address is an IPv4 address.
func parseAddr(s string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("%q is no IP address", s)
	}
	if addr.Zone() != "" {
		return netip.Addr{}, fmt.Errorf("%q has a zone, which no Service address can have", s)
	}
	return addr.Unmap(), nil
}

// claim is a range that a pool holds, or wants.
type claim struct {
	lb.Range
	pool string
	text string // the entry of spec.addresses it comes from
}

// claims are the ranges that pools hold, sorted and disjoint.
type claims []claim

// take gives to the pool those parts of its claim that nobody holds and returns them, together
// with the claims that stood in the way.
func (c *claims) take(wanted claim) (free []lb.Range, taken []claim) {
	r := wanted.Range
	at, _ := slices.BinarySearchFunc(*c, r.First, func(held claim, first netip.Addr) int {
		return held.Last.Compare(first)
	})
	next := r.First // the first address of r that is not dealt with; invalid when none is left
	for _, held := range (*c)[at:] {
		if r.Last.Less(held.First) {
			break
		}
		taken = append(taken, held)
		if next.Less(held.First) {
			free = append(free, lb.Range{First: next, Last: held.First.Prev()})
		}
		next = held.Last.Next()
	}
	if next.IsValid() && next.BitLen() == r.Last.BitLen() && !r.Last.Less(next) {
		free = append(free, lb.Range{First: next, Last: r.Last})
	}
	for _, f := range free {
		i, _ := slices.BinarySearchFunc(*c, f.First, func(held claim, first netip.Addr) int {
			return held.First.Compare(first)
		})
		*c = slices.Insert(*c, i, claim{f, wanted.pool, wanted.text})
	}
	return free, taken
}
