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
		if err := labctl.Eventually(context.WithoutCancel(t.Context()), time.Minute, func(ctx context.Context) error {
			_, err := lab.Kubectl(ctx, "get", "nodes")
			return err
		}); err != nil {
			t.Error(err)
		}
		// A controller that lost its lease ends, and the kubelet restarts it later and later.
		kubectl(t, "-n", labctl.Namespace, "rollout", "status", "deployment/controller", "--timeout=60s")
	}
	t.Cleanup(start)
	return start
}

// TestNodeDiesWhileTheAPIServerIsDown is one minute without API server. Nothing moves until the
// owner dies, and then the address does.
func TestNodeDiesWhileTheAPIServerIsDown(t *testing.T) {
	addr, target := echo(t, "IPv4", "192.168.101.50-192.168.101.60")
	before := owner(t, addr)
	began := time.Now()
	start := apiServerDown(t)
	quiet := outage(t, target, func() error { return nil })
	if quiet.Lost > 0 {
		t.Errorf("%d questions were lost without a cause", quiet.Lost)
	}
	struck := time.Now()
	o := outage(t, target, func() error { return lab.Fault(t.Context(), "power-off", before) })
	took, err := o.TakeOver(addr, before, struck)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("another node announced %s %.0f ms after %s was switched off, the command included", addr, took.Seconds()*1000, before)
	if took > 3*time.Second {
		t.Error("that is no fast failover")
	}
	for time.Since(began) < time.Minute {
		o := outage(t, target, func() error { return nil })
		if o.Answered == 0 {
			t.Fatal("the address does not answer")
		}
	}
	start()
	fault(t, "power-on", before)
	returned(t, addr, before)
}

// TestCutNodeComesBackInTime measures how long it takes until a node whose link was cut, and
// which both sides have declared dead, is a member again and has its address back.
func TestCutNodeComesBackInTime(t *testing.T) {
	addr, target := echo(t, "IPv4", "192.168.101.90-192.168.101.99")
	before := owner(t, addr)
	fault(t, "link-down", before)
	t.Cleanup(func() { _ = lab.Fault(context.WithoutCancel(t.Context()), "link-up", before) }) // it is up, unless the story failed
	moved(t, addr, before)
	time.Sleep(3 * time.Second) // far longer than both sides need to give the other up
	stop := curious(t, addr)
	var restored time.Time
	o := outage(t, target, func() error {
		restored = time.Now()
		return lab.Fault(t.Context(), "link-up", before)
	})
	stop()
	claims := o.Claims(addr, restored)
	if len(claims[before]) == 0 {
		t.Fatalf("%s does not claim %s %s after its link was restored", before, addr, settle)
	}
	back := claims[before][0].Sub(restored)
	t.Logf("%s claims the address %s after its link was restored, the command included", before, back.Round(time.Millisecond))
	for _, n := range others(before) {
		if two := last(claims[n], restored) - back; two > oneOwner {
			t.Errorf("%s still claims %s %s after %s began to", n, addr, two, before)
		}
	}
	if o.LongestGapMS > 3000 {
		t.Errorf("the client waited %.0f ms", o.LongestGapMS)
	}
	returned(t, addr, before)
}
