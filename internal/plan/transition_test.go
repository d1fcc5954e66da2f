// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clarion-lb/clarion/internal/lb"
)

func key(name string) lb.Key { return lb.Key{Namespace: "ns", Name: name} }

func TestEventsOnTransitionsOnly(t *testing.T) {
	one := newCluster(newService("a", "192.0.2.1", "2001:db8::1"), newService("b", "192.0.2.2"))
	gone := newCluster(newService("b", "192.0.2.2"))
	noEndpoints := newCluster(newService("a", "192.0.2.1", "2001:db8::1"), newService("b", "192.0.2.2"))
	noEndpoints.Services[0].Endpoints.Usable = 0
	single := newCluster(newService("a", "192.0.2.1"), newService("b", "192.0.2.2"))
	assignedA := Event{Service: key("a"), Reason: lb.NodeAssigned, Message: `announcing from node "node-c" with protocol "layer2"`}
	withdrawnA := func(why string) Event {
		return Event{Service: key("a"), Reason: lb.Withdrawn, Message: `no longer announcing from node "node-c" with protocol "layer2": ` + why}
	}
	here := ForNode("node-c", one, everyone())
	tests := []struct {
		name       string
		prev, next Desired
		want       []Event
	}{
		{"start", Desired{}, here, []Event{assignedA}},
		{"nothing changed", here, ForNode("node-c", one, everyone()), nil},
		{"another node died", here, ForNode("node-c", one, alive("node-a", "node-b", "node-c")), nil},
		{"endpoints went", here, ForNode("node-c", noEndpoints, everyone()), []Event{withdrawnA("the Service has no usable endpoint")}},
		{"endpoints came", ForNode("node-c", noEndpoints, everyone()), here, []Event{assignedA}},
		{"a second address came", ForNode("node-c", single, everyone()), here, nil},
		{"the Service is gone", here, ForNode("node-c", gone, everyone()), nil},
		{"the view without this node", here, ForNode("node-c", one, alive("node-a")), []Event{withdrawnA("this node is not a live member of the cluster")}},
		{"nobody is left", here, ForNode("node-c", one, alive()), []Event{withdrawnA("this node is not a live member of the cluster")}},
		{"unknown", here, ForNode("node-c", one, lb.View{}), nil},
		{"a better node came", ForNode("node-a", one, alive("node-a")), ForNode("node-a", one, alive("node-a", "node-c")), []Event{
			{Service: key("a"), Reason: lb.Withdrawn, Message: `no longer announcing from node "node-a" with protocol "layer2": node "node-c" owns the address`},
			{Service: key("b"), Reason: lb.Withdrawn, Message: `no longer announcing from node "node-a" with protocol "layer2": node "node-c" owns the address`},
		}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, Transitions(tt.prev, tt.next)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestMissingInterfacesFailTheAnnouncementButNotTheElection(t *testing.T) {
	s := newCluster(newService("a", "192.0.2.1"))
	s.L2[0].Interfaces = []string{"eth1", "eth2"}
	d := ForNode("node-c", s, everyone())
	if got := OnLinks(d, []lb.Link{{Name: "eth0"}, {Name: "eth2"}}, both("eth0", "eth2")); !reflect.DeepEqual(got, d) {
		t.Errorf("one interface exists, yet the plan changed: %v", got)
	}
	failed := OnLinks(d, []lb.Link{{Name: "eth0"}}, both("eth0"))
	if len(failed.L2) > 0 || showWhy(failed, "a") != "192.0.2.1 node-c announceFailed" || failed.Why[0].Announced {
		t.Errorf("announced %q, why %q", show(failed), showWhy(failed, "a"))
	}
	if showWhy(d, "a") != "192.0.2.1 node-c nodeAssigned" {
		t.Errorf("the argument was changed: %q", showWhy(d, "a"))
	}
	want := []Event{{Service: key("a"), Warning: true, Reason: lb.AnnounceFailed,
		Message: `the interfaces specified by LB IP "192.0.2.1" doesn't exist in assigned node "node-c" with protocol "layer2"`}}
	if diff := cmp.Diff(want, Transitions(Desired{}, failed)); diff != "" {
		t.Errorf("at start (-want +got):\n%s", diff)
	}
	if again := Transitions(failed, OnLinks(d, nil, lb.Usable{})); len(again) > 0 {
		t.Errorf("said twice: %v", again)
	}
	back := Transitions(failed, d)
	if len(back) != 1 || back[0].Reason != lb.NodeAssigned {
		t.Errorf("interface appeared: %v, want nodeAssigned", back)
	}
	if lost := Transitions(d, failed); len(lost) != 2 || lost[0].Reason != lb.AnnounceFailed || lost[1].Reason != lb.Withdrawn {
		t.Errorf("interface vanished: %v, want announceFailed and withdrawn", lost)
	}
}

func TestAnnouncingFailsWithoutAnInterfaceThatCan(t *testing.T) {
	named := newCluster(newService("a", "192.0.2.1"))
	named.L2[0].Interfaces = []string{"eth1"}
	links := []lb.Link{{Name: "eth0"}, {Name: "eth1"}}
	for _, tt := range []struct {
		name    string
		cluster lb.Snapshot
		usable  lb.Usable
		want    string // the event's text, "" when the address is announced
	}{
		{"any interface", newCluster(newService("a", "192.0.2.1")), lb.Usable{IPv4: []string{"eth0"}}, ""},
		{"none has carrier", newCluster(newService("a", "192.0.2.1")), lb.Usable{},
			`cannot announce "192.0.2.1" from assigned node "node-c" with protocol "layer2": no interface of this node that may announce the address has carrier`},
		{"the named one has no carrier", named, lb.Usable{IPv4: []string{"eth0"}},
			`cannot announce "192.0.2.1" from assigned node "node-c" with protocol "layer2": no interface of this node that may announce the address has carrier`},
		{"none has IPv6", newCluster(newService("a", "2001:db8::1")), lb.Usable{IPv4: []string{"eth0"}},
			`cannot announce "2001:db8::1" from assigned node "node-c" with protocol "layer2": no interface of this node that may announce the address has carrier and an IPv6 link-local address`},
	} {
		d := OnLinks(ForNode("node-c", tt.cluster, alive("node-c")), links, tt.usable)
		var got string
		for _, e := range Transitions(Desired{}, d) {
			if e.Reason == lb.AnnounceFailed {
				got = e.Message
			}
		}
		if got != tt.want || len(L2Statuses(d)) != 0 != (tt.want == "") {
			t.Errorf("%s: event %q, statuses %v", tt.name, got, L2Statuses(d))
		}
	}
}

func TestStatusesAreOnePerAnnouncedService(t *testing.T) {
	s := newCluster(newService("a", "192.0.2.1", "2001:db8::1"), newService("b", "192.0.2.3"), newService("c", "192.0.2.2"))
	s.L2[0].Interfaces = []string{"eth0"}
	// printf '%s' node-c/ns/a | sha256sum
	want := []L2Status{
		{Name: "l2-28be3c72bb50fbbe289c", Node: "node-c", Service: key("a"), Interfaces: []string{"eth0"}},
		{Name: "l2-94648fdc160483c781f5", Node: "node-c", Service: key("b"), Interfaces: []string{"eth0"}},
	}
	d := ForNode("node-c", s, everyone())
	if diff := cmp.Diff(want, L2Statuses(d)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if L2StatusName("node-c", key("a")) == L2StatusName("node-a", key("a")) {
		t.Error("two nodes would write one object")
	}
}

func TestInterfacesOfAStatusAreAllWhenOneAddressHasAll(t *testing.T) {
	d := Desired{Known: true, Self: "n", L2: []lb.Announcement{
		{Addr: newRange("192.0.2.1", "192.0.2.1").First, Services: []lb.Key{key("a"), key("b")}, Interfaces: []string{"eth1"}},
		{Addr: newRange("2001:db8::1", "2001:db8::1").First, Services: []lb.Key{key("a")}, Interfaces: nil},
		{Addr: newRange("2001:db8::2", "2001:db8::2").First, Services: []lb.Key{key("b")}, Interfaces: []string{"eth0", "eth1"}},
	}}
	got := L2Statuses(d)
	if len(got[0].Interfaces) != 0 || !slices.Equal(got[1].Interfaces, []string{"eth0", "eth1"}) {
		t.Errorf("interfaces %v and %v, want all and eth0,eth1", got[0].Interfaces, got[1].Interfaces)
	}
}

func TestStaleStatusesAreOursUnwantedAndThoseOfTheDead(t *testing.T) {
	s := newCluster(newService("a", "192.0.2.1"), newService("b", "192.0.2.2"))
	v := alive("node-a", "node-c")
	d := ForNode("node-c", s, v) // owns both: c beats a for both addresses
	status := func(name, node, service string) L2Status {
		return L2Status{Name: name, Node: node, Service: key(service)}
	}
	existing := []L2Status{
		status(L2StatusName("node-c", key("a")), "node-c", "a"),
		status("l2-x7f2k", "node-c", "a"),     // MetalLB's, by this node
		status("l2-gone", "node-c", "gone"),   // not announced here any more
		status("l2-alive", "node-a", "b"),     // a live node's: that one deletes it
		status("l2-dead", "node-e", "b"),      // a dead node's, announced here now
		status("l2-other", "node-e", "other"), // a dead node's, not ours to judge
	}
	var got []string
	for _, st := range StaleL2Statuses(d, v, existing) {
		got = append(got, st.Name)
	}
	if want := []string{"l2-x7f2k", "l2-gone", "l2-dead"}; !slices.Equal(got, want) {
		t.Errorf("stale %v, want %v", got, want)
	}
	v.All = true
	if got := StaleL2Statuses(d, v, existing[4:]); len(got) > 0 {
		t.Errorf("with membership off nobody is known dead, yet %v", got)
	}
}

func TestEveryReasonHasWords(t *testing.T) {
	for _, r := range []lb.Reason{lb.NodeAssigned, lb.NotOwner, lb.NoPool, lb.NoMatchingAdvertisement, lb.SharedIPWithServiceSelector, lb.NoEndpoints,
		lb.NoLocalEndpoints, lb.NodeNetworkUnavailable, lb.NodeLabeledExcludeBalancers, lb.NoSpeaker, lb.AnnounceFailed} {
		if e := (&Explanation{Reason: r}); e.Text() == string(r) {
			t.Errorf("%s has no text", r)
		}
	}
}

// A speaker that was stopped for a while does not count itself in its view until it has
// proved its place again. What it announced belongs to others by then.
func TestNodeThatIsCutOffHandsNothingOver(t *testing.T) {
	s := newCluster(newService("a", "192.0.2.1"))
	before := ForNode("node-c", s, everyone())
	for name, next := range map[string]Desired{
		"does not count itself": ForNode("node-c", s, alive("node-a", "node-b")),
		"counts nobody":         ForNode("node-c", s, alive()),
	} {
		if got := Handovers(before, next); len(got) > 0 || len(next.L2) > 0 {
			t.Errorf("%s: hands over %v, announces %s", name, got, show(next))
		}
	}
	planned := ForNode("node-c", s, lb.View{Known: true, Members: everyone().Members, Leaving: []string{"node-c"}})
	if got := Handovers(before, planned); len(got) != 1 {
		t.Errorf("a node that leaves hands over %v", got)
	}
}
