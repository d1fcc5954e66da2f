// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package alloc

import (
	"encoding/binary"
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
	if _, taken := p.takenPort(u, s.Ports); taken {
		return portClash
	}
	return noClash
}

func (p *planner) takenPort(u *use, ports []lb.Port) (lb.Port, bool) {
	for _, port := range ports {
		if u.extra != nil && u.extra.ports != nil {
			if _, taken := u.extra.ports[port]; taken {
				return port, true
			}
		} else if slices.Contains(p.svcs[u.user].Ports, port) {
			return port, true
		}
	}
	return lb.Port{}, false
}

// clashText says in MetalLB's words why a Service may not join an address.
func (p *planner) clashText(u *use, i int32) text {
	s, first := &p.svcs[i], &p.svcs[u.user]
	if p.clashOn(u, i) == portClash {
		port, _ := p.takenPort(u, s.Ports)
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

// groupKey is what Services on one address have in common.
type groupKey struct{ sharing, backend string }

// sharedIn are the addresses that a sharing group uses in one pool, one family.
type sharedIn struct {
	pool   int32
	family family
	places []place // sorted
	// passed is, for each set of ports, the last place that is known not to fit, like all
	// before it. Addresses only fill up, so nobody looks twice at what did not fit once.
	passed map[int32]place
}

// groups finds the addresses that are used with a sharing key.
type groups struct {
	index map[groupKey]int32
	lists [][]sharedIn // by group
	ports map[string]int32
	buf   []byte
}

func newGroups() groups {
	return groups{index: make(map[groupKey]int32), ports: make(map[string]int32)}
}

// intern gives each Service with a sharing key its group and its set of ports a number.
func (p *planner) intern() {
	g := &p.groups
	for i := range p.svcs {
		s := &p.svcs[i]
		if s.SharingKey == "" {
			continue
		}
		k := groupKey{s.SharingKey, s.BackendKey}
		n, found := g.index[k]
		if !found {
			n = int32(len(g.lists))
			g.index[k] = n
			g.lists = append(g.lists, nil)
		}
		s.group = n
		s.ports = g.portSet(s.Ports)
	}
}

func (g *groups) portSet(ports []lb.Port) int32 {
	g.buf = g.buf[:0]
	for _, port := range ports {
		g.buf = append(g.buf, port.Protocol...)
		g.buf = append(g.buf, 0)
		g.buf = binary.BigEndian.AppendUint16(g.buf, port.Number)
	}
	n, found := g.ports[string(g.buf)]
	if !found {
		n = int32(len(g.ports))
		g.ports[string(g.buf)] = n
	}
	return n
}

func (g *groups) in(group, pool int32, f family) *sharedIn {
	for n := range g.lists[group] {
		if l := &g.lists[group][n]; l.pool == pool && l.family == f {
			return l
		}
	}
	return nil
}

// note adds a place during tally; sort must follow before anything is looked up.
func (g *groups) note(group, pool int32, f family, at place) {
	l := g.in(group, pool, f)
	if l == nil {
		g.lists[group] = append(g.lists[group], sharedIn{pool: pool, family: f, passed: make(map[int32]place)})
		l = &g.lists[group][len(g.lists[group])-1]
	}
	l.places = append(l.places, at)
}

func (g *groups) sort() {
	for _, lists := range g.lists {
		for n := range lists {
			slices.SortFunc(lists[n].places, place.compare)
		}
	}
}

// add adds the place that a Service with the set of ports own has just taken. Other sets that
// already passed it must look at it; own does not fit beside itself.
func (g *groups) add(group, pool int32, f family, at place, own int32) {
	l := g.in(group, pool, f)
	if l == nil {
		g.note(group, pool, f, at)
		return
	}
	n := sort.Search(len(l.places), func(n int) bool { return l.places[n].compare(at) > 0 })
	l.places = slices.Insert(l.places, n, at)
	if n == len(l.places)-1 {
		return
	}
	for c, passed := range l.passed {
		if c != own && passed.compare(at) > 0 {
			delete(l.passed, c)
		}
	}
}

// forget removes a place when its last Service has left it; in any case others may fit now.
func (g *groups) forget(group, pool int32, f family, at place, last bool) {
	if group == none {
		return
	}
	l := g.in(group, pool, f)
	clear(l.passed)
	if n, found := slices.BinarySearchFunc(l.places, at, place.compare); last && found {
		l.places = slices.Delete(l.places, n, n+1)
	}
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
		l.passed[s.ports] = l.places[n-1]
	}
	if n == len(l.places) || l.places[n].compare(limit) >= 0 {
		return place{}, false
	}
	return l.places[n], true
}
