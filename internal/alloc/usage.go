// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package alloc

import "math"

// Usage is how much of a pool is used. Numbers that do not fit are math.MaxInt64.
type Usage struct {
	Pool string
	// AssignedIPv4 and AssignedIPv6 count addresses; one that is shared counts once.
	AssignedIPv4, AssignedIPv6 int64
	// AvailableIPv4 and AvailableIPv6 count addresses that a new Service could get.
	AvailableIPv4, AvailableIPv6 int64
	// Reserved counts free addresses that are held back by a reservation or a cooldown.
	Reserved int64
	// Services is the number of Services that have an address of the pool.
	Services int
}

func (p *planner) usage() []Usage {
	for i := range p.svcs {
		p.countIn(&p.svcs[i])
	}
	out := make([]Usage, len(p.list))
	for i := range p.list {
		q := &p.list[i]
		out[i] = Usage{
			Pool:          q.Name,
			AssignedIPv4:  q.assigned[v4],
			AssignedIPv6:  q.assigned[v6],
			AvailableIPv4: p.available(q, v4),
			AvailableIPv6: p.available(q, v6),
			Reserved:      q.held[v4] + q.held[v6],
			Services:      q.services,
		}
	}
	return out
}

// countIn counts a Service in the pools of its addresses.
func (p *planner) countIn(s *svc) {
	if len(s.addrs) == 0 {
		return
	}
	if p.list[s.home].partner == none {
		p.list[s.home].services++
		return
	}
	last := none
	for _, a := range s.addrs {
		at, _ := p.placeOf(a)
		if q := p.poolAt(at); q != last {
			p.list[q].services++
			last = q
		}
	}
}

func (p *planner) available(q *pool, f family) int64 {
	if q.Closed {
		return 0
	}
	n := p.size(q, f)
	if n == math.MaxInt64 {
		return n
	}
	return n - q.assigned[f] - q.held[f]
}

// size is the number of addresses of a family that a pool can hand out.
func (p *planner) size(q *pool, f family) int64 {
	var sum int64
	for _, n := range q.spans[f] {
		size := p.spans[n].size()
		if size > math.MaxInt64-sum {
			return math.MaxInt64
		}
		sum += size
	}
	return sum
}

// size is MaxInt64 from 2^62 on, as MetalLB counts.
func (s *span) size() int64 {
	n := s.width()
	if s.avoidBuggy && s.family == v4 {
		n -= buggyBelow(s.last.lo+1) - buggyBelow(s.first.lo)
	}
	return n
}

// width is the size of a span with the addresses that it may not hand out.
func (s *span) width() int64 {
	n := s.last.minus(s.first)
	if n.hi > 0 || n.lo >= 1<<62-1 {
		return math.MaxInt64
	}
	return int64(n.lo) + 1
}

// buggyBelow counts the numbers below n that end in 0x00 or 0xff.
func buggyBelow(n uint64) int64 { return int64((n+0xff)>>8 + n>>8) }
