// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package alloc

import (
	"net/netip"
	"slices"
	"time"

	"github.com/clarion-lb/clarion/internal/lb"
)

// Input is all that Plan looks at. It is read, never changed; results share its memory.
type Input struct {
	// Pools must not overlap and Services must have different keys; cluster sees to both.
	// Addresses are never IPv4-mapped IPv6 ones.
	Pools    []lb.Pool
	Services []lb.Service

	// Reserved is the list that the previous Result returned, or what was stored of it.
	Reserved []lb.Reservation
	// Last is the Outcomes of the previous Result. It shows which addresses were freed since;
	// nil (nothing is known of before) frees none.
	Last []Outcome
	// Now is used for reservations and cooldowns only.
	Now time.Time
}

// Result is what should be true.
type Result struct {
	// Outcomes has one entry for each Service, sorted by key.
	Outcomes []Outcome
	// Usage has one entry for each pool, sorted by name.
	Usage []Usage
	// Reserved is the list of addresses held back, sorted by address, then Service.
	Reserved []lb.Reservation
	// Next is when the first reservation ends, so that Plan must be called again even if
	// nothing changes; the zero time when there is none.
	Next time.Time
}

// Outcome returns the outcome of a Service.
func (r *Result) Outcome(k lb.Key) (*Outcome, bool) {
	i, found := findOutcome(r.Outcomes, k)
	if !found {
		return nil, false
	}
	return &r.Outcomes[i], true
}

func findOutcome(outs []Outcome, k lb.Key) (int, bool) {
	return slices.BinarySearchFunc(outs, k, func(o Outcome, k lb.Key) int { return o.Service.Compare(k) })
}

// Plan computes which addresses every Service should have.
func Plan(in Input) Result {
	p := newPlanner(in)
	p.settleAll()
	p.holdBack()
	p.serveAll()
	return p.result()
}

// planner is the working state of one Plan. Services and pools are known by their index in
// key and name order.
type planner struct {
	in   Input
	svcs []svc
	pools
	ledger
	groups     groups
	candidates candidates
	quotas     quotas
	holds      holds
	explainer  explainer
	slab       []netip.Addr // memory for new Addrs
	again      bool         // those who got nothing may get something now
}

// svc is one Service with what Plan has found so far.
type svc struct {
	*lb.Service
	addrs   []netip.Addr // what it has now; kept ones first
	cleared string       // why an address was taken away
	tier    int32        // of the pools pinned to it, or none while that is not known
	home    int32        // the pool it was allocated from, or none
	group   int32        // index of its sharing group, or none
	ports   int32        // index of its set of ports, valid when group is
	want    want
	primary family // of the first cluster IP
	dual    bool   // an address of each family can be forwarded to it
	prefer  bool   // it would like both families, but can do with one
	asks    bool   // for certain addresses, or for a pool
	kept    uint8  // how many of addrs it had before
	fail    failure
}

// want is what a Service is still waiting for.
type want uint8

const (
	nothing   want = iota
	addresses      // it has none
	second         // it has one and would like the other family too
	both           // it has one, which is worth nothing to it without the other family
)

const none int32 = -1

func newPlanner(in Input) *planner {
	p := &planner{in: in}
	p.svcs = sortedServices(in.Services)
	p.pools = newPools(in.Pools)
	p.ledger = newLedger(&p.pools, p.svcs)
	p.groups = newGroups()
	p.candidates = newCandidates(&p.pools)
	p.quotas = newQuotas(&p.pools)
	p.explainer = newExplainer()
	p.intern()
	return p
}

func sortedServices(in []lb.Service) []svc {
	svcs := make([]svc, len(in))
	sorted := true
	for i := range in {
		svcs[i] = newSvc(&in[i])
		sorted = sorted && (i == 0 || in[i-1].Key.Compare(in[i].Key) < 0)
	}
	if !sorted {
		slices.SortFunc(svcs, func(a, b svc) int { return a.Key.Compare(b.Key) })
	}
	return svcs
}

// newSvc copies what serving looks at for each Service, because it goes through the Services
// in an order that no cache likes.
func newSvc(in *lb.Service) svc {
	s := svc{Service: in, tier: none, home: none, group: none, dual: len(in.Families) > 1,
		prefer: in.Policy == lb.PreferDualStack, asks: len(in.RequestedAddrs) > 0 || in.RequestedPool != ""}
	if len(in.Families) > 0 {
		s.primary = indexOf(in.Families[0])
	}
	return s
}

// setAddrs gives a Service a list of addresses without allocating for each of them.
func (p *planner) setAddrs(s *svc, addrs ...netip.Addr) {
	n := len(addrs)
	if n == 0 {
		s.addrs = nil
		return
	}
	if cap(p.slab)-len(p.slab) < n {
		p.slab = make([]netip.Addr, 0, max(n, 512))
	}
	start := len(p.slab)
	p.slab = append(p.slab, addrs...)
	s.addrs = p.slab[start : start+n : start+n]
}

func (p *planner) result() Result {
	r := Result{Outcomes: make([]Outcome, len(p.svcs))}
	for i := range p.svcs {
		p.outcome(int32(i), &r.Outcomes[i])
	}
	r.Reserved, r.Next = p.remaining()
	r.Usage = p.usage()
	return r
}
