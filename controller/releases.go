// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"
	"slices"

	"github.com/clarion-lb/clarion/internal/alloc"
	"github.com/clarion-lb/clarion/internal/lb"
)

// releases are the addresses that are being taken from a Service, and from which. One plan
// may take an address from X and give it to Y; if the write for Y landed and that for X were
// refused, both would have it. So Y waits until X is known to be without it. The zero value
// is ready.
type releases map[netip.Addr]lb.Key

// update notes what this pass takes away and forgets what is done: a write that is no longer
// on its way has landed, or was refused, and then the plan knows that X still has the address.
func (r *releases) update(services []lb.Service, result *alloc.Result, inFlight func(lb.Key) bool) {
	for addr, k := range *r {
		if !inFlight(k) {
			delete(*r, addr)
		}
	}
	for i := range result.Outcomes {
		o := &result.Outcomes[i]
		if o.Cleared == "" {
			continue
		}
		for _, addr := range services[i].Assigned { // both are in the order of the keys
			if slices.Contains(o.Addrs, addr) {
				continue
			}
			if *r == nil {
				*r = releases{}
			}
			(*r)[addr] = o.Service
		}
	}
}

// hold says whether a Service must wait for one of its new addresses.
func (r releases) hold(o *alloc.Outcome) bool {
	for _, a := range o.Addrs[o.Kept:] {
		if k, ok := r[a]; ok && k != o.Service {
			return true
		}
	}
	return false
}
