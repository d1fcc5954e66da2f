// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/labctl"
)

// settle is how long a client goes on asking after a fault.
const settle = 2 * time.Second

// longest is how long a client may wait. It is no timed test: this is far above what the benchmarks
// measure, and far below the 5 s after which nothing but luck brings an address back.
const longest = 3 * time.Second

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
	logOutage(t, target, o)
	return o
}

func logOutage(t *testing.T, target string, o labctl.Outage) {
	t.Helper()
	t.Logf("outage of %s seen by the client, asking every 10 ms: %.0f ms, with losses %.0f ms (%d of %d questions lost; a question was late by at most %.0f ms)",
		target, o.LongestGapMS, o.LostMS(), o.Lost, o.Sent, o.MaxSendDelayMS)
	for _, g := range o.Gaps {
		if g.Lost > 0 {
			t.Logf("  %d lost between %s and %s", g.Lost, g.Start.Format("15:04:05.000"), g.End.Format("15:04:05.000"))
		}
	}
}

// waited fails the test if the client was without answers for too long. What the machine itself
// was late by, and what it delayed without losing it, is nobody's fault.
func waited(t *testing.T, addr string, o labctl.Outage) {
	t.Helper()
	if ms := o.LostMS() - o.MaxSendDelayMS; ms > float64(longest.Milliseconds()) {
		t.Errorf("the client waited %.0f ms for %s", ms, addr)
	}
}

// recovered fails the test unless the address answers again, from another node than before.
func recovered(t *testing.T, o labctl.Outage, addr, before string) {
	t.Helper()
	for _, g := range o.Gaps {
		if g.Open {
			t.Errorf("%s did not come back", addr)
		}
	}
	if o.LongestGapMS == 0 || o.Answered == 0 {
		t.Errorf("nothing was measured: %+v", o)
	}
	waited(t, addr, o)
	if after := owner(t, addr); after == before {
		t.Errorf("%s still answers for %s", after, addr)
	}
}

// TestAddressSurvivesTheDeathOfItsOwner: the owner of both addresses of a dual-stack Service is
// switched off, and the client finds both at one other node; it returns, and gets both back. A
// client that asks for longer sees no second outage.
func TestAddressSurvivesTheDeathOfItsOwner(t *testing.T) {
	p := echo(t, 10)
	before := p.owner(t)
	t.Logf("power-off %s, the owner of %v", before, p.addrs)
	t.Cleanup(func() { _ = lab.Fault(context.WithoutCancel(t.Context()), "power-on", before) }) // it is on, unless the story failed
	o := p.outage(t, func() error {
		err := lab.Fault(t.Context(), "power-off", before)
		time.Sleep(settle)
		return err
	})
	p.recovered(t, o, before)
	switchOn(t, before)
	p.returned(t, before)
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
	p := echo(t, 30)
	before := p.owner(t)
	p.lossless(t, "the speaker of "+before+" was replaced", func() error {
		_, err := lab.Kubectl(t.Context(), "-n", labctl.Namespace, "delete", "pod", "-l", "component=speaker",
			"--field-selector", "spec.nodeName="+before, "--wait=true")
		return err
	})
	p.returned(t, before)
}
