// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/lb"
)

func TestAViewSettlesOnceItStaysTheSame(t *testing.T) {
	var p Patience
	at := func(s float64) time.Time { return epoch.Add(time.Duration(s * float64(time.Second))) }
	changed := everyone()
	changed.Owners = map[netip.Addr]string{netip.MustParseAddr("192.0.2.1"): "node-b"}
	for _, step := range []struct {
		now     float64
		view    lb.View
		settled bool
		next    float64 // 0: none
		nodes   []lb.Node
	}{
		{0, everyone(), false, 3, nil},
		{2.9, everyone(), false, 3, nil},
		{3, everyone(), true, 0, nil},
		{4, changed, false, 7, nil},
		{5, alive("node-a"), false, 8, nil},
		{8, alive("node-a"), true, 0, nil},
		{8.5, alive("node-a"), false, 11.5, []lb.Node{{Name: "node-b", Leaving: true}}},
		{12, alive("node-a"), true, 0, []lb.Node{{Name: "node-b", Leaving: true, Labels: map[string]string{"a": "b"}}}},
		{13, alive("node-a"), false, 16, []lb.Node{{Name: "node-b"}}},
		{14, lb.View{}, false, 17, []lb.Node{{Name: "node-b"}}},
		{20, lb.View{}, false, 17, []lb.Node{{Name: "node-b"}}}, // an unknown view never settles
	} {
		got := p.Look("node-a", step.view, nil, step.nodes, at(step.now))
		next, ok := p.Next()
		if got.Settled != step.settled || ok != (step.next > 0) || ok && !next.Equal(at(step.next)) {
			t.Errorf("at %v: settled %v, next %v %v", step.now, got.Settled, next, ok)
		}
	}
}

func TestMovingBackWaitsWithoutABreak(t *testing.T) {
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	short, long := MoveBack{a, time.Minute}, MoveBack{b, 5 * time.Minute}
	plan := func(back ...MoveBack) Desired { return Desired{Known: true, Self: "node-a", Back: back} }
	settled, gone := everyone(), alive("node-b")
	settled.Settled = true
	var p Patience
	for _, step := range []struct {
		minute int
		plan   Desired
		view   lb.View
		want   string
	}{
		{0, plan(short, long), settled, "[]"},
		{1, plan(short, long), everyone(), "[]"}, // not settled: neither due nor forgotten
		{2, plan(short, long), settled, "[192.0.2.1]"},
		{3, plan(long), settled, "[]"},
		{4, plan(short, long), settled, "[]"}, // a was away for a moment and begins again
		{5, plan(short, long), settled, "[192.0.2.1 192.0.2.2]"},
		{6, plan(long), gone, "[]"},
		{7, plan(long), settled, "[]"}, // this node was gone and begins again
		{11, plan(long), settled, "[]"},
		{12, plan(long), settled, "[192.0.2.2]"},
	} {
		if got := fmt.Sprint(p.Due(step.plan, step.view, epoch.Add(time.Duration(step.minute)*time.Minute))); got != step.want {
			t.Errorf("minute %d: %s, want %s", step.minute, got, step.want)
		}
	}
}

// What another node should own, and holds back because the address is sticky, is listed for
// that node alone, and claimed at once on the order to rebalance.
func TestStickyAddressesMoveBack(t *testing.T) {
	addr := netip.MustParseAddr("192.0.2.1") // node-c's by hash
	s, v := newCluster(newService("a", "192.0.2.1")), everyone()
	s.L2[0].Elects, s.L2[0].Election = true, lb.Election{Sticky: true, MoveBackAfter: time.Minute}
	v.Owners = map[netip.Addr]string{addr: "node-b"}
	check := func(when, node string, claims, back int) {
		t.Helper()
		if d := ForNode(node, s, v); len(d.Claims) != claims || len(d.Back) != back {
			t.Errorf("%s: %s claims %v and later %v", when, node, d.Claims, d.Back)
		}
	}
	check("not settled", "node-c", 0, 0)
	v.Settled = true
	check("settled", "node-c", 0, 1)
	check("settled", "node-b", 0, 0)
	check("settled", "node-a", 0, 0)
	s.L2[0].Election.Rebalance = true
	check("rebalance", "node-c", 1, 0)
	check("rebalance", "node-b", 0, 0)
	s.L2[0].Election = lb.Election{Sticky: true}
	check("never", "node-c", 0, 0)
}

// A claim of a node that is no member is news of one that comes back, unless it is about an address
// that this node answers for. It counts for a moment, and once in a while.
func TestWhoIsHeardOfBeforeItIsAMemberIsReturning(t *testing.T) {
	addr := netip.MustParseAddr("192.0.2.1")
	owned := func(v lb.View, owner string) lb.View {
		v.Owners = map[netip.Addr]string{addr: owner}
		return v
	}
	rest := func(owner string) lb.View { return owned(alive("node-a", "node-b"), owner) }
	silentOn := func(addrs ...netip.Addr) func(netip.Addr) bool {
		return func(a netip.Addr) bool { return slices.Contains(addrs, a) }
	}
	type step struct {
		now       time.Duration
		view      lb.View
		returning bool
	}
	for name, c := range map[string]struct {
		silent func(netip.Addr) bool
		steps  []step
	}{
		"claimed from another": {silentOn(), []step{
			{0, rest("node-b"), false}, {1, rest("node-c"), true},
			{returnWithin, rest("node-c"), true}, {1 + returnWithin, rest("node-c"), false},
		}},
		"a member in time":               {silentOn(), []step{{0, rest("node-b"), false}, {1, rest("node-c"), true}, {2, owned(everyone(), "node-c"), false}}},
		"claimed from this node":         {silentOn(), []step{{0, rest("node-a"), false}, {1, rest("node-c"), false}}},
		"claimed where this node yields": {silentOn(addr), []step{{0, rest("node-a"), false}, {1, rest("node-c"), true}}},
		"an owner that died":             {silentOn(), []step{{0, owned(everyone(), "node-c"), false}, {1, rest("node-c"), false}}},
		"what is heard first":            {silentOn(), []step{{0, lb.View{}, false}, {1, rest("node-c"), false}}},
		"again and again": {silentOn(), []step{
			{0, rest("node-b"), false}, {1, rest("node-c"), true}, {returnAgain / 2, rest("node-b"), false},
			{returnAgain/2 + 1, rest("node-c"), false}, {returnAgain + 1, rest("node-b"), false}, {returnAgain + 2, rest("node-c"), true},
		}},
	} {
		var p Patience
		for i, s := range c.steps {
			got := p.Look("node-a", s.view, c.silent, nil, epoch.Add(s.now))
			if (len(got.Returning) > 0) != s.returning {
				t.Errorf("%s, step %d: returning %v", name, i, got.Returning)
			}
			if until, ok := p.Next(); s.returning && (!ok || until.After(epoch.Add(s.now+returnWithin))) {
				t.Errorf("%s, step %d: next look %v", name, i, until)
			}
		}
	}
}

// Until the owner of record is a member again nobody else takes a sticky address, unless the owner
// may not have it.
func TestStickyAddressesAreLeftToOneThatReturns(t *testing.T) {
	addr := netip.MustParseAddr("192.0.2.1")
	for name, c := range map[string]struct {
		change func(*lb.Snapshot, *lb.View)
		left   bool
	}{
		"sticky":                    {func(*lb.Snapshot, *lb.View) {}, true},
		"sticky and balanced":       {func(s *lb.Snapshot, _ *lb.View) { s.L2[0].Election.Balanced = true }, true},
		"balanced":                  {func(s *lb.Snapshot, _ *lb.View) { s.L2[0].Election = lb.Election{Balanced: true} }, false},
		"not returning":             {func(_ *lb.Snapshot, v *lb.View) { v.Returning = nil }, false},
		"no node of this name":      {func(_ *lb.Snapshot, v *lb.View) { v.Owners[addr] = "node-x" }, false},
		"the owner is not selected": {func(s *lb.Snapshot, _ *lb.View) { s.L2[0].Nodes = onNodes("node-a", "node-b") }, false},
		"no endpoint on the owner": {func(s *lb.Snapshot, _ *lb.View) {
			s.Services[0].LocalOnly = true
			s.Services[0].Endpoints.Local = map[string]int{"node-a": 1}
		}, false},
	} {
		s, v := newCluster(newService("a", addr.String())), alive("node-a", "node-b")
		s.L2[0].Elects, s.L2[0].Election = true, lb.Election{Sticky: true}
		v.Owners, v.Returning = map[netip.Addr]string{addr: "node-c"}, []netip.Addr{addr}
		c.change(&s, &v)
		claimed := false
		for _, node := range v.Members {
			d := ForNode(node, s, v)
			claimed = claimed || len(d.Claims)+len(d.L2) > 0
			if !slices.Equal(d.Recorded, []netip.Addr{addr}) {
				t.Errorf("%s: %s has %v recorded", name, node, d.Recorded)
			}
		}
		if claimed == c.left {
			t.Errorf("%s: claimed by another: %v", name, claimed)
		}
	}
}
