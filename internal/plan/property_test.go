// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/lb"
)

// seeds is how many random clusters each property is tried on.
const seeds = 1500

// randomCluster returns a small cluster in which every rule has something to decide.
func randomCluster(r *rand.Rand) (lb.Snapshot, lb.View) {
	s := lb.Snapshot{Pools: []lb.Pool{
		{Name: "p", Ranges: []lb.Range{newRange("192.0.2.0", "192.0.2.19"), newRange("2001:db8::", "2001:db8::ff")}},
		{Name: "q", Ranges: []lb.Range{newRange("192.0.2.20", "192.0.2.29")}},
	}}
	v := lb.View{Known: true, All: r.IntN(8) == 0}
	for i := range 1 + r.IntN(6) {
		n := lb.Node{Name: fmt.Sprintf("n%d", i), NetworkUnavailable: r.IntN(12) == 0, ExcludedFromLB: r.IntN(12) == 0,
			Labels: map[string]string{"name": fmt.Sprintf("n%d", i)}}
		s.Nodes = append(s.Nodes, n)
		if r.IntN(6) > 0 {
			v.Members = append(v.Members, n.Name)
		}
	}
	for i := range 1 + r.IntN(3) {
		s.L2 = append(s.L2, randomAdvertisement(r, fmt.Sprintf("ad%d", i)))
	}
	for i := range r.IntN(25) {
		s.Services = append(s.Services, randomService(r, fmt.Sprintf("s%02d", i)))
	}
	if r.IntN(3) == 0 {
		v.Leaving = v.Members[:r.IntN(len(v.Members)+1)]
	}
	v.Settled = r.IntN(2) == 0
	v.Interfaces = map[string]lb.Usable{}
	for _, n := range v.Members {
		if r.IntN(3) == 0 {
			names := [][]string{{}, {"eth0"}, {"eth0", "eth1"}}
			v.Interfaces[n] = lb.Usable{IPv4: names[r.IntN(3)], IPv6: names[r.IntN(3)]}
		}
	}
	v.Owners = map[netip.Addr]string{}
	for _, svc := range s.Services {
		for _, a := range svc.Assigned {
			if r.IntN(2) == 0 {
				v.Owners[a] = fmt.Sprintf("n%d", r.IntN(6))
			}
		}
	}
	return s, v
}

func randomAdvertisement(r *rand.Rand, name string) lb.L2Advertisement {
	a := lb.L2Advertisement{Name: name, Pools: [][]string{{"p"}, {"p", "q"}, {"q"}}[r.IntN(3)]}
	if r.IntN(3) == 0 {
		a.Nodes = onNodes(fmt.Sprintf("n%d", r.IntN(6)), fmt.Sprintf("n%d", r.IntN(6)), fmt.Sprintf("n%d", r.IntN(6)))
	}
	if r.IntN(3) == 0 {
		a.Preferred = []lb.PreferredNodes{{Weight: 1 + r.IntN(3), Nodes: onNodes(fmt.Sprintf("n%d", r.IntN(6)))[0]}}
	}
	if r.IntN(4) == 0 {
		a.Services = lb.Selectors{{{Key: "tier", Op: lb.In, Values: []string{"0"}}}}
	}
	a.Elects = r.IntN(2) == 0
	a.Election = lb.Election{Balanced: r.IntN(4) == 0, Sticky: r.IntN(4) == 0}
	if a.Election.Sticky {
		a.Election.Rebalance, a.Election.MoveBackAfter = r.IntN(4) == 0, time.Duration(r.IntN(2))*time.Minute
	}
	if r.IntN(4) == 0 {
		a.Interfaces = []string{fmt.Sprintf("eth%d", r.IntN(3))}
	}
	return a
}

func randomService(r *rand.Rand, name string) lb.Service {
	s := newService(name)
	s.Created = epoch.Add(time.Duration(r.IntN(3)) * time.Second)
	s.Labels = map[string]string{"tier": fmt.Sprint(r.IntN(2))}
	s.SharingKey = []string{"", "k"}[r.IntN(2)]
	v4 := netip.AddrFrom4([4]byte{192, 0, 2, byte(r.IntN(32))})
	v6 := netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 15: byte(r.IntN(20))})
	s.Assigned = [][]netip.Addr{nil, {v4}, {v4}, {v6}, {v4, v6}, {v6, v4}}[r.IntN(6)]
	s.LocalOnly = r.IntN(3) == 0
	s.Endpoints = lb.Endpoints{Known: true, Local: map[string]int{}}
	for range r.IntN(4) {
		s.Endpoints.Usable++
		if r.IntN(5) > 0 {
			s.Endpoints.Local[fmt.Sprintf("n%d", r.IntN(6))]++
		}
	}
	return s
}

func eachSeed(t *testing.T, check func(t *testing.T, r *rand.Rand, s lb.Snapshot, v lb.View)) {
	t.Helper()
	for seed := range uint64(seeds) {
		r := rand.New(rand.NewPCG(seed, 7))
		s, v := randomCluster(r)
		check(t, r, s, v)
		if t.Failed() {
			t.Fatalf("seed %d: nodes %v, view %+v", seed, len(s.Nodes), v)
		}
	}
}

// I4, first half, and I5: with equal views each address has exactly the owner that everybody
// names, and nobody else announces it.
func TestI4EqualViewsElectExactlyOneOwner(t *testing.T) {
	announced := 0
	eachSeed(t, func(t *testing.T, _ *rand.Rand, s lb.Snapshot, v lb.View) {
		by := owners(s, v)
		for _, n := range s.Nodes {
			for _, e := range ForNode(n.Name, s, v).Why {
				switch who := by[e.Addr]; {
				case e.Owner == "" && len(who) > 0, e.Owner != "" && !slices.Equal(who, []string{e.Owner}):
					t.Errorf("%s says %s owns %s, announced by %v", n.Name, e.Owner, e.Addr, who)
				case e.Owner != "":
					announced++
				}
			}
		}
		for addr, who := range by {
			if alive := slices.Contains(v.Members, who[0]) || v.All; !alive {
				t.Errorf("%s is announced by %s, which is not alive", addr, who[0])
			}
		}
	})
	if announced < seeds {
		t.Errorf("the random clusters announce next to nothing: %d", announced)
	}
}

// I4, second half. What has an option has been recorded by then.
func TestI4RemovingANonOwnerChangesNoOwner(t *testing.T) {
	eachSeed(t, func(t *testing.T, r *rand.Rand, s lb.Snapshot, v lb.View) {
		if len(v.Members) == 0 || v.All {
			return
		}
		gone := v.Members[r.IntN(len(v.Members))]
		v.Owners = recordOf(owners(s, v))
		before := owners(s, v)
		v.Members = slices.DeleteFunc(slices.Clone(v.Members), func(m string) bool { return m == gone })
		after := owners(s, v)
		for addr, who := range before {
			if who[0] != gone && !slices.Equal(after[addr], who) {
				t.Errorf("%s left, yet %s moved from %v to %v", gone, addr, who, after[addr])
			}
		}
		for addr, who := range after {
			if len(before[addr]) == 0 {
				t.Errorf("%s left, and %s came to %v", gone, addr, who)
			}
		}
	})
}

func recordOf(by map[netip.Addr][]string) map[netip.Addr]string {
	out := map[netip.Addr]string{}
	for a, who := range by {
		out[a] = who[0]
	}
	return out
}

// claimUntilQuiet lets every node enter its claims, one after the other in random order, and
// returns how many were made; -1 when there is no end.
func claimUntilQuiet(r *rand.Rand, s lb.Snapshot, v lb.View) int {
	total := 0
	for range 50 {
		made := 0
		for _, i := range r.Perm(len(s.Nodes)) {
			for _, a := range ForNode(s.Nodes[i].Name, s, v).Claims {
				v.Owners[a] = s.Nodes[i].Name
				made++
			}
		}
		if made == 0 {
			return total
		}
		total += made
	}
	return -1
}

// Claims come to an end, and then the record names the announcers of all addresses that have
// an option. Without options nobody claims.
func TestClaimsComeToRest(t *testing.T) {
	claims := 0
	eachSeed(t, func(t *testing.T, r *rand.Rand, s lb.Snapshot, v lb.View) {
		made := claimUntilQuiet(r, s, v)
		options := slices.ContainsFunc(s.L2, func(a lb.L2Advertisement) bool { return a.Elects && a.Election.Options() }) && !v.All
		if made < 0 || made > 0 && !options {
			t.Errorf("%d claims, options %v", made, options)
		}
		claims += max(0, made)
		if !v.All && !slices.ContainsFunc(s.L2, func(a lb.L2Advertisement) bool { return !a.Elects || !a.Election.Options() }) {
			if by := recordOf(owners(s, v)); !contains(v.Owners, by) {
				t.Errorf("recorded %v, announced %v", v.Owners, by)
			}
		}
	})
	if claims < seeds/10 {
		t.Errorf("only %d claims in all", claims)
	}
}

func contains(all, some map[netip.Addr]string) bool {
	for a, o := range some {
		if all[a] != o {
			return false
		}
	}
	return true
}

// The record that follows from a plan confirms it, whatever the options.
func TestPlanIsStableOnceRecorded(t *testing.T) {
	eachSeed(t, func(t *testing.T, _ *rand.Rand, s lb.Snapshot, v lb.View) {
		before := owners(s, v)
		v.Owners = recordOf(before)
		if after := owners(s, v); !reflect.DeepEqual(after, before) {
			t.Errorf("recorded %v, then %v", before, after)
		}
	})
}

// I3: the order of what the loop lists does not matter, nor what it planned before.
func TestI3OrderAndHistoryDoNotMatter(t *testing.T) {
	var p Planner
	eachSeed(t, func(t *testing.T, r *rand.Rand, s lb.Snapshot, v lb.View) {
		self := s.Nodes[r.IntN(len(s.Nodes))].Name
		want := ForNode(self, s, v)
		if got := p.ForNode(self, s, v); !reflect.DeepEqual(got, want) {
			t.Errorf("with memory %v, without %v", got, want)
		}
		r.Shuffle(len(s.Services), func(i, j int) { s.Services[i], s.Services[j] = s.Services[j], s.Services[i] })
		r.Shuffle(len(s.Nodes), func(i, j int) { s.Nodes[i], s.Nodes[j] = s.Nodes[j], s.Nodes[i] })
		r.Shuffle(len(s.L2), func(i, j int) { s.L2[i], s.L2[j] = s.L2[j], s.L2[i] })
		r.Shuffle(len(s.Pools), func(i, j int) { s.Pools[i], s.Pools[j] = s.Pools[j], s.Pools[i] })
		got := ForNode(self, s, v)
		slices.SortStableFunc(got.Why, func(a, b Explanation) int { return a.Service.Compare(b.Service) })
		if !reflect.DeepEqual(got, want) {
			t.Errorf("shuffled %v\nwant %v", got, want)
		}
		if e := Transitions(want, got); len(e) > 0 {
			t.Errorf("events without a change: %v", e)
		}
	})
}

// What Explain says in detail is what ForNode decides, and every node has a verdict.
func TestExplainAgreesWithForNode(t *testing.T) {
	eachSeed(t, func(t *testing.T, r *rand.Rand, s lb.Snapshot, v lb.View) {
		self := s.Nodes[r.IntN(len(s.Nodes))].Name
		d := ForNode(self, s, v)
		for i := range s.Services {
			key := s.Services[i].Key
			for _, e := range Explain(self, s, v, key) {
				at := slices.IndexFunc(d.Why, func(w Explanation) bool { return w.Service == key && w.Addr == e.Addr })
				if w := d.Why[at]; w.Owner != e.Owner || w.Reason != e.Reason || w.Announced != e.Announced {
					t.Errorf("%v is explained as %v", w, e)
				}
				checkVerdicts(t, s, v, e)
			}
		}
	})
}

func checkVerdicts(t *testing.T, s lb.Snapshot, v lb.View, e Explanation) {
	t.Helper()
	if len(e.Nodes) == 0 {
		whole := []lb.Reason{lb.NoPool, lb.NoMatchingAdvertisement, lb.SharedIPWithServiceSelector, lb.NoEndpoints}
		if !slices.Contains(whole, e.Reason) {
			t.Errorf("%s is %s and has no verdicts", e.Addr, e.Reason)
		}
		return
	}
	if len(e.Nodes) != len(s.Nodes) {
		t.Errorf("%d verdicts for %d nodes", len(e.Nodes), len(s.Nodes))
	}
	for _, n := range e.Nodes {
		if n.Rank == 1 != (n.Node == e.Owner) || n.Reason == "" {
			t.Errorf("owner %s, verdict %+v", e.Owner, n)
		}
		if alive := v.All || slices.Contains(v.Members, n.Node); !alive && n.Reason != lb.NoSpeaker {
			t.Errorf("%s is dead, verdict %+v", n.Node, n)
		}
	}
}
