// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package alloc

import (
	"slices"
)

// use is one address that somebody has or that is held back.
type use struct {
	at    place
	user  int32  // the first Service on it, or none
	extra *extra // nil for nearly every address
}

// extra is what only shared or held back addresses need.
type extra struct {
	more  []int32 // Services after the first
	ports codes   // ports of all of them, kept while there are two or more
	holds []int32 // indexes into holds.list
}

func (u *use) more() []int32 {
	if u.extra == nil {
		return nil
	}
	return u.extra.more
}

func (u *use) holds() []int32 {
	if u.extra == nil {
		return nil
	}
	return u.extra.holds
}

func (u *use) detail() *extra {
	if u.extra == nil {
		u.extra = &extra{}
	}
	return u.extra
}

// ledger is who is on which address. Its size is that of what is used, not of the pools.
type ledger struct {
	uses []use
	book
}

func newLedger(p *pools, svcs []svc) ledger {
	addrs := len(svcs)
	for i := range svcs {
		if svcs[i].dual {
			addrs++
		}
	}
	return ledger{uses: make([]use, 0, addrs), book: newBook(p, addrs)}
}

// find returns the use of an address, nil when there is none. The pointer is valid until the
// next call of entry.
func (p *planner) find(at place) *use {
	n := p.look(&p.spans[at.span], at)
	if n == 0 {
		return nil
	}
	return &p.uses[n-1]
}

// entry returns the use of an address and makes one if needed.
func (p *planner) entry(at place) *use {
	n := p.slot(&p.spans[at.span], at)
	if *n == 0 {
		p.uses = append(p.uses, use{at: at, user: none})
		*n = int32(len(p.uses))
	}
	return &p.uses[*n-1]
}

// join puts a Service on an address, without asking whether it may be there.
func (p *planner) join(u *use, i int32) {
	if u.user == none {
		u.user = i
		return
	}
	x := u.detail()
	if len(x.more) == 0 {
		if x.more == nil { // where two are, more come
			x.more, x.ports = make([]int32, 0, 8), make(codes, 0, 8)
		}
		x.ports.addPorts(&p.groups, &p.svcs[u.user])
	}
	x.ports.addPorts(&p.groups, &p.svcs[i])
	x.more = append(x.more, i)
}

// leave takes a Service off an address.
func (p *planner) leave(u *use, i int32) {
	more := u.more()
	if n := slices.Index(more, i); n >= 0 {
		u.extra.more = slices.Delete(more, n, n+1)
	} else if len(more) > 0 {
		u.user, u.extra.more = more[0], more[1:]
	} else {
		u.user = none
	}
	if u.extra == nil {
		return
	}
	u.extra.ports = u.extra.ports[:0]
	if len(u.extra.more) > 0 {
		u.extra.ports.addPorts(&p.groups, &p.svcs[u.user])
		for _, m := range u.extra.more {
			u.extra.ports.addPorts(&p.groups, &p.svcs[m])
		}
	}
}

// holdsAt says whether a Service is on an address.
func (p *planner) holdsAt(u *use, i int32) bool { return u.user == i || slices.Contains(u.more(), i) }

// claim gives an address to a Service in the serving half of a Plan, where the numbers that
// settle counted must be kept up.
func (p *planner) claim(i int32, at place) {
	u := p.entry(at)
	pool, f, first := p.poolAt(at), p.familyAt(at), u.user == none
	if p.quotas.limits(pool) && !p.namespaceOn(u, p.svcs[i].Key.Namespace) {
		p.quotas.add(pool, p.svcs[i].Key.Namespace, +1)
	}
	p.join(u, i)
	if first {
		p.list[pool].assigned[f]++
	}
	if g := p.svcs[i].group; first && g != none {
		p.groups.add(g, pool, f, at, p.svcs[i].ports)
		if len(u.holds()) > 0 { // others can share now what was held back
			p.again = true
			p.candidates.rewind()
		}
	}
}

// unclaim takes an address back from a Service, after which it is free unless it is held back
// or shared, and what was known to be full must be looked at again.
func (p *planner) unclaim(i int32, at place) {
	u := p.entry(at)
	p.leave(u, i)
	pool, f, last := p.poolAt(at), p.familyAt(at), u.user == none
	if p.quotas.limits(pool) && !p.namespaceOn(u, p.svcs[i].Key.Namespace) {
		p.quotas.add(pool, p.svcs[i].Key.Namespace, -1)
	}
	if last {
		p.list[pool].assigned[f]--
	}
	p.groups.forget(p.svcs[i].group, pool, f, at, last)
	p.rewind(at)
	p.candidates.rewind()
}

// namespaceOn says whether a Service of the namespace is on the address.
func (p *planner) namespaceOn(u *use, namespace string) bool {
	if u.user == none {
		return false
	}
	if p.svcs[u.user].Key.Namespace == namespace {
		return true
	}
	return slices.ContainsFunc(u.more(), func(i int32) bool { return p.svcs[i].Key.Namespace == namespace })
}

// tally counts what settle left in place and indexes it for sharing.
func (p *planner) tally() {
	for n := range p.uses {
		u := &p.uses[n]
		if u.user == none {
			continue
		}
		i, f := p.poolAt(u.at), p.familyAt(u.at)
		p.list[i].assigned[f]++
		if p.quotas.limits(i) {
			p.tallyNamespaces(u, i)
		}
		if g := p.svcs[u.user].group; g != none {
			p.groups.note(g, i, f, u.at)
		}
	}
	p.groups.sort()
}

func (p *planner) tallyNamespaces(u *use, i int32) {
	users := append([]int32{u.user}, u.more()...)
	seen := make(map[string]bool, len(users))
	for _, m := range users {
		if ns := p.svcs[m].Key.Namespace; !seen[ns] {
			seen[ns] = true
			p.quotas.add(i, ns, 1)
		}
	}
}
