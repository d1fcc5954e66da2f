// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package alloc

import (
	"slices"
	"strconv"
	"strings"
)

// explainer makes the texts about exhausted pools. Thousands of Services can wait for the same
// pools, so each text is made once.
type explainer struct {
	holders map[poolFamily][]place // the lowest addresses in use
	pools   map[poolFamily]string
	lists   map[poolList]string
}

type poolFamily struct {
	pool   int32
	family family
}

// poolList is all that the text about the pools that could serve a Service depends on.
type poolList struct {
	pools     [named]int32
	n         int
	primary   family
	both      bool
	namespace string // set when a quota is involved
}

// exhausted explains why no pool serves a Service that asks for none.
func (e *explainer) exhausted(p *planner, i int32) string {
	s := &p.svcs[i]
	needs := p.needs(i)
	list := poolList{primary: s.primary(), both: len(needs) == 2}
	limited := false
	for _, t := range p.tiers(s) {
		for _, q := range t.pools {
			if list.n > named {
				break
			}
			if !p.allows(q, s) {
				continue
			}
			if list.n < named {
				list.pools[list.n] = q
			}
			list.n++
			limited = limited || p.quotas.limits(q)
		}
	}
	if limited {
		list.namespace = s.Key.Namespace
	}
	if done, found := e.lists[list]; found {
		return done
	}
	out := ": no pool with autoAssign serves namespace " + strconv.Quote(s.Key.Namespace) + " and the labels of the Service"
	if list.n > 0 {
		var parts []string
		for _, q := range list.pools[:min(list.n, named)] {
			parts = append(parts, e.lacking(p, i, q, p.partnerFor(i, q), needs))
		}
		if list.n > named {
			parts = append(parts, "nor can other pools help")
		}
		out = ": " + strings.Join(parts, "; ") + cure
	} else {
		return out
	}
	if e.lists == nil {
		e.lists = make(map[poolList]string)
	}
	e.lists[list] = out
	return out
}

// lacking says what a pool and, if there is one, its partner lack to serve a Service.
func (e *explainer) lacking(p *planner, i, pool, partner int32, needs []family) string {
	s := &p.svcs[i]
	sources := []int32{pool}
	if partner != none {
		sources = append(sources, partner)
	}
	var parts []string
	for _, f := range needs {
		var reasons []string
		for _, q := range sources {
			_, free := p.lowestFree(q, f)
			switch {
			case !free:
				reasons = append(reasons, e.full(p, q, f))
			case !p.room(i, q, nil):
				reasons = append(reasons, p.quotaText(q, s.Key.Namespace))
			}
		}
		if len(reasons) == len(sources) {
			parts = append(parts, strings.Join(reasons, ", nor has its partner: "))
		}
	}
	if len(parts) > 0 {
		return strings.Join(slices.Compact(parts), ", ")
	}
	// There is an address of each family, but not for both together.
	for _, q := range sources {
		if p.quotas.limits(q) {
			return p.quotaText(q, s.Key.Namespace)
		}
	}
	return "pool " + p.list[pool].Name + " has no free address beside those of its partner"
}

// full says why a pool has no free address of a family: who holds what.
func (e *explainer) full(p *planner, pool int32, f family) string {
	k := poolFamily{pool, f}
	if done, found := e.pools[k]; found {
		return done
	}
	if e.pools == nil {
		e.pools = make(map[poolFamily]string)
		e.collect(p)
	}
	q := &p.list[pool]
	out := "pool " + q.Name + " has no " + f.String() + " range"
	if q.Closed {
		out = "pool " + q.Name + " overlaps an older pool and gives no new address"
	} else if len(q.spans[f]) > 0 {
		out = "pool " + q.Name + " has no free " + f.String() + " address"
		list := e.holders[k]
		if n := int(q.assigned[f]); n > 0 {
			out += " (" + strconv.Itoa(n) + " in use: " + enumerate(n, func(n int) string {
				u := p.find(list[n].key)
				return p.users(u) + " " + p.addrAt(u.at).String()
			}) + ")"
		}
		if kept := p.size(q, f) - q.assigned[f]; kept > 0 {
			out += ", " + strconv.FormatInt(kept, 10) + " held back"
		}
	}
	e.pools[k] = out
	return out
}

// collect finds the lowest few addresses in use of every pool.
func (e *explainer) collect(p *planner) {
	e.holders = make(map[poolFamily][]place)
	for n := range p.uses {
		u := &p.uses[n]
		if u.user == none {
			continue
		}
		k := poolFamily{p.poolAt(u.at), p.familyAt(u.at)}
		list := e.holders[k]
		if len(list) == named && u.at.compare(list[named-1]) > 0 {
			continue
		}
		m, _ := slices.BinarySearchFunc(list, u.at, place.compare)
		list = slices.Insert(list, m, u.at)
		e.holders[k] = list[:min(len(list), named)]
	}
}
