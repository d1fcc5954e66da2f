// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"
	"testing"

	"github.com/clarion-lb/clarion/internal/alloc"
	"github.com/clarion-lb/clarion/internal/lb"
)

func TestAnAddressIsGivenAwayOnlyAfterItsHolderIsKnownToBeWithoutIt(t *testing.T) {
	addr := netip.MustParseAddr("192.0.2.1")
	x, y := lb.Key{Namespace: "ns", Name: "x"}, lb.Key{Namespace: "ns", Name: "y"}
	stored := []lb.Service{{Key: x, Assigned: []netip.Addr{addr}}, {Key: y}}
	grant := &alloc.Outcome{Service: y, Addrs: []netip.Addr{addr}}
	plan := &alloc.Result{Outcomes: []alloc.Outcome{{Service: x, Cleared: "pool is gone"}, *grant}}
	flying := true
	inFlight := func(k lb.Key) bool { return k == x && flying }

	var r releases
	if r.hold(grant) {
		t.Error("nothing is being taken away, and the grant waits")
	}
	r.update(stored, plan, inFlight)
	if !r.hold(grant) {
		t.Error("granted in the pass that takes the address away")
	}
	if r.hold(&alloc.Outcome{Service: x, Addrs: []netip.Addr{addr}}) {
		t.Error("the holder waits for itself")
	}
	r.update(nil, &alloc.Result{}, inFlight)
	if !r.hold(grant) {
		t.Error("granted while the write that takes the address away is on its way")
	}
	flying = false
	r.update(nil, &alloc.Result{}, inFlight)
	if r.hold(grant) {
		t.Error("still waiting after that write was answered")
	}
}
