// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/labctl"
)

// settle is how long a client goes on asking after a fault, so that a late second outage is seen.
const settle = 4 * time.Second

// echo puts a Service in place and returns its address, and "addr:port" once it answers. One
// of its three pods may be on the node that dies; questions for that one are lost until
// Kubernetes gives the node up, between others that are answered.
func echo(t *testing.T, family, addresses string) (addr, target string) {
	t.Helper()
	ns := namespace(t)
	apply(t, pool("failover", addresses))
	create(t, webServer(ns, "echo", 3)+
		strings.Replace(serviceFor(ns, "echo", "echo", "failover"), "spec:", "spec:\n  ipFamilies: ["+family+"]", 1))
	addr = address(t, ns, "echo")
	target = net.JoinHostPort(addr, "8090")
	if _, err := lab.Watch(t.Context(), target, 0, func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	return addr, target
}

func owner(t *testing.T, addr string) string {
	t.Helper()
	node, err := lab.Owner(t.Context(), addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	return node
}

func fault(t *testing.T, args ...string) {
	t.Helper()
	if err := lab.Fault(t.Context(), args...); err != nil {
		t.Fatal(err)
	}
}

// outage does something to the owner of an address and tells what the client saw.
func outage(t *testing.T, target string, event func() error) labctl.Outage {
	t.Helper()
	o, err := lab.Watch(t.Context(), target, settle, event)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("outage seen by the client, asking every 10 ms: %.0f ms (%d of %d questions lost; a question was late by at most %.0f ms)",
		o.LongestGapMS, o.Lost, o.Sent, o.MaxSendDelayMS)
	return o
}

// recovered fails the test unless the address answers again, from another node than before.
func recovered(t *testing.T, o labctl.Outage, addr, before string) {
	t.Helper()
	for _, g := range o.Gaps {
		if g.Open {
			t.Errorf("the address did not come back")
		}
	}
	if o.LongestGapMS == 0 || o.Answered == 0 {
		t.Errorf("nothing was measured: %+v", o)
	}
	// No timed test: this is far above what the benchmarks measure, and far below the 5 s after
	// which nothing but luck brings an address back.
	if o.LongestGapMS > 3000 {
		t.Errorf("the outage took %.0f ms", o.LongestGapMS)
	}
	if after := owner(t, addr); after == before {
		t.Errorf("%s still answers for %s", after, addr)
	}
}

func TestAddressSurvivesTheDeathOfItsOwner(t *testing.T) {
	for _, family := range []struct{ name, pool string }{
		{"IPv4", "192.168.101.10-192.168.101.20"},
		{"IPv6", "fd00:100::5:10-fd00:100::5:20"},
	} {
		t.Run(family.name, func(t *testing.T) {
			addr, target := echo(t, family.name, family.pool)
			for _, f := range []struct{ name, undo string }{{"power-off", "power-on"}, {"link-down", "link-up"}} {
				before := owner(t, addr)
				t.Logf("%s %s, the owner of %s", f.name, before, addr)
				o := outage(t, target, func() error { return lab.Fault(t.Context(), f.name, before) })
				recovered(t, o, addr, before)
				fault(t, f.undo, before)
				returned(t, addr, before)
			}
		})
	}
}

// returned waits until the address is back at the node that the election prefers.
func returned(t *testing.T, addr, node string) {
	t.Helper()
	if err := labctl.Eventually(t.Context(), time.Minute, func(ctx context.Context) error {
		now, err := lab.Owner(ctx, addr, patience)
		if err == nil && now != node {
			err = fmt.Errorf("%s answers for %s, want %s back", now, addr, node)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// moved waits until another node than before answers for an address.
func moved(t *testing.T, addr, before string) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		now, err := lab.Owner(ctx, addr, patience)
		if err == nil && now == before {
			err = fmt.Errorf("%s still answers for %s", before, addr)
		}
		return err
	})
}

// TestPlannedMoveLosesNothing deletes the owner's speaker as an upgrade does.
func TestPlannedMoveLosesNothing(t *testing.T) {
	addr, target := echo(t, "IPv4", "192.168.101.30-192.168.101.40")
	before := owner(t, addr)
	o := outage(t, target, func() error {
		_, err := lab.Kubectl(t.Context(), "-n", labctl.Namespace, "delete", "pod", "-l", "component=speaker",
			"--field-selector", "spec.nodeName="+before, "--wait=true")
		return err
	})
	if o.Lost > 0 {
		t.Errorf("%d questions were lost while %s handed over", o.Lost, before)
	}
	if o.Answered < 100 {
		t.Errorf("only %d answers: nothing was measured", o.Answered)
	}
	returned(t, addr, before)
}
