// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package alloc

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/clarion-lb/clarion/internal/lb"
)

// line is one event: type, reason, message.
func line(e Event) string {
	kind := "Normal"
	if e.Warning {
		kind = "Warning"
	}
	return fmt.Sprintf("%s %s %s", kind, e.Reason, e.Message)
}

func TestWhatUsersAreTold(t *testing.T) {
	one := []lb.Pool{aPool("p", "10.0.0.1")}
	two := []lb.Pool{aPool("p", "10.0.0.1-10.0.0.9 fd00::1-fd00::9")}
	prefer, require := stack(dual4, lb.PreferDualStack), stack(dual4, lb.RequireDualStack)
	const cleared = `Normal ClearAssignment current IP for "ns/x" not allowed by config, will attempt for new IP assignment: `
	const failed = `Warning AllocationFailed Failed to allocate IP for "ns/x": `
	for _, r := range []struct {
		name     string
		pools    []lb.Pool
		services []lb.Service // x is asked for
		want     []string
	}{
		{"assigned", one, []lb.Service{aSvc("x", 0)}, []string{`Normal IPAllocated Assigned IP ["10.0.0.1"]`}},
		{"assigned two", two, []lb.Service{aSvc("x", 0, require)}, []string{`Normal IPAllocated Assigned IP ["10.0.0.1" "fd00::1"]`}},
		{"nothing new", one, []lb.Service{aSvc("x", 0, has("10.0.0.1", "p"))}, nil},
		{"only the annotation changes", one, []lb.Service{aSvc("x", 0, has("10.0.0.1", "old"))}, nil},
		{"additional", two, []lb.Service{aSvc("x", 0, prefer, has("10.0.0.1", "p"))}, []string{`Normal IPAllocated Assigned additional IP ["fd00::1"]`}},
		{"no additional", one, []lb.Service{aSvc("x", 0, prefer, has("10.0.0.1", "p"))}, []string{
			`Normal AdditionalAssignFailed cannot assign additional IP in PreferDualStack: no available IPs in pool p: pool p has no IPv6 range`}},
		{"exhausted", one, []lb.Service{aSvc("x", 1), aSvc("y", 0)}, []string{
			failed + `no available IPs: pool p has no free IPv4 address (1 in use: ns/y 10.0.0.1)` + cure}},
		{"many holders", []lb.Pool{aPool("p", "10.0.0.1-10.0.0.5")}, []lb.Service{aSvc("x", 9), aSvc("a", 0), aSvc("b", 1), aSvc("c", 2), aSvc("d", 3), aSvc("e", 4)}, []string{
			failed + `no available IPs: pool p has no free IPv4 address (5 in use: ns/a 10.0.0.1, ns/b 10.0.0.2, ns/c 10.0.0.3 and 2 more)` + cure}},
		{"many pools", []lb.Pool{aPool("a", "fd00:a::"), aPool("b", "fd00:b::"), aPool("c", "fd00:c::"), aPool("d", "fd00:d::")}, []lb.Service{aSvc("x", 0)}, []string{
			failed + `no available IPs: pool a has no IPv4 range; pool b has no IPv4 range; pool c has no IPv4 range; nor can other pools help` + cure}},
		{"no pool for it", []lb.Pool{aPool("p", "10.0.0.1", manual)}, []lb.Service{aSvc("x", 0)}, []string{
			failed + `no available IPs: no pool with autoAssign serves namespace "ns" and the labels of the Service`}},
		{"pool exhausted", one, []lb.Service{aSvc("x", 1, asksPool("p")), aSvc("y", 0)}, []string{
			failed + `no available IPs in pool p: pool p has no free IPv4 address (1 in use: ns/y 10.0.0.1)` + cure}},
		{"unknown pool", one, []lb.Service{aSvc("x", 0, asksPool("q"))}, []string{
			failed + `unknown pool "q"; create it, or correct the metallb.io/address-pool annotation`}},
		{"pool for others", []lb.Pool{aPool("p", "10.0.0.1", serves(0, "blue"))}, []lb.Service{aSvc("x", 0, asksPool("p"))}, []string{
			failed + `pool p not compatible for ip assignment: its serviceAllocation does not include namespace "ns"`}},
		{"pool closed", []lb.Pool{aPool("p", "10.0.0.1", closed)}, []lb.Service{aSvc("x", 0, asks("10.0.0.1"))}, []string{
			failed + `pool p not compatible for ip assignment: it overlaps an older pool and gives no new address until that is corrected`}},
		{"address outside", one, []lb.Service{aSvc("x", 0, asks("192.0.2.1"))}, []string{
			failed + `["192.0.2.1"] is not allowed in config: no pool hands out 192.0.2.1`}},
		{"family", two, []lb.Service{aSvc("x", 0, asks("fd00::1"))}, []string{
			failed + `requested loadBalancer IP(s) ["fd00::1"] does not match the ipFamily of the service; ask for one address of each of [IPv4]`}},
		{"wrong pool", []lb.Pool{aPool("p", "10.0.0.1"), aPool("q", "10.0.1.1")}, []lb.Service{aSvc("x", 0, asks("10.0.0.1"), asksPool("q"))}, []string{
			failed + `requested loadBalancer IP(s) ["10.0.0.1"] is not compatible with requested address pool q; ask for the pool of the addresses, or for none`}},
		{"taken", one, []lb.Service{aSvc("x", 0, asks("10.0.0.1")), aSvc("y", 0, has("10.0.0.1", "p"))}, []string{
			failed + `can't change sharing key for "ns/x", address also in use by ns/y: existing service does not allow sharing (10.0.0.1)`}},
		{"no key of its own", one, []lb.Service{aSvc("x", 0, asks("10.0.0.1")), aSvc("y", 0, has("10.0.0.1", "p"), shares("k"))}, []string{
			failed + `can't change sharing key for "ns/x", address also in use by ns/y: new service does not allow sharing (10.0.0.1)`}},
		{"other key", one, []lb.Service{aSvc("x", 0, asks("10.0.0.1"), shares("l")), aSvc("y", 0, has("10.0.0.1", "p"), shares("k"))}, []string{
			failed + `can't change sharing key for "ns/x", address also in use by ns/y: sharing key "l" does not match existing sharing key "k" (10.0.0.1)`}},
		{"other backends", one, []lb.Service{aSvc("x", 0, asks("10.0.0.1"), shares("k"), backend("app=x")), aSvc("y", 0, has("10.0.0.1", "p"), shares("k"))}, []string{
			failed + `can't change sharing key for "ns/x", address also in use by ns/y: backend key "app=x" does not match existing sharing key ""; ` +
				`Services with externalTrafficPolicy Local share an address only when they select the same pods (10.0.0.1)`}},
		{"port", one, []lb.Service{aSvc("x", 0, asks("10.0.0.1"), shares("k", 79, 80)), aSvc("y", 0, has("10.0.0.1", "p"), shares("k", 80))}, []string{
			failed + `port TCP/80 is already in use on "10.0.0.1" by ns/y; use another port or another address`}},
		{"bad request", one, []lb.Service{aSvc("x", 0, func(s *lb.Service) { s.RequestProblem = "more than two addresses" })}, []string{
			`Warning LoadBalancerFailed invalid requested loadbalancer IPs: more than two addresses`}},
		{"not dual", one, []lb.Service{aSvc("x", 0, stack(only4, lb.RequireDualStack), has("10.0.0.1", "p"))}, []string{
			cleared + `Service requires dual stack but not enough clusterips [IPv4]`,
			`Warning not enough clusterips Service requires dual stack but not enough clusterips [IPv4]`}},
		{"no pools", nil, []lb.Service{aSvc("x", 0, has("10.0.0.1", "p"))}, []string{
			cleared + `no available IPs`, failed + `no available IPs: there is no IPAddressPool; create one`}},
		{"moved", one, []lb.Service{aSvc("x", 0, has("192.0.2.1", "p"))}, []string{
			cleared + `["192.0.2.1"] is not allowed in config`, `Normal IPAllocated Assigned IP ["10.0.0.1"]`}},
		{"unreadable", one, []lb.Service{aSvc("x", 0, has("10.0.0.1 10.0.0.1", "p"))}, []string{
			cleared + `the status lists ["10.0.0.1" "10.0.0.1"], which is neither one address nor one of each family`, `Normal IPAllocated Assigned IP ["10.0.0.1"]`}},
		{"double use", two, []lb.Service{aSvc("x", 5, has("10.0.0.4", "p")), aSvc("y", 1, has("10.0.0.4", "p"))}, []string{
			cleared + `can't change sharing key for "ns/x", address also in use by ns/y: existing service does not allow sharing (10.0.0.4)`,
			`Normal IPAllocated Assigned IP ["10.0.0.1"]`}},
		{"half", one, []lb.Service{aSvc("x", 0, require, has("10.0.0.1", "p"))}, []string{
			cleared + `the Service needs an address of each family and pool p has no IPv6 address for it`,
			failed + `no available IPs: pool p has no IPv6 range` + cure}},
		{"other request", two, []lb.Service{aSvc("x", 0, has("10.0.0.1", "p"), asks("10.0.0.2"))}, []string{
			cleared + `the Service asks for ["10.0.0.2"]`, `Normal IPAllocated Assigned IP ["10.0.0.2"]`}},
		{"other pool", []lb.Pool{aPool("p", "10.0.0.1"), aPool("q", "10.0.1.1")}, []lb.Service{aSvc("x", 0, has("10.0.0.1", "p"), asksPool("q"))}, []string{
			cleared + `the Service asks for pool "q"`, `Normal IPAllocated Assigned IP ["10.0.1.1"]`}},
	} {
		t.Run(r.name, func(t *testing.T) {
			in := Input{Pools: r.pools, Services: r.services, Now: epoch}
			res := Plan(in)
			o, _ := res.Outcome(lb.Key{Namespace: "ns", Name: "x"})
			var got []string
			for _, e := range o.Events(Outcome{}) {
				got = append(got, line(e))
			}
			if !slices.Equal(got, r.want) {
				t.Errorf("told:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(r.want, "\n"))
			}
			again := Plan(fedBack(in, res))
			if later, _ := again.Outcome(o.Service); len(later.Events(*o)) > 0 {
				t.Errorf("told again: %v", later.Events(*o))
			}
		})
	}
}

func TestAStandingProblemIsToldAgainOnlyWhenItsCauseChanges(t *testing.T) {
	pools := []lb.Pool{aPool("p", "10.0.0.1")}
	x := lb.Key{Namespace: "ns", Name: "x"}
	first := Plan(Input{Pools: pools, Services: []lb.Service{aSvc("x", 1), aSvc("y", 0)}})
	second := Plan(Input{Pools: pools, Services: []lb.Service{aSvc("x", 1), aSvc("z", 0)}})
	third := Plan(Input{Pools: pools, Services: []lb.Service{aSvc("x", 1, asksPool("p")), aSvc("z", 0)}})
	a, _ := first.Outcome(x)
	b, _ := second.Outcome(x)
	c, _ := third.Outcome(x)
	if a.Message == b.Message || len(b.Events(*a)) > 0 {
		t.Errorf("another holder of a full pool is no news: %q, %q", a.Message, b.Message)
	}
	if len(c.Events(*b)) != 1 {
		t.Errorf("another failure is news: %+v", c)
	}
}

func TestTextOfAServiceThatHasAllItNeeds(t *testing.T) {
	in := Input{Pools: []lb.Pool{aPool("p", "10.0.0.1")}, Services: []lb.Service{aSvc("x", 0)}}
	first := Plan(in)
	second := Plan(fedBack(in, first))
	for _, r := range []Result{first, second} {
		if got := r.Outcomes[0].Text(); got != `Assigned IP ["10.0.0.1"]` {
			t.Errorf("got %q", got)
		}
	}
}
