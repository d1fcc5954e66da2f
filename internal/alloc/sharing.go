// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package alloc

import (
	"slices"
	"sort"
	"strconv"

	"github.com/clarion-lb/clarion/internal/lb"
)

// clash is why a Service may not join those who are on an address.
type clash uint8

const (
	noClash clash = iota
	keyClash
	portClash
)

// clashOn applies the rule of sharing (I1): everybody on an address has the same sharing key,
// the same backend key, and ports of their own.
func (p *planner) clashOn(u *use, i int32) clash {
	if u.user == none || u.user == i && len(u.more()) == 0 {
		return noClash
	}
	s, first := &p.svcs[i], &p.svcs[u.user]
	if s.group == none || s.group != first.group {
		return keyClash
	}
	if p.portsMeet(u, s) {
		return portClash
	}
	return noClash
}

// portsMeet says whether a Service of the same group as those on an address wants a port that
// one of them has.
func (p *planner) portsMeet(u *use, s *svc) bool {
	if u.extra != nil && len(u.extra.ports) > 0 {
		if s.ports < manyPorts { // reading Ports would be slow
			return u.extra.ports.has(s.ports)
		}
		return slices.ContainsFunc(s.Ports, func(port lb.Port) bool { return u.extra.ports.has(p.groups.code(port)) })
	}
	first := &p.svcs[u.user]
	if s.ports == first.ports || s.ports < manyPorts && first.ports < manyPorts {
		return s.ports == first.ports && len(s.Ports) > 0
	}
	return slices.ContainsFunc(s.Ports, func(port lb.Port) bool { return slices.Contains(first.Ports, port) })
}

// takenPort returns the first port of a Service that somebody on the address has.
func (p *planner) takenPort(u *use, s *svc) lb.Port {
	for _, port := range s.Ports {
		if slices.Contains(p.svcs[u.user].Ports, port) || u.extra != nil && u.extra.ports.has(p.groups.code(port)) {
			return port
		}
	}
	return lb.Port{}
}

// clashText says in MetalLB's words why a Service may not join an address.
func (p *planner) clashText(u *use, i int32) text {
	s, first := &p.svcs[i], &p.svcs[u.user]
	if p.clashOn(u, i) == portClash {
		port := p.takenPort(u, s)
		return say(lb.AllocationFailed,
			"port "+string(port.Protocol)+"/"+strconv.Itoa(int(port.Number))+" is already in use on "+quoteAddr(p.addrAt(u.at)),
			" by "+p.users(u)+"; use another port or another address")
	}
	why := "backend key " + strconv.Quote(s.BackendKey) + " does not match existing sharing key " + strconv.Quote(first.BackendKey) +
		"; Services with externalTrafficPolicy Local share an address only when they select the same pods"
	switch {
	case first.SharingKey == "":
		why = "existing service does not allow sharing"
	case s.SharingKey == "":
		why = "new service does not allow sharing"
	case first.SharingKey != s.SharingKey:
		why = "sharing key " + strconv.Quote(s.SharingKey) + " does not match existing sharing key " + strconv.Quote(first.SharingKey)
	}
	return say(lb.AllocationFailed,
		"can't change sharing key for "+strconv.Quote(s.Key.String())+", address also in use by "+p.users(u),
		": "+why+" ("+p.addrAt(u.at).String()+")")
}

// lowestShared returns the first place before limit where a Service fits beside others. When
// its namespace has no room for another address, only one that it already has will do.
func (p *planner) lowestShared(i, pool int32, f family, room bool, limit place) (place, bool) {
	s := &p.svcs[i]
	if s.group == none {
		return place{}, false
	}
	l := p.groups.in(s.group, pool, f)
	if l == nil {
		return place{}, false
	}
	n := 0
	if passed, known := l.passed[s.ports]; known && room {
		n = sort.Search(len(l.places), func(n int) bool { return l.places[n].compare(passed) > 0 })
	}
	start := n
	for ; n < len(l.places) && l.places[n].compare(limit) < 0; n++ {
		u := p.find(l.places[n])
		if p.clashOn(u, i) == noClash && (room || p.namespaceOn(u, s.Key.Namespace)) {
			break
		}
	}
	if n > start && room {
		l.pass(s.ports, l.places[n-1])
	}
	if n == len(l.places) || l.places[n].compare(limit) >= 0 {
		return place{}, false
	}
	return l.places[n], true
}
