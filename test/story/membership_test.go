// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/labctl"
)

// apiServerDown kills the API server and returns how to start it again.
func apiServerDown(t *testing.T) (start func()) {
	t.Helper()
	fault(t, "kill", "cp", "apiserver")
	down := true
	start = func() {
		if !down {
			return
		}
		down = false
		if err := lab.Fault(context.WithoutCancel(t.Context()), "start", "cp", "apiserver"); err != nil {
			t.Errorf("start the API server: %v", err)
		}
		// A controller that lost its Lease reads everything again.
		kubectl(t, "-n", labctl.Namespace, "rollout", "status", "deployment/controller", "--timeout=60s")
	}
	t.Cleanup(start)
	return start
}

// TestNodeDiesWhileTheAPIServerIsDown is one minute without API server. Nothing moves until the
// owner dies, and then both addresses do.
func TestNodeDiesWhileTheAPIServerIsDown(t *testing.T) {
	p := echo(t, 40)
	before := p.owner(t)
	began := time.Now()
	start := apiServerDown(t)
	p.lossless(t, "nothing happened but the death of the API server", func() error { return nil })
	struck := time.Now()
	t.Cleanup(func() { _ = lab.Fault(context.WithoutCancel(t.Context()), "power-on", before) }) // it is on, unless the story failed
	o := p.outage(t, func() error { return lab.Fault(t.Context(), "power-off", before) })
	for i, addr := range p.addrs {
		took, err := o[i].TakeOver(addr, before, struck)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("another node announced %s %.0f ms after %s was switched off, the command included", addr, took.Seconds()*1000, before)
		if took > longest {
			t.Error("that is no fast failover")
		}
	}
	p.outage(t, func() error {
		time.Sleep(time.Until(began.Add(time.Minute)))
		return nil
	})
	for i, o := range p.outage(t, func() error { return nil }) {
		if o.Answered == 0 {
			t.Errorf("%s does not answer after a minute", p.addrs[i])
		}
	}
	start()
	switchOn(t, before)
	p.returned(t, before)
}

// TestCutNodeComesBackInTime cuts the owner's link, and measures how long it takes until the node,
// which both sides have declared dead, is a member again and has its addresses back.
func TestCutNodeComesBackInTime(t *testing.T) {
	p := echo(t, 90)
	before := p.owner(t)
	t.Cleanup(func() { _ = lab.Fault(context.WithoutCancel(t.Context()), "link-up", before) }) // it is up, unless the story failed
	p.recovered(t, p.outage(t, func() error { return lab.Fault(t.Context(), "link-down", before) }), before)
	time.Sleep(time.Second) // with what has passed, far longer than both sides need to give the other up
	stop := curious(t, p.addrs[:]...)
	var restored time.Time
	o := p.outage(t, func() error {
		restored = time.Now()
		err := lab.Fault(t.Context(), "link-up", before)
		time.Sleep(settle) // it may take longer than the hand-over of addresses
		return err
	})
	stop()
	for i, addr := range p.addrs {
		claims := o[i].Claims(addr, restored)
		if len(claims[before]) == 0 {
			t.Fatalf("%s does not claim %s %s after its link was restored", before, addr, 2*settle)
		}
		back := claims[before][0].Sub(restored)
		t.Logf("%s claims %s %s after its link was restored, the command included", before, addr, back.Round(time.Millisecond))
		for _, n := range others(before) {
			if two := last(claims[n], restored) - back; two > oneOwner {
				t.Errorf("%s still claims %s %s after %s began to", n, addr, two, before)
			}
		}
	}
	p.waited(t, o)
	p.returned(t, before)
}
