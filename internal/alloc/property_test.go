// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package alloc

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"github.com/clarion-lb/clarion/internal/lb"
)

const worlds = 4000

// mayShare is the rule of sharing, written down a second time.
func mayShare(a, b *lb.Service) bool {
	for _, p := range a.Ports {
		if slices.Contains(b.Ports, p) {
			return false
		}
	}
	return a.SharingKey != "" && a.SharingKey == b.SharingKey && a.BackendKey == b.BackendKey
}

func TestI1NobodyIsGivenWhatAnotherHas(t *testing.T) {
	eachWorld(t, worlds, func(t *testing.T, _ *gen, in Input) {
		r := Plan(in)
		holders := map[netip.Addr][]*lb.Service{}
		for n := range in.Services {
			s := &in.Services[n]
			o, _ := r.Outcome(s.Key)
			for _, a := range o.Addrs {
				for _, other := range holders[a] {
					if !mayShare(s, other) {
						t.Errorf("%v is given to %v and %v", a, s.Key, other.Key)
					}
				}
				holders[a] = append(holders[a], s)
			}
		}
	})
}

func TestEveryAddressIsOneThatTheServiceMayHave(t *testing.T) {
	eachWorld(t, worlds, func(t *testing.T, _ *gen, in Input) {
		r := Plan(in)
		for n := range in.Services {
			s := &in.Services[n]
			o, _ := r.Outcome(s.Key)
			seen := map[lb.Family]bool{}
			for _, a := range o.Addrs {
				if f := lb.FamilyOf(a); seen[f] || !slices.Contains(s.Families, f) {
					t.Errorf("%v has a second or useless %v address: %v", s.Key, f, o.Addrs)
				}
				seen[lb.FamilyOf(a)] = true
				if !slices.ContainsFunc(in.Pools, func(p lb.Pool) bool { return p.Contains(a) && p.Allows(s) }) {
					t.Errorf("%v may not have %v", s.Key, a)
				}
			}
			if len(o.Addrs) == 1 && len(s.Families) == 2 && s.Policy == lb.RequireDualStack && s.RequestProblem == "" {
				t.Errorf("%v requires two families and has %v", s.Key, o.Addrs)
			}
			if len(o.Addrs) == 0 && o.Reason == lb.IPAllocated || (o.Reason == lb.IPAllocated) != (o.Message == "") || (o.Pool == "") != (len(o.Addrs) == 0) {
				t.Errorf("%v: %+v", s.Key, o)
			}
		}
	})
}

func TestI2PlanFedItsOwnResultChangesNothing(t *testing.T) {
	eachWorld(t, worlds, func(t *testing.T, _ *gen, in Input) {
		first := Plan(in)
		second := Plan(fedBack(in, first))
		for n, o := range second.Outcomes {
			if o.Changed || o.Cleared != "" || o.Kept != len(o.Addrs) {
				t.Errorf("%v is not left alone: %+v, was %+v", o.Service, o, first.Outcomes[n])
			}
			if events := o.Events(first.Outcomes[n]); len(events) > 0 {
				t.Errorf("%v is told again: %v", o.Service, events)
			}
		}
		if !reflect.DeepEqual(first.Usage, second.Usage) || !reflect.DeepEqual(first.Reserved, second.Reserved) {
			t.Errorf("numbers change:\n%+v\n%+v\n%+v\n%+v", first.Usage, second.Usage, first.Reserved, second.Reserved)
		}
	})
}

func TestI2NewServicesAndPoolsMoveNobody(t *testing.T) {
	eachWorld(t, worlds, func(t *testing.T, g *gen, in Input) {
		settled := Plan(in)
		grown := fedBack(in, settled)
		for n := range 4 {
			s := g.service(100+n, grown.Pools)
			s.Assigned, s.AssignedPool = nil, ""
			s.Created = epoch.AddDate(-1, 0, 0) // even if they are older
			grown.Services = append(grown.Services, s)
		}
		more := g.pool(len(in.Pools))
		more.Name = "another"
		grown.Pools = append(slices.Clone(grown.Pools), more)
		after := Plan(grown)
		for _, before := range settled.Outcomes {
			o, _ := after.Outcome(before.Service)
			if o.Kept != len(before.Addrs) || !slices.Equal(o.Addrs[:o.Kept], before.Addrs) || o.Cleared != "" {
				t.Errorf("%v had %v, now %v (%s)", o.Service, before.Addrs, o.Addrs, o.Cleared)
			}
		}
	})
}

func TestI3TheOrderOfTheInputDoesNotMatter(t *testing.T) {
	eachWorld(t, worlds, func(t *testing.T, g *gen, in Input) {
		want := Plan(in)
		mixed := in
		mixed.Pools, mixed.Services, mixed.Reserved = slices.Clone(in.Pools), slices.Clone(in.Services), slices.Clone(in.Reserved)
		g.Shuffle(len(mixed.Pools), func(a, b int) { mixed.Pools[a], mixed.Pools[b] = mixed.Pools[b], mixed.Pools[a] })
		g.Shuffle(len(mixed.Services), func(a, b int) { mixed.Services[a], mixed.Services[b] = mixed.Services[b], mixed.Services[a] })
		g.Shuffle(len(mixed.Reserved), func(a, b int) { mixed.Reserved[a], mixed.Reserved[b] = mixed.Reserved[b], mixed.Reserved[a] })
		if got := Plan(mixed); !reflect.DeepEqual(got, want) {
			t.Errorf("shuffled input gives\n%+v\nnot\n%+v", got, want)
		}
	})
}

func TestThoseWhoWaitTakeNothingFromThoseWhoHave(t *testing.T) {
	eachWorld(t, worlds, func(t *testing.T, _ *gen, in Input) {
		with := Plan(in)
		alone := in
		alone.Services = slices.DeleteFunc(slices.Clone(in.Services), func(s lb.Service) bool { return len(s.Assigned) == 0 })
		alone.Reserved, alone.Last = nil, nil
		for _, want := range Plan(alone).Outcomes {
			got, _ := with.Outcome(want.Service)
			if n := slices.IndexFunc(in.Services, func(s lb.Service) bool { return s.Key == want.Service }); len(in.Services[n].Families) == 2 &&
				in.Services[n].Policy != lb.PreferDualStack && want.Kept < 2 {
				continue // what it has is worth nothing to it unless it gets the rest
			}
			if got.Kept != want.Kept || !slices.Equal(got.Addrs[:got.Kept], want.Addrs[:want.Kept]) {
				t.Errorf("%v would keep %v, with others %v", want.Service, want.Addrs[:want.Kept], got.Addrs[:got.Kept])
			}
		}
	})
}

func TestPlanDoesNotChangeItsInput(t *testing.T) {
	eachWorld(t, worlds/4, func(t *testing.T, _ *gen, in Input) {
		before := fmt.Sprintf("%+v", in)
		r := Plan(in)
		for n := range r.Outcomes {
			// Growing a result must not write into the input, whose memory it shares.
			_ = append(r.Outcomes[n].Addrs, netip.IPv4Unspecified())
		}
		if after := fmt.Sprintf("%+v", in); after != before {
			t.Errorf("input changed from\n%s\nto\n%s", before, after)
		}
	})
}

// I7: a program that has just started knows of nothing that was freed.
func TestI7WhatWasBeforeUnknownFreesNothing(t *testing.T) {
	eachWorld(t, worlds/4, func(t *testing.T, _ *gen, in Input) {
		in.Last, in.Reserved = nil, nil
		had := map[netip.Addr]bool{}
		for _, s := range in.Services {
			for _, a := range s.Assigned {
				had[a] = true
			}
		}
		for _, r := range Plan(in).Reserved {
			if !had[r.Addr] {
				t.Errorf("%v is held back for %v, and nobody had it", r.Addr, r.Service)
			}
			if !r.Cooldown {
				t.Errorf("%v is reserved for %v, who is not known to be gone", r.Addr, r.Service)
			}
		}
	})
}
