// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"fmt"
	"net/netip"
)

// firstPod is the offset of the first pod address: the ones below belong to
// the node and its pod namespace.
const firstPod, lastPod = 10, 254

// Addresses hands out a node's pod addresses: one per prefix, with the same
// offset in each. An address is not used again until all others were, so that
// a stale route or endpoint never hits the wrong pod.
type Addresses struct {
	cidrs []netip.Prefix
	owner map[int]string
	of    map[string]int
	next  int
}

// NewAddresses returns an empty book for the node's prefixes.
func NewAddresses(cidrs []netip.Prefix) *Addresses {
	return &Addresses{cidrs: cidrs, owner: map[int]string{}, of: map[string]int{}, next: firstPod}
}

// Get returns the pod's addresses and chooses them if it has none yet.
func (a *Addresses) Get(uid string) ([]netip.Addr, error) {
	if off, ok := a.of[uid]; ok {
		return a.at(off), nil
	}
	for range lastPod - firstPod + 1 {
		off := a.next
		if a.next++; a.next > lastPod {
			a.next = firstPod
		}
		if _, taken := a.owner[off]; !taken {
			a.owner[off], a.of[uid] = uid, off
			return a.at(off), nil
		}
	}
	return nil, fmt.Errorf("no free pod address in %s", a.cidrs)
}

// Claim gives the pod the address it already has, as a restarted kubelet reads
// it from the pod's status. It reports false if the address is not ours to
// give or another pod has it.
func (a *Addresses) Claim(uid string, addr netip.Addr) bool {
	for off := firstPod; off <= lastPod; off++ {
		for _, x := range a.at(off) {
			if x != addr {
				continue
			}
			if owner, taken := a.owner[off]; taken {
				return owner == uid
			}
			if _, other := a.of[uid]; other {
				return false
			}
			a.owner[off], a.of[uid] = uid, off
			return true
		}
	}
	return false
}

// Release gives the pod's addresses back.
func (a *Addresses) Release(uid string) {
	if off, ok := a.of[uid]; ok {
		delete(a.owner, off)
		delete(a.of, uid)
	}
}

func (a *Addresses) at(off int) []netip.Addr {
	var out []netip.Addr
	for _, c := range a.cidrs {
		b := c.Masked().Addr().AsSlice()
		b[len(b)-1] = byte(off)
		addr, _ := netip.AddrFromSlice(b) // the slice came from an address
		out = append(out, addr)
	}
	return out
}
