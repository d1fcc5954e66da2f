// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/labctl"
)

// lead is how long the wire is watched before something happens that changes who answers.
const lead = 300 * time.Millisecond

// curious makes the router ask who has the addresses all the time, so that every owner shows
// itself at once, until the test or the returned function ends it. The client learns nothing by it.
func curious(t *testing.T, addrs ...string) (stop func()) {
	t.Helper()
	args := append([]string{"--name", lab.Name, "exec", "router", "--", filepath.Join(lab.Root, "bin", "bench"), "ask", "-every"}, addrs...)
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), lab.Bin, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	stop = sync.OnceFunc(func() {
		killed := cmd.Process.Kill()
		if err := <-ended; killed != nil {
			t.Errorf("nobody asked for %v: %v", addrs, err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// others are the nodes besides one.
func others(node string) []string {
	return slices.DeleteFunc([]string{"n1", "n2", "n3"}, func(n string) bool { return n == node })
}

// last returns when a host last claimed an address after a moment, relative to it.
func last(times []time.Time, from time.Time) time.Duration {
	if len(times) == 0 {
		return 0
	}
	return slices.MaxFunc(times, time.Time.Compare).Sub(from)
}

// oneOwner is how long two owners may overlap. It is no timed test: the benchmarks measure.
const oneOwner = 1500 * time.Millisecond

// agents are the ports by which speakers know of each other: gossip and the direct watch.
const agents = "7946,7947"

// partition cuts a node off from all others, or the others off from it.
func partition(ctx context.Context, node string, toNode bool, flags ...string) error {
	for _, n := range others(node) {
		ends := []string{"partition", node, n}
		if toNode {
			ends = []string{"partition", n, node}
		}
		if err := lab.Fault(ctx, append(ends, flags...)...); err != nil {
			return err
		}
	}
	return nil
}

// TestPartitionsHeal cuts the owner off from the other nodes, in several ways, while the
// client reaches all of them. Two owners are allowed meanwhile; after it, one, which tells the
// segment so without being asked.
func TestPartitionsHeal(t *testing.T) {
	for i, c := range []struct {
		name   string
		toNode bool
		flags  []string
	}{
		{"all", false, nil},
		{"agents only", false, []string{"--port", agents}},
		{"from the owner", false, []string{"--one-way"}},
		{"to the owner", true, []string{"--one-way"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := echo(t, 170+10*i)
			before := p.owner(t)
			t.Cleanup(func() { _ = lab.Fault(context.WithoutCancel(t.Context()), "heal") })
			stop := curious(t, p.addrs[:]...)
			var healed time.Time
			o := p.outage(t, func() error {
				if err := partition(t.Context(), before, c.toNode, c.flags...); err != nil {
					return err
				}
				time.Sleep(4 * time.Second)
				healed = time.Now()
				return lab.Fault(t.Context(), "heal")
			})
			stop()
			for i, addr := range p.addrs {
				oneAfter(t, o[i], addr, before, healed)
			}
			p.waited(t, o)
			p.returned(t, before)
		})
	}
}

// oneAfter fails the test unless the owner from before a partition has the address alone soon after
// it, and has said so on the wire unasked if another one had it as well.
func oneAfter(t *testing.T, o labctl.Outage, addr, before string, healed time.Time) {
	t.Helper()
	during, after := o.Claims(addr, healed.Add(-2*time.Second)), o.Claims(addr, healed)
	t.Logf("owners of %s since 2 s before it healed: %v", addr, slices.Sorted(maps.Keys(during)))
	for _, n := range others(before) {
		if d := last(after[n], healed); d > oneOwner {
			t.Errorf("%s still claims %s, %s after the partition was told to heal", n, addr, d)
		} else if d > 0 {
			t.Logf("%s last claimed %s %s after the partition was told to heal", n, addr, d.Round(time.Millisecond))
		}
	}
	if len(after[before]) == 0 {
		t.Errorf("%s does not claim %s after the partition", before, addr)
	}
	unasked := o.Unasked(addr, healed)[before]
	switch {
	case len(unasked) > 0:
		t.Logf("%s first told the segment %s after the partition was told to heal that it has %s",
			before, unasked[0].Sub(healed).Round(time.Millisecond), addr)
	case len(during) > 1:
		t.Errorf("%s does not tell the segment unasked that it has %s, although another node claimed it", before, addr)
	}
}

// TestAgentsThatCannotTalkSettleOnTheWire: the segment is whole and speakers do not know of each
// other. The owner that ranks lower hears the other one and steps back, for as long as it lasts.
func TestAgentsThatCannotTalkSettleOnTheWire(t *testing.T) {
	p := echo(t, 70)
	before := p.owner(t)
	t.Cleanup(func() { _ = lab.Fault(context.WithoutCancel(t.Context()), "heal") })
	stop := curious(t, p.addrs[:]...)
	var settled time.Time
	o := p.outage(t, func() error {
		if err := partition(t.Context(), before, false, "--port", agents); err != nil {
			return err
		}
		time.Sleep(3 * time.Second)
		settled = time.Now()
		return nil
	})
	stop()
	for i, addr := range p.addrs {
		claims := o[i].Claims(addr, settled)
		if len(claims[before]) == 0 {
			t.Errorf("%s, which ranks first, does not claim %s 3 s into the partition", before, addr)
		}
		for _, n := range others(before) {
			if times := claims[n]; len(times) > 0 {
				t.Errorf("%s claims %s %d times, first %s into the partition, want %s alone, which ranks first",
					n, addr, len(times), times[0].Sub(settled)+3*time.Second, before)
			}
		}
	}
	p.waited(t, o)
	fault(t, "link-down", before)
	p.moved(t, before)
	fault(t, "heal") // of the link as well
	p.returned(t, before)
}

// TestAZombieDoesNotAnswer: a speaker that was frozen while it lost its addresses must not
// answer for them when it goes on, not even what waits in its sockets. Addresses are sticky, so
// that it has no right to any of them later. The kubelet is frozen as well, so that it does not end
// a speaker whose liveness probe fails: one of them just goes on, the other one wakes up to SIGTERM.
func TestAZombieDoesNotAnswer(t *testing.T) {
	for i, c := range []struct {
		name   string
		frozen time.Duration
		wake   []string
	}{
		{"goes on", 30 * time.Second, []string{"cont"}},
		{"is told to end", 5 * time.Second, []string{"term", "cont"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := echo(t, 210+10*i)
			apply(t, fmt.Sprintf(`
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: a-sticky, namespace: %s}
spec: {ipAddressPools: [%s], election: {sticky: true}}
`, labctl.Namespace, p.pool))
			zombie := p.owner(t)
			signal := func(what string, components ...string) error {
				for _, component := range components {
					if err := lab.Fault(context.WithoutCancel(t.Context()), what, zombie, component); err != nil {
						return err
					}
				}
				return nil
			}
			stop := curious(t, p.addrs[:]...)
			var woke time.Time
			o := p.outage(t, func() error {
				time.Sleep(time.Second) // every speaker has read that the addresses are sticky
				if err := signal("stop", "kubelet", "speaker"); err != nil {
					return err
				}
				t.Cleanup(func() {
					_ = signal("cont", "kubelet", "speaker") // nothing is frozen, unless the story failed
					speakersReady(t)
				})
				time.Sleep(c.frozen)
				woke = time.Now()
				for _, what := range c.wake {
					if err := signal(what, "speaker"); err != nil {
						return err
					}
				}
				time.Sleep(settle) // beside that of each outage
				return signal("cont", "kubelet")
			})
			stop()
			for i, addr := range p.addrs {
				noZombie(t, o[i].Claims(addr, woke), addr, zombie, woke)
			}
			p.waited(t, o)
		})
	}
}

// noZombie fails the test if a node claimed an address after it woke up while another one did. When
// the others have stopped, it is the owner again and may.
func noZombie(t *testing.T, claims map[string][]time.Time, addr, zombie string, woke time.Time) {
	t.Helper()
	var end time.Duration // of the others' claims
	for n, times := range claims {
		if n != zombie {
			end = max(end, last(times, woke))
		}
	}
	if end == 0 {
		t.Errorf("nobody else claims %s after %s woke up", addr, zombie)
	}
	wrong := slices.DeleteFunc(claims[zombie], func(at time.Time) bool { return at.Sub(woke) > end })
	if len(wrong) > 0 {
		t.Errorf("%s claimed %s %d times after it woke up, first after %s, while another node has it",
			zombie, addr, len(wrong), wrong[0].Sub(woke))
	}
}
