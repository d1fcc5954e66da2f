// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package alloc

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/clarion-lb/clarion/internal/lb"
)

// explainer makes the texts about exhausted pools. Thousands of Services can wait for the same
// pools, so each text is made once.
type explainer struct {
	holders map[poolFamily][]place // the lowest addresses in use
	kept    map[poolFamily][]place // the lowest free addresses that are held back
	pools   map[poolFamily]string
	texts   map[situation]text
}

func newExplainer() explainer {
	return explainer{pools: make(map[poolFamily]string), texts: make(map[situation]text)}
}

type poolFamily struct {
	pool   int32
	family family
}

// situation is all that a text about exhausted pools depends on.
type situation struct {
	pools     [named]int32 // that could serve the Service, only the first few
	n         int
	partners  [named]int32 // that may serve the Service, too
	needs     families
	second    bool   // the Service has one family and lacks the other
	namespace string // set when a quota is involved
}

// exhausted explains why no pool serves a Service that asks for none.
func (e *explainer) exhausted(p *planner, i int32) text {
	s := &p.svcs[i]
	sit := situation{needs: p.needs(i)}
	for _, t := range p.tiers(s) {
		for _, q := range t.pools {
			if sit.n > named {
				break
			}
			if !p.allows(q, s) {
				continue
			}
			if sit.n < named {
				sit.pools[sit.n], sit.partners[sit.n] = q, p.partnerFor(i, q)
			}
			sit.n++
			if p.limited(q) {
				sit.namespace = s.Key.Namespace
			}
		}
	}
	const headline = "no available IPs"
	if sit.n == 0 {
		return say(lb.AllocationFailed, headline, ": no pool with autoAssign serves namespace "+
			strconv.Quote(s.Key.Namespace)+" and the labels of the Service")
	}
	return e.once(sit, func() text {
		var parts []string
		for n, q := range sit.pools[:min(sit.n, named)] {
			parts = append(parts, e.lacking(p, i, q, sit.partners[n], sit.needs))
		}
		if sit.n > named {
			parts = append(parts, "nor can other pools help")
		}
		return say(lb.AllocationFailed, headline, ": "+strings.Join(parts, "; ")+cure)
	})
}

// incomplete explains why a Service with one family does not get the other.
func (e *explainer) incomplete(p *planner, i int32) text {
	s := &p.svcs[i]
	missing, partner := familyOf(s.addrs[0]).other(), none
	if held, _ := p.placeOf(s.addrs[0]); p.poolAt(held) == s.home {
		partner = p.partnerFor(i, s.home)
	}
	sit := situation{pools: [named]int32{s.home}, partners: [named]int32{partner}, n: 1, needs: families{missing, missing}, second: true}
	if p.limited(s.home) {
		sit.namespace = s.Key.Namespace
	}
	return e.once(sit, func() text {
		return say(lb.AdditionalAssignFailed,
			"cannot assign additional IP in PreferDualStack: no available IPs in pool "+p.list[s.home].Name,
			": "+e.lacking(p, i, s.home, partner, sit.needs))
	})
}

func (e *explainer) once(sit situation, explain func() text) text {
	t, found := e.texts[sit]
	if !found {
		t = explain()
		e.texts[sit] = t
	}
	return t
}

// limited says whether a quota of a pool or of its partner may stop a Service.
func (p *planner) limited(pool int32) bool {
	partner := p.list[pool].partner
	return p.quotas.limits(pool) || partner != none && p.quotas.limits(partner)
}

// lacking says what a pool and, if there is one, its partner lack to serve a Service.
func (e *explainer) lacking(p *planner, i, pool, partner int32, needs families) string {
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
	if e.holders == nil {
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
				u := p.find(list[n])
				return p.users(u) + " " + p.addrAt(u.at).String()
			}) + ")"
		}
		if kept := p.size(q, f) - q.assigned[f]; kept > 0 {
			list := e.kept[k]
			out += ", " + strconv.FormatInt(kept, 10) + " held back: " + enumerate(int(kept), func(n int) string {
				h := p.holderOf(p.find(list[n]))
				return h.Addr.String() + h.forWhom()
			})
		}
	}
	e.pools[k] = out
	return out
}

// forWhom says for whom an address is held back, and how long.
func (h *hold) forWhom() string {
	return " for " + h.Service.String() + " until " + h.Until.UTC().Format(time.RFC3339)
}

// collect finds the lowest few addresses of every pool that are in use, and that are held back.
func (e *explainer) collect(p *planner) {
	e.holders, e.kept = make(map[poolFamily][]place), make(map[poolFamily][]place)
	for n := range p.uses {
		u := &p.uses[n]
		switch k := (poolFamily{p.poolAt(u.at), p.familyAt(u.at)}); {
		case u.user != none:
			e.holders[k] = withLowest(e.holders[k], u.at)
		case len(u.holds()) > 0:
			e.kept[k] = withLowest(e.kept[k], u.at)
		}
	}
}

// withLowest adds a place to a sorted list of the lowest few.
func withLowest(list []place, at place) []place {
	if len(list) == named && at.compare(list[named-1]) > 0 {
		return list
	}
	n, _ := slices.BinarySearchFunc(list, at, place.compare)
	list = slices.Insert(list, n, at)
	return list[:min(len(list), named)]
}
