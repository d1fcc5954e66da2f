// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package alloc

// aged is a Service with its creation time as numbers that sort without sign.
type aged struct {
	sec  uint64
	nsec uint32
	i    int32
}

// byAge sorts Services, which come in order of key, by creation time, then key.
func (p *planner) byAge(list []int32) {
	ages, spare := make([]aged, len(list)), make([]aged, len(list))
	for n, i := range list {
		t := p.svcs[i].Created
		ages[n] = aged{uint64(t.Unix()) ^ 1<<63, uint32(t.Nanosecond()), i}
	}
	ages, spare = sortByDigits(ages, spare, func(a *aged) uint64 { return uint64(a.nsec) })
	ages, _ = sortByDigits(ages, spare, func(a *aged) uint64 { return a.sec })
	for n := range ages {
		list[n] = ages[n].i
	}
}

// sortByDigits is a stable radix sort: a comparing sort is the dearest part of a Plan in which
// everybody waits. It skips the digits in which nobody differs, and returns the sorted list and
// the other one.
func sortByDigits(list, spare []aged, number func(*aged) uint64) (sorted, other []aged) {
	const bits = 8
	var differ uint64
	for n := range list {
		differ |= number(&list[n]) ^ number(&list[0])
	}
	for shift := 0; shift < 64; shift += bits {
		if differ>>shift&(1<<bits-1) == 0 {
			continue
		}
		var start [1 << bits]int
		for n := range list {
			start[number(&list[n])>>shift&(1<<bits-1)]++
		}
		sum := 0
		for d, count := range start {
			start[d], sum = sum, sum+count
		}
		for n := range list {
			d := number(&list[n]) >> shift & (1<<bits - 1)
			spare[start[d]] = list[n]
			start[d]++
		}
		list, spare = spare, list
	}
	return list, spare
}
