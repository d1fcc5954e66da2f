// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/clarion-lb/clarion/internal/elect"
	"github.com/clarion-lb/clarion/internal/lb"
)

// group is one address with all the Services that share it: they have one owner, so they
// are decided together.
type group struct {
	addr    netip.Addr
	members []member
	// live are the members that somebody may announce, set the nodes that may own the
	// address and owner the one that does, "" when none can.
	live  []member
	set   elect.Set
	owner string
}

// member is one Service of a group.
type member struct {
	svc *lb.Service
	why int // index in Desired.Why
	// class is nil when reason says why the Service cannot be announced by any node.
	class  *class
	reason lb.Reason
}

// explanations returns one empty entry for each address of each Service.
func (f *facts) explanations() []Explanation {
	out := make([]Explanation, 0, f.places())
	for i := range f.services {
		for _, a := range f.services[i].Assigned {
			out = append(out, Explanation{Service: f.services[i].Key, Addr: a.Unmap()})
		}
	}
	return out
}

// places counts the addresses of all Services.
func (f *facts) places() int { return places(f.services) }

func places(services []lb.Service) int {
	n := 0
	for i := range services {
		n += len(services[i].Assigned)
	}
	return n
}

// groups gathers the Services by address, in the order in which addresses are first met.
// Their members are in the order of the snapshot.
func (f *facts) groups() []group {
	n := f.places()
	out, at := make([]group, 0, n), make(map[netip.Addr]int, n)
	members := make([]member, 0, n) // one allocation for all groups of one member
	for i := range f.services {
		svc := &f.services[i]
		for _, a := range svc.Assigned {
			a = a.Unmap()
			members = append(members, f.member(svc, a, len(members)))
			last := members[len(members)-1:]
			if g, ok := at[a]; ok {
				out[g].members = append(out[g].members, last[0])
				continue
			}
			at[a] = len(out)
			out = append(out, group{addr: a, members: slices.Clip(last)})
		}
	}
	return out
}

// member decides what does not depend on the node: whether anybody may announce the address
// for the Service.
func (f *facts) member(svc *lb.Service, addr netip.Addr, why int) member {
	m := member{svc: svc, why: why}
	pool, ok := f.poolOf(addr)
	if !ok {
		m.reason = lb.NoPool
		return m
	}
	c := f.classOf(pool, svc, lb.FamilyOf(addr))
	switch {
	case c == nil:
		m.reason = lb.NoMatchingAdvertisement
	case svc.SharingKey != "" && c.selective:
		// The advertisement may not select the other Services of the address, which would
		// then be announced against its author's will.
		m.reason = lb.SharedIPWithServiceSelector
	case svc.Endpoints.Usable == 0:
		m.reason = lb.NoEndpoints
	default:
		m.class = c
	}
	return m
}

// serves says whether a node may announce for the Service and can forward to it.
func (f *facts) serves(m *member, n int) bool { return f.nodes[n].reason == "" && f.fits(m, n) }

// fits says what serves does as far as it depends on the Service.
func (f *facts) fits(m *member, n int) bool {
	return m.class.selects[n] && (!m.svc.LocalOnly || m.svc.Endpoints.Local[f.nodes[n].name] > 0)
}

// verdict says why a node does not serve the member, NotOwner when it does.
func (f *facts) verdict(m *member, n int) lb.Reason {
	switch {
	case n < 0:
		return lb.NoSpeaker
	case f.nodes[n].reason != "":
		return f.nodes[n].reason
	case !m.class.selects[n]:
		return lb.NoMatchingAdvertisement
	case !f.serves(m, n):
		return lb.NoLocalEndpoints
	case !m.class.reaches[n]:
		return lb.NoInterface
	default:
		return lb.NotOwner
	}
}

// key is the address that the election hashes: the first one of the Service, so that both
// addresses of a dual-stack Service have one owner. Of Services that share an address the
// oldest one counts, so that a newcomer moves nothing.
func (g *group) key() netip.Addr {
	oldest := g.members[0].svc
	for i := range g.members[1:] {
		svc := g.members[1+i].svc
		if cmp.Or(svc.Created.Compare(oldest.Created), svc.Key.Compare(oldest.Key)) < 0 {
			oldest = svc
		}
	}
	return oldest.Assigned[0].Unmap()
}

// findLive fills live.
func (g *group) findLive() {
	dead := func(m member) bool { return m.class == nil }
	if g.live = g.members; slices.ContainsFunc(g.members, dead) {
		g.live = slices.DeleteFunc(slices.Clone(g.members), dead)
	}
}

// candidates returns the nodes among which the owner of the address is elected.
func (f *facts) candidates(live []member) elect.Set {
	if len(live) == 1 {
		m := &live[0]
		if !m.svc.LocalOnly {
			return m.class.eligible
		}
		return f.elector.Set(m.class.reaching(f, f.localCandidates(m)))
	}
	return f.elector.Set(f.sharedCandidates(live))
}

// localCandidates are the eligible nodes with an endpoint of the Service. The order does not
// matter to the election.
func (f *facts) localCandidates(m *member) []lb.Candidate {
	var out []lb.Candidate
	for name, endpoints := range m.svc.Endpoints.Local {
		if n, ok := f.index[name]; ok && endpoints > 0 && m.class.allows(f, n) {
			out = append(out, f.candidate(n, m.class.weight))
		}
	}
	return out
}

// sharedCandidates are the nodes that serve the most of the Services that share an address:
// all of them where that is possible. An address has one owner, and a node that serves none
// of its Services must not be it.
func (f *facts) sharedCandidates(live []member) []lb.Candidate {
	var ads []int
	for i := range live {
		ads = append(ads, live[i].class.ads...)
	}
	slices.Sort(ads)
	all := f.class(slices.Compact(ads), live[0].class.family)
	var out []lb.Candidate
	most := 1
	for n := range f.nodes {
		served := 0
		for i := range live {
			if f.serves(&live[i], n) {
				served++
			}
		}
		if served > most {
			most, out = served, out[:0]
		}
		if served == most {
			out = append(out, f.candidate(n, all.weight))
		}
	}
	return all.reaching(f, out)
}

// lost says why another node owns an address. A node that does not count itself alive has
// not handed the address over, it was cut off: its own reason comes first.
func (f *facts) lost() lb.Reason {
	if f.self < 0 || f.nodes[f.self].reason == lb.NoSpeaker {
		return lb.NoSpeaker
	}
	return lb.NotOwner
}

// decide writes down what follows for this node from the owner of a group.
func (f *facts) decide(g *group, d *Desired) {
	owner, live := g.owner, g.live
	for i := range g.members {
		e := &d.Why[g.members[i].why]
		e.Owner, e.Reason = owner, g.members[i].reason
	}
	mine := owner == f.selfName && f.self >= 0
	var served []lb.Key
	var ads []int
	for i := range live {
		m, e := &live[i], &d.Why[live[i].why]
		switch {
		case owner != "" && !mine:
			e.Reason = f.lost()
		case mine && f.serves(m, f.self):
			e.Announced, e.Reason = true, lb.NodeAssigned
			served = append(served, m.svc.Key)
			if len(live) > 1 {
				ads = append(ads, m.class.ads...)
			}
		default:
			e.Reason = f.verdict(m, f.self)
		}
	}
	if len(served) == 0 {
		return
	}
	a := lb.Announcement{Addr: g.addr, Services: served, Interfaces: live[0].class.interfaces}
	if len(live) > 1 {
		slices.SortFunc(served, lb.Key.Compare)
		slices.Sort(ads)
		a.Services, a.Interfaces = slices.Compact(served), f.class(slices.Compact(ads), live[0].class.family).interfaces
	}
	a.Withhold = f.withholds(live)
	d.L2 = append(d.L2, a)
}
