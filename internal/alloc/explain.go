// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package alloc

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/clarion-lb/clarion/internal/lb"
)

// failure is what stopped a Service. Its text is made when all is decided, because it says
// who holds what.
type failure struct {
	kind failKind
	pool int32 // for failPool; none if there is no such pool
}

type failKind uint8

const (
	noFailure     failKind = iota
	failNoPools            // there is no pool at all
	failNoCluster          // the Service has no cluster IP
	failNotDual            // it requires dual stack but has one cluster IP
	failRequest            // it asks for addresses in a way that makes no sense
	failAny                // no pool can serve it
	failPool               // the pool that it asks for cannot serve it
	failRequested          // it cannot have the addresses that it asks for
	failSecond             // it has one family but not the other
)

// text is a message in two parts, see Outcome.
type text struct {
	reason  lb.Reason
	message string
	head    int // length of the part that stays the same while the cause does
}

func say(reason lb.Reason, headline, detail string) text {
	return text{reason, headline + detail, len(headline)}
}

func (t text) headline() string { return t.message[:t.head] }

// named is how many holders or pools a message names before it only counts.
const named = 3

// hopeless says why there is no point in looking for an address for a Service.
func (p *planner) hopeless(s *svc) failure {
	switch {
	case len(p.list) == 0:
		return failure{kind: failNoPools}
	case len(s.Families) == 0:
		return failure{kind: failNoCluster}
	case s.Policy == lb.RequireDualStack && !s.dual:
		return failure{kind: failNotDual}
	case s.RequestProblem != "":
		return failure{kind: failRequest}
	}
	return failure{}
}

func (p *planner) hopelessText(s *svc) text {
	switch s.fail.kind {
	case failNoPools:
		return say(lb.AllocationFailed, "no available IPs", ": there is no IPAddressPool; create one")
	case failNoCluster:
		return say(lb.AllocationFailed, "the Service has no cluster IP", " that an address could be forwarded to")
	case failNotDual:
		return say(lb.NotEnoughClusterIPs, fmt.Sprintf("Service requires dual stack but not enough clusterips %v", s.Families), "")
	default:
		return say(lb.LoadBalancerFailed, "invalid requested loadbalancer IPs: "+s.RequestProblem, "")
	}
}

// explain says what stopped a Service.
func (p *planner) explain(i int32) text {
	s := &p.svcs[i]
	switch s.fail.kind {
	case failAny:
		return p.explainer.exhausted(p, i)
	case failPool:
		return p.poolText(i)
	case failRequested:
		return p.requestedText(i)
	case failSecond:
		return p.explainer.incomplete(p, i)
	default:
		return p.hopelessText(s)
	}
}

// poolText explains why the pool that a Service asks for does not serve it.
func (p *planner) poolText(i int32) text {
	s, q := &p.svcs[i], p.svcs[i].fail.pool
	if q == none {
		return say(lb.AllocationFailed, "unknown pool "+strconv.Quote(s.RequestedPool),
			"; create it, or correct the metallb.io/address-pool annotation")
	}
	if p.list[q].Closed || !p.allows(q, s) {
		return say(lb.AllocationFailed, p.notCompatible(q), p.whyNotAllowed(q, s))
	}
	return say(lb.AllocationFailed, "no available IPs in pool "+p.list[q].Name,
		": "+p.explainer.lacking(p, i, q, p.partnerFor(i, q), p.needs(i))+cure)
}

const cure = "; add addresses to a pool, or delete a Service that no longer needs its own"

func (p *planner) notCompatible(pool int32) string {
	return "pool " + p.list[pool].Name + " not compatible for ip assignment"
}

func (p *planner) whyNotAllowed(pool int32, s *svc) string {
	if p.list[pool].Closed {
		return ": it overlaps an older pool and gives no new address until that is corrected"
	}
	if !p.list[pool].Allocation.AllowsNamespace(s.Key.Namespace) {
		return ": its serviceAllocation does not include namespace " + strconv.Quote(s.Key.Namespace)
	}
	return ": its serviceAllocation does not select the labels of the Service"
}

// needs are the families without which a Service is not served.
func (p *planner) needs(i int32) families {
	s := &p.svcs[i]
	if s.dual && !s.prefer {
		return families{v4, v6}
	}
	return families{s.primary, s.primary}
}

// families are one or two families; one is listed twice.
type families [2]family

// requestedText explains why a Service cannot have the addresses that it asks for.
func (p *planner) requestedText(i int32) text {
	s := &p.svcs[i]
	all := quoteAddrs(s.RequestedAddrs)
	failed := func(headline, detail string) text { return say(lb.AllocationFailed, headline, detail) }
	if !s.matchesFamilies() {
		return failed("requested loadBalancer IP(s) "+all+" does not match the ipFamily of the service",
			fmt.Sprintf("; ask for one address of each of %v", s.Families))
	}
	var at []place
	for _, a := range s.RequestedAddrs {
		x, inPool := p.placeOf(a)
		if !inPool {
			return failed(all+" is not allowed in config", ": no pool hands out "+a.String())
		}
		at = append(at, x)
	}
	for _, x := range at {
		if q := p.poolAt(x); p.list[q].Closed || !p.allows(q, s) {
			return failed(p.notCompatible(q), p.whyNotAllowed(q, s))
		}
	}
	if p.homeOf(s, "", at...) == none {
		return failed(all+" is not allowed in config", ": the addresses are in two pools and neither is the dual-stack partner of the other")
	}
	for n := range at {
		if t, refused := p.refusalText(i, at, n); refused {
			return t
		}
	}
	return failed("requested loadBalancer IP(s) "+all+" is not compatible with requested address pool "+s.RequestedPool,
		"; ask for the pool of the addresses, or for none")
}

func (p *planner) refusalText(i int32, at []place, n int) (text, bool) {
	s := &p.svcs[i]
	pool := p.poolAt(at[n])
	var with *place
	if n > 0 {
		with = &at[n-1]
	}
	switch p.refusal(i, at[n], p.room(i, pool, with)) {
	case isTaken:
		t := p.clashText(p.find(at[n]), i)
		return t, true
	case isClosed:
		return say(lb.AllocationFailed, p.notCompatible(pool), p.whyNotAllowed(pool, s)), true
	case isKept:
		h := p.holderOf(p.find(at[n]))
		return say(lb.AllocationFailed, quoteAddr(h.Addr)+" is held back", h.forWhom()), true
	case overQuota:
		return say(lb.AllocationFailed, "no available IPs in pool "+p.list[pool].Name, ": "+p.quotaText(pool, s.Key.Namespace)), true
	}
	return text{}, false
}

func (p *planner) quotaText(pool int32, namespace string) string {
	return fmt.Sprintf("namespace %q has used up its quota of %d addresses in pool %s",
		namespace, p.quotas.max(pool, namespace), p.list[pool].Name)
}

func quoteAddr(a netip.Addr) string { return strconv.Quote(a.String()) }

// users names the Services on an address.
func (p *planner) users(u *use) string {
	list := append([]int32{u.user}, u.more()...)
	slices.Sort(list)
	return enumerate(len(list), func(n int) string { return p.svcs[list[n]].Key.String() })
}

// enumerate names the first few of n things and counts the rest.
func enumerate(n int, name func(int) string) string {
	var parts []string
	for m := range min(n, named) {
		parts = append(parts, name(m))
	}
	if n > named {
		return strings.Join(parts, ", ") + " and " + strconv.Itoa(n-named) + " more"
	}
	return strings.Join(parts, ", ")
}
