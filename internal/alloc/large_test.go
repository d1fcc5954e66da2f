// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package alloc_test

import (
	"net/netip"
	"testing"

	"github.com/clarion-lb/clarion/internal/alloc"
	"github.com/clarion-lb/clarion/internal/alloc/alloctest"
	"github.com/clarion-lb/clarion/internal/lb"
)

// A pool of any size is as cheap as a small one: what is used counts.
func TestMemoryDoesNotGrowWithThePool(t *testing.T) {
	cost := func(last string) float64 {
		in := alloc.Input{
			Pools:    []lb.Pool{{Name: "p", AutoAssign: true, Ranges: []lb.Range{{First: netip.MustParseAddr("fd00::"), Last: netip.MustParseAddr(last)}}}},
			Services: alloctest.Services(100, func(_ int, s *lb.Service) { s.Families = []lb.Family{lb.IPv6} }),
		}
		return testing.AllocsPerRun(3, func() { alloc.Plan(in) })
	}
	if small, large := cost("fd00::ff"), cost("fd00:ffff::"); large > small+20 {
		t.Errorf("%v allocations for 256 addresses, %v for many more", small, large)
	}
}

// Thousands of waiting Services must not make thousands of long texts.
func TestTextsAreBounded(t *testing.T) {
	in := alloc.Input{Pools: alloctest.Pools(100, 10), Services: alloctest.Services(3000, nil)}
	for _, o := range alloc.Plan(in).Outcomes {
		if len(o.Message) > 700 {
			t.Fatalf("%d characters: %s", len(o.Message), o.Message)
		}
	}
}
