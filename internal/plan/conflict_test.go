// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/clarion-lb/clarion/internal/lb"
)

const strangerMAC = "02:00:00:00:00:99"

func stranger(addr string, withheld bool) lb.Rival {
	return lb.Rival{Addr: netip.MustParseAddr(addr), Link: "eth0", MAC: strangerMAC, Withheld: withheld}
}

// reasons are the events that a change deserves: "service reason".
func reasons(prev, next Desired) []string {
	var out []string
	for _, e := range Transitions(prev, next) {
		out = append(out, e.Service.Name+" "+string(e.Reason))
	}
	return out
}

func TestAForeignHostIsToldOnceForEachServiceAndChange(t *testing.T) {
	one, two := newService("one", "192.0.2.1"), newService("two", "192.0.2.1")
	s := newCluster(one, two)
	self := ForNode("node-a", s, everyone()).Why[0].Owner
	calm := ForNode(self, s, everyone())
	seen := WithConflicts(calm, []lb.Rival{stranger("192.0.2.1", false), stranger("192.0.2.9", false)})
	held := WithConflicts(calm, []lb.Rival{stranger("192.0.2.1", true)})
	gone := ForNode(self, newCluster(), everyone())
	for name, c := range map[string]struct {
		prev, next Desired
		want       []string
	}{
		"seen":                 {calm, seen, []string{"one AddressConflict", "two AddressConflict"}},
		"no news":              {seen, seen, nil},
		"withheld":             {seen, held, []string{"one AddressConflict", "two AddressConflict"}},
		"the host is gone":     {held, calm, []string{"one ConflictResolved", "two ConflictResolved"}},
		"the Service is gone":  {held, gone, nil},
		"an unknown plan next": {held, Desired{}, nil},
	} {
		if diff := cmp.Diff(c.want, reasons(c.prev, c.next)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	for _, st := range L2Statuses(held) {
		if !strings.Contains(st.Conflict, strangerMAC) || !strings.Contains(st.Conflict, "withheld") {
			t.Errorf("status says %q", st.Conflict)
		}
	}
	if st := L2Statuses(calm); st[0].Conflict != "" {
		t.Errorf("status says %q", st[0].Conflict)
	}
}

func TestASpeakerIsNoForeignHost(t *testing.T) {
	s := newCluster(newService("one", "192.0.2.1"))
	self := ForNode("node-a", s, everyone()).Why[0].Owner
	r := stranger("192.0.2.1", false)
	r.Node = "node-x"
	if d := WithConflicts(ForNode(self, s, everyone()), []lb.Rival{r}); len(d.Conflicts) != 0 {
		t.Errorf("conflicts %+v", d.Conflicts)
	}
}

func TestOneAdvertisementThatWithholdsIsEnough(t *testing.T) {
	s := newCluster(newService("one", "192.0.2.1"))
	s.L2 = append(s.L2, lb.L2Advertisement{Name: "shy", Pools: []string{"p"}, Withhold: true})
	self := ForNode("node-a", s, everyone()).Why[0].Owner
	if d := ForNode(self, s, everyone()); !d.L2[0].Withhold {
		t.Errorf("announces %+v", d.L2[0])
	}
}

// A partition splits the cluster; both halves own every address. As soon as two owners hear
// of each other, exactly one gives in, whoever hears it first, and without any gossip.
func TestOfTwoOwnersExactlyOneGivesIn(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	nodes := everyone().Members
	for seed := range 300 {
		s := newCluster(newService("one", fmt.Sprintf("192.0.2.%d", 1+rng.IntN(250)), fmt.Sprintf("2001:db8::%x", 1+rng.IntN(250))))
		s.L2[0].Elects, s.L2[0].Election = true, lb.Election{Balanced: rng.IntN(2) == 0, Sticky: rng.IntN(2) == 0}
		if rng.IntN(2) == 0 {
			s.L2[0].Preferred = []lb.PreferredNodes{{Weight: 10, Nodes: onNodes(nodes[rng.IntN(5)])[0]}}
		}
		rng.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
		cut := 1 + rng.IntN(4)
		left, right := slices.Sorted(slices.Values(nodes[:cut])), slices.Sorted(slices.Values(nodes[cut:]))
		for _, addr := range s.Services[0].Assigned {
			a, b := ownerOf(s, alive(left...), addr), ownerOf(s, alive(right...), addr)
			yieldA, insistA := Settle(a, s, alive(left...), []lb.Rival{{Addr: addr, Node: b}})
			yieldB, insistB := Settle(b, s, alive(right...), []lb.Rival{{Addr: addr, Node: a}})
			if len(yieldA)+len(yieldB) != 1 || len(insistA)+len(insistB) != 1 || len(yieldA) == len(insistA) {
				t.Fatalf("seed %d: %s of %v yields %v, %s of %v yields %v", seed, a, left, yieldA, b, right, yieldB)
			}
		}
	}
}

func ownerOf(s lb.Snapshot, v lb.View, addr netip.Addr) string {
	for _, e := range ForNode(v.Members[0], s, v).Why {
		if e.Addr == addr {
			return e.Owner
		}
	}
	return ""
}

func TestNobodyStepsBackForASpeakerThatItTalksToOrThatCannotOwn(t *testing.T) {
	s := newCluster(newService("one", "192.0.2.1"))
	addr := s.Services[0].Assigned[0]
	for _, self := range everyone().Members {
		for _, other := range everyone().Members {
			yield, insist := Settle(self, s, everyone(), []lb.Rival{{Addr: addr, Node: other}})
			if len(yield) != 0 || (len(insist) == 0) != (self == other) {
				t.Errorf("%s against %s: yields %v, insists on %v", self, other, yield, insist)
			}
		}
		yield, insist := Settle(self, s, alive(self), []lb.Rival{{Addr: addr, Node: "node-x"}, stranger("192.0.2.1", false)})
		if len(yield) != 0 || !slices.Equal(insist, []netip.Addr{addr}) {
			t.Errorf("against a node that is not in the cluster: yields %v, insists on %v", yield, insist)
		}
	}
}

// What is kept against a speaker beyond the gossip is claimed anew, once for each such speaker.
func TestWhatIsKeptIsClaimedAnewOnce(t *testing.T) {
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	against := func(addr netip.Addr, node string) lb.Rival { return lb.Rival{Addr: addr, Node: node} }
	var k Kept
	for i, step := range []struct {
		insist []netip.Addr
		rivals []lb.Rival
		want   []netip.Addr
	}{
		{[]netip.Addr{a, b}, []lb.Rival{against(a, "node-x"), against(b, "node-b")}, []netip.Addr{a}}, // b: against a member
		{[]netip.Addr{a, b}, []lb.Rival{against(a, "node-x"), against(b, "node-b")}, nil},
		{[]netip.Addr{a}, []lb.Rival{against(a, "node-y")}, []netip.Addr{a}},
		{nil, []lb.Rival{against(a, "node-x")}, nil}, // stepped back
		{[]netip.Addr{a}, []lb.Rival{against(a, "")}, nil},
		{[]netip.Addr{a}, []lb.Rival{against(a, "node-y")}, []netip.Addr{a}},
	} {
		if got := k.Of(step.insist, alive("node-a", "node-b"), step.rivals); !slices.Equal(got, step.want) {
			t.Errorf("step %d: claims %v, want %v", i, got, step.want)
		}
	}
}

func TestOnlyWhatNobodyCanHaveAnnouncedIsNew(t *testing.T) {
	const self = "node-a"
	mine := func(addrs ...string) lb.Snapshot { // node-a alone may announce
		s := newCluster()
		for _, a := range addrs {
			s.Services = append(s.Services, newService("s"+a, a))
		}
		s.L2[0].Nodes = onNodes(self)
		return s
	}
	var n Newcomers
	step := func(what string, s lb.Snapshot, v lb.View, want ...string) {
		t.Helper()
		got := []string{}
		for _, a := range n.Of(ForNode(self, s, v)) {
			got = append(got, a.String())
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
	step("an unknown plan says nothing", mine("192.0.2.1"), lb.View{})
	step("what is there at the start is not new", mine("192.0.2.1"), everyone())
	step("a new address", mine("192.0.2.1", "192.0.2.2"), everyone(), "192.0.2.2")
	step("only once", mine("192.0.2.1", "192.0.2.2"), everyone())
	idle := mine("192.0.2.3")
	idle.Services[0].Endpoints.Usable = 0
	step("without endpoints nobody announces it", idle, everyone())
	step("and it is new when somebody does", mine("192.0.2.3"), everyone(), "192.0.2.3")
	theirs := mine("192.0.2.3", "192.0.2.4")
	theirs.L2[0].Nodes = onNodes("node-b")
	step("another node has it first", theirs, everyone())
	step("then it is taken over", mine("192.0.2.3", "192.0.2.4"), everyone())
	step("given back", mine(), everyone())
	step("and given again", mine("192.0.2.4"), everyone(), "192.0.2.4")
}
