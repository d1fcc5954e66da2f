// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"cmp"
	"encoding/binary"
	"math"
	"net/netip"
	"slices"

	"golang.org/x/net/bpf"
)

// addrSet holds addresses of one family as ranges of 32-bit keys, which is what a packet
// filter can compare. It may hold more than it was made of, never less: a filter is small
// and bounded by the kernel (net.core.optmem_max, 20 KiB on older ones), so beyond maxSpans
// ranges the closest ones are joined. Addresses come from pools, whose addresses follow each
// other, so that is rare; and what passes too much is merely looked at.
type addrSet struct{ spans []keySpan }

// keySpan is the keys from first to last, both included.
type keySpan struct{ first, last uint32 }

// maxSpans makes a filter of some 1,200 instructions, 11 KiB in the kernel.
const maxSpans = 96

func newAddrSet(addrs []netip.Addr) addrSet {
	keys := make([]uint32, len(addrs))
	for i, a := range addrs {
		keys[i] = key(a)
	}
	slices.Sort(keys)
	var spans []keySpan
	for _, k := range keys {
		if n := len(spans); n > 0 && (spans[n-1].last == math.MaxUint32 || k <= spans[n-1].last+1) {
			spans[n-1].last = max(k, spans[n-1].last)
			continue
		}
		spans = append(spans, keySpan{k, k})
	}
	return addrSet{joinClosest(spans, maxSpans)}
}

// everything is the set of all addresses.
func everything() addrSet { return addrSet{[]keySpan{{0, math.MaxUint32}}} }

// joinClosest joins neighbours, the smallest gaps first, until at most n spans remain.
func joinClosest(spans []keySpan, n int) []keySpan {
	if len(spans) <= n {
		return spans
	}
	after := make([]int, len(spans)-1) // indices of spans, the widest gaps behind them first
	for i := range after {
		after[i] = i
	}
	slices.SortFunc(after, func(a, b int) int {
		return cmp.Compare(spans[b+1].first-spans[b].last, spans[a+1].first-spans[a].last)
	})
	ends := slices.Sorted(slices.Values(after[:n-1]))
	var out []keySpan
	first := 0
	for _, end := range append(ends, len(spans)-1) {
		out = append(out, keySpan{spans[first].first, spans[end].last})
		first = end + 1
	}
	return out
}

// key returns an IPv4 address as a number. Of an IPv6 address it is the sum of the four
// words: it keeps addresses that follow each other together, as the last word would, and
// tells most prefixes apart.
func key(a netip.Addr) uint32 {
	if a.Is4() {
		b := a.As4()
		return binary.BigEndian.Uint32(b[:])
	}
	b := a.As16()
	var sum uint32
	for i := 0; i < len(b); i += 4 {
		sum += binary.BigEndian.Uint32(b[i:])
	}
	return sum
}

func (s addrSet) equal(o addrSet) bool { return slices.Equal(s.spans, o.spans) }

// sum128 loads the key of the IPv6 address at an offset.
func sum128(off uint32) []bpf.Instruction {
	out := []bpf.Instruction{bpf.LoadAbsolute{Off: off, Size: 4}}
	for i := uint32(4); i < 16; i += 4 {
		out = append(out, bpf.TAX{}, bpf.LoadAbsolute{Off: off + i, Size: 4}, bpf.ALUOpX{Op: bpf.ALUOpAdd})
	}
	return out
}

// match loads a key and returns the frame if it is in the set, else nothing.
func (s addrSet) match(load ...bpf.Instruction) []bpf.Instruction {
	var edges []uint32 // where the set begins, where it ends, and so on
	for _, span := range s.spans {
		edges = append(edges, span.first)
		if span.last != math.MaxUint32 {
			edges = append(edges, span.last+1)
		}
	}
	return append(load, search(edges, 0, len(edges))...)
}

// maxSkip is how far a conditional jump reaches.
const maxSkip = 255

// search finds by bisection how many edges are not above the key, knowing that all before lo
// and none from hi on are. An odd number is inside.
func search(edges []uint32, lo, hi int) []bpf.Instruction {
	if lo == hi {
		return []bpf.Instruction{bpf.RetConstant{Val: uint32(lo%2) * wholeFrame}}
	}
	mid := lo + (hi-lo)/2
	below, above := search(edges, lo, mid), search(edges, mid+1, hi)
	branch := []bpf.Instruction{bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: edges[mid], SkipTrue: uint8(min(len(below), maxSkip))}}
	if len(below) > maxSkip {
		branch = []bpf.Instruction{
			bpf.JumpIf{Cond: bpf.JumpLessThan, Val: edges[mid], SkipTrue: 1},
			bpf.Jump{Skip: uint32(len(below))},
		}
	}
	return slices.Concat(branch, below, above)
}

// orElse makes a match that fails go on behind its end instead of dropping the frame.
func orElse(match []bpf.Instruction) []bpf.Instruction {
	for i, in := range match {
		if in == (bpf.RetConstant{Val: 0}) {
			match[i] = bpf.Jump{Skip: uint32(len(match) - i - 1)}
		}
	}
	return match
}
