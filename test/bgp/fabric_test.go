// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package bgp_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/labctl/frr"
)

// The router that stories and benchmarks use installs a path by every node, tells when a session
// came and went, and its monitor sees what the kernel got.
func TestFabric(t *testing.T) {
	s := newSegment(t)
	s.host("s", ours4+"/24")
	s.host("n", "192.0.2.3/24")
	s.host("r", theirs4+"/24")
	f := s.startFRR("r", frr.Fabric{
		ASN: theirASN, NodeASN: ourASN, RouterID: theirs4, Neighbors: []string{ours4, "192.0.2.3"},
		EachNeighbor: []string{"bfd profile fast"}, Global: []string{"bgp graceful-restart"}, BFDInterval: 50,
	}.Config())
	m, err := f.Monitor()
	if err != nil {
		t.Fatal(err)
	}
	defer m.Stop()
	begin := time.Now()
	s.startSpeaker("s").route(with(peer(theirs4, nil), "10.0.0.1/32"))
	two := s.startSpeaker("n")
	two.route(with(peer(theirs4, nil), "10.0.0.1/32"))
	hops := func(want ...string) frr.RouteChange {
		t.Helper()
		c, err := m.Wait(t.Context(), 10*time.Second, func(c frr.RouteChange) bool {
			return c.Prefix == netip.MustParsePrefix("10.0.0.1/32") && slices.Equal(c.Hops, want) && c.Time.After(begin)
		})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	both := hops(ours4, "192.0.2.3")
	paths, err := f.Paths(t.Context(), "ipv4")
	if got := frr.NextHops(paths["10.0.0.1/32"]); err != nil || fmt.Sprint(got) != fmt.Sprint(both.Hops) {
		t.Errorf("bgpd has next hops %v (%v), the kernel %v", got, err, both.Hops)
	}
	begin = time.Now()
	two.ask(request{Stop: "drain"})
	hops(ours4)
	eventually(t, 2*time.Second, func() string {
		ups, downs := 0, 0
		for _, c := range f.SessionChanges() {
			if c.Up {
				ups++
			} else if c.Neighbor == "192.0.2.3" && c.Time.After(begin) {
				downs++
			}
		}
		if ups != 2 || downs != 1 {
			return fmt.Sprintf("session changes: %+v", f.SessionChanges())
		}
		return ""
	})
}
