// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package upgrade

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/labctl/frr"
)

// startRouter runs FRR on the router host, as the peer "router" of the configuration.
func (c *cluster) startRouter(t *testing.T) *frr.Router {
	t.Helper()
	f := frr.Fabric{
		ASN: 64501, NodeASN: 64500, RouterID: "192.168.100.1", BFDInterval: 300,
		EachNeighbor: []string{"password upgrade", "bfd profile fast"},
	}
	for n := range 3 {
		f.Neighbors = append(f.Neighbors, frr.NodeAddress(n+1, false).String())
	}
	r, err := frr.Start(t.Context(), frr.Options{Netns: c.Netns("router"), Dir: t.TempDir(), Config: f.Config()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Stop)
	return r
}

// routes begins to watch the router. The returned function tells how long after a moment it had
// the first route of a Service, and those by all nodes. MetalLB's sessions are not there, but
// they would have ended with its speakers, at that moment.
func (c *cluster) routes(t *testing.T) func(began time.Time) {
	t.Helper()
	r := c.startRouter(t)
	m, err := r.Monitor()
	if err != nil {
		t.Fatal(err)
	}
	routed := netip.MustParsePrefix("192.168.102.3/32") // of the Service "field"
	return func(began time.Time) {
		t.Helper()
		defer m.Stop()
		after := func(hops int) time.Duration {
			change, err := m.Wait(t.Context(), patience, func(c frr.RouteChange) bool {
				return c.Prefix == routed && !c.Deleted && len(c.Hops) >= hops
			})
			if err != nil {
				t.Fatal(err, r.Said())
			}
			return change.Time.Sub(began).Round(time.Millisecond)
		}
		t.Logf("the router had a route of %s %s after the deletion of MetalLB's speakers, and those by all nodes after %s", routed, after(1), after(3))
	}
}

// noFRR checks that nothing is left of frr-k8s but what a user wrote.
func (c *cluster) noFRR(t *testing.T) {
	t.Helper()
	c.eventually(t, "frr-k8s", func(ctx context.Context) error {
		out, err := c.Kubectl(ctx, "-n", system, "get", "daemonsets,deployments,services,secrets,validatingwebhookconfigurations", "-o", "name")
		if err == nil && strings.Contains(out, "frr-k8s") {
			err = fmt.Errorf("still there:\n%s", out)
		}
		return err
	})
	if out := c.kubectl(t, "-n", system, "get", "frrconfigurations", "-o", "name"); strings.TrimSpace(out) != "frrconfiguration.frrk8s.metallb.io/of-a-user" {
		t.Errorf("FRRConfigurations: %q", out)
	}
}
