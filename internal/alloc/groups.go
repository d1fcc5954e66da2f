// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package alloc

import (
	"cmp"
	"encoding/binary"
	"slices"
	"sort"

	"github.com/clarion-lb/clarion/internal/lb"
)

// groupKey is what Services on one address have in common.
type groupKey struct{ sharing, backend string }

// sharedIn are the addresses that a sharing group uses in one pool, one family.
type sharedIn struct {
	poolFamily
	places []place // sorted
	// passed is, for each set of ports, the last place that is known not to fit, like all
	// before it. Addresses only fill up, so nobody looks twice at what did not fit once.
	passed map[int32]place
}

func (l *sharedIn) pass(ports int32, at place) {
	if l.passed == nil {
		l.passed = make(map[int32]place)
	}
	l.passed[ports] = at
}

// group is where one group is.
type group struct {
	in   []sharedIn // sorted by pool and family
	last int        // the one that was found last, which the next Service mostly asks for
}

// groups finds the addresses that are used with a sharing key.
type groups struct {
	index map[groupKey]int32
	list  []group
	sets  map[string]int32 // sets of more or fewer than one port
	other []lb.Protocol    // protocols that Kubernetes did not have when this was written
	buf   []byte
}

func newGroups() groups {
	return groups{index: make(map[groupKey]int32), sets: make(map[string]int32)}
}

// intern gives each Service with a sharing key its group and its set of ports a number.
func (p *planner) intern() {
	g := &p.groups
	var last groupKey // neighbours often have the same
	n := none
	for i := range p.svcs {
		s := &p.svcs[i]
		if s.SharingKey == "" {
			continue
		}
		if k := (groupKey{s.SharingKey, s.BackendKey}); n == none || k != last {
			n, last = g.number(k), k
		}
		s.group = n
		s.ports = g.portSet(s.Ports)
	}
}

func (g *groups) number(k groupKey) int32 {
	n, found := g.index[k]
	if !found {
		n = int32(len(g.list))
		g.index[k] = n
		g.list = append(g.list, group{})
	}
	return n
}

// code is a port as a number below manyPorts.
func (g *groups) code(port lb.Port) int32 {
	protocol := 0
	switch port.Protocol {
	case "TCP":
	case "UDP":
		protocol = 1
	case "SCTP":
		protocol = 2
	default:
		protocol = slices.Index(g.other, port.Protocol)
		if protocol < 0 {
			protocol = len(g.other)
			g.other = append(g.other, port.Protocol)
		}
		protocol += 3
	}
	return int32(protocol)<<16 | int32(port.Number)
}

// manyPorts is the first number of a set that is not one port; a set of one is its code.
const manyPorts = 1 << 30

func (g *groups) portSet(ports []lb.Port) int32 {
	if len(ports) == 1 {
		return g.code(ports[0])
	}
	g.buf = g.buf[:0]
	for _, port := range ports {
		g.buf = binary.BigEndian.AppendUint32(g.buf, uint32(g.code(port)))
	}
	n, found := g.sets[string(g.buf)]
	if !found {
		n = manyPorts + int32(len(g.sets))
		g.sets[string(g.buf)] = n
	}
	return n
}

// codes is a sorted list of ports: those of all Services on one address.
type codes []int32

func (c codes) has(code int32) bool {
	_, found := slices.BinarySearch(c, code)
	return found
}

func (c *codes) add(code int32) {
	if n, found := slices.BinarySearch(*c, code); !found {
		*c = slices.Insert(*c, n, code)
	}
}

func (c *codes) addPorts(g *groups, s *svc) {
	if s.group != none && s.ports < manyPorts {
		c.add(s.ports)
		return
	}
	for _, port := range s.Ports {
		c.add(g.code(port))
	}
}

// search returns where the addresses of a group in a pool are, or would be inserted.
func (g *group) search(k poolFamily) (int, bool) {
	if g.last < len(g.in) && g.in[g.last].poolFamily == k {
		return g.last, true
	}
	n, found := slices.BinarySearchFunc(g.in, k, func(l sharedIn, k poolFamily) int { return l.compare(k) })
	if found {
		g.last = n
	}
	return n, found
}

func (k poolFamily) compare(o poolFamily) int {
	return cmp.Or(cmp.Compare(k.pool, o.pool), cmp.Compare(k.family, o.family))
}

func (g *groups) in(group, pool int32, f family) *sharedIn {
	own := &g.list[group]
	if n, found := own.search(poolFamily{pool, f}); found {
		return &own.in[n]
	}
	return nil
}

// note adds a place during tally; sort must follow before anything is looked up.
func (g *groups) note(group, pool int32, f family, at place) {
	own, k := &g.list[group], poolFamily{pool, f}
	n, found := own.search(k)
	if !found {
		own.in = slices.Insert(own.in, n, sharedIn{poolFamily: k})
	}
	own.in[n].places = append(own.in[n].places, at)
}

func (g *groups) sort() {
	for _, own := range g.list {
		for n := range own.in {
			slices.SortFunc(own.in[n].places, place.compare)
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
