// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/labctl"
)

var families = []struct{ name, pool, pool2 string }{
	{"IPv4", "192.168.101.70-192.168.101.79", "192.168.101.80-192.168.101.89"},
	{"IPv6", "fd00:100::7:10-fd00:100::7:20", "fd00:100::8:10-fd00:100::8:20"},
}

// curious makes the client ask who has an address all the time, so that every owner shows
// itself at once, until the test or the returned function ends it.
func curious(t *testing.T, addr string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			_, _ = lab.Exec(ctx, "client", "sh", "-c", // it ends with the test
				"for i in $(seq 200); do ip neigh flush to "+addr+"; sleep 0.02; done")
		}
	}()
	stop = func() { cancel(); <-done }
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

// TestPartitionsHeal cuts the owner off from the other nodes, in several ways, while the
// client reaches all of them. Two owners are allowed meanwhile; after it, one.
func TestPartitionsHeal(t *testing.T) {
	for _, family := range families {
		for name, flags := range map[string][]string{
			"all":        nil,
			"agent only": {"--port", "7946"},
			"one way":    {"--one-way"},
		} {
			t.Run(family.name+"/"+name, func(t *testing.T) {
				addr, target := echo(t, family.name, family.pool)
				before := owner(t, addr)
				t.Cleanup(func() { _ = lab.Fault(context.WithoutCancel(t.Context()), "heal") })
				stop := curious(t, addr)
				var healed time.Time
				o := outage(t, target, func() error {
					for _, n := range others(before) {
						if err := lab.Fault(t.Context(), append([]string{"partition", before, n}, flags...)...); err != nil {
							return err
						}
					}
					time.Sleep(4 * time.Second)
					healed = time.Now()
					return lab.Fault(t.Context(), "heal")
				})
				stop()
				during, after := o.Claims(addr, healed.Add(-2*time.Second)), o.Claims(addr, healed)
				t.Logf("owners in the last 2 s before it healed: %v", slices.Sorted(maps.Keys(during)))
				for _, n := range others(before) {
					if d := last(after[n], healed); d > oneOwner {
						t.Errorf("%s still claims %s, %s after the partition was told to heal", n, addr, d)
					} else if d > 0 {
						t.Logf("%s last claimed the address %s after the partition was told to heal", n, d.Round(time.Millisecond))
					}
				}
				if len(after[before]) == 0 {
					t.Errorf("%s does not claim %s after the partition", before, addr)
				}
				if o.LongestGapMS > 3000 {
					t.Errorf("the client waited %.0f ms", o.LongestGapMS)
				}
				returned(t, addr, before)
			})
		}
	}
}

// TestAgentsThatCannotTalkSettleOnTheWire: the segment is whole and gossip is not. The owner
// that ranks lower hears the other one and steps back, for as long as it lasts.
func TestAgentsThatCannotTalkSettleOnTheWire(t *testing.T) {
	for _, family := range families {
		t.Run(family.name, func(t *testing.T) {
			addr, target := echo(t, family.name, family.pool)
			before := owner(t, addr)
			t.Cleanup(func() {
				_ = lab.Fault(context.WithoutCancel(t.Context()), "heal")
				_ = lab.Fault(context.WithoutCancel(t.Context()), "power-on", before) // it is on, unless the story failed
			})
			stop := curious(t, addr)
			var settled time.Time
			o := outage(t, target, func() error {
				for _, n := range others(before) {
					if err := lab.Fault(t.Context(), "partition", before, n, "--port", "7946"); err != nil {
						return err
					}
				}
				time.Sleep(3 * time.Second)
				settled = time.Now()
				time.Sleep(2 * time.Second)
				return nil
			})
			stop()
			claims := o.Claims(addr, settled)
			if len(claims[before]) == 0 {
				t.Errorf("%s, which ranks first, does not claim %s 3 s into the partition", before, addr)
			}
			for _, n := range others(before) {
				for _, at := range claims[n] {
					t.Errorf("%s claims %s %s into the partition, want %s alone, which ranks first", n, addr, at.Sub(settled)+3*time.Second, before)
				}
			}
			fault(t, "power-off", before)
			moved(t, addr, before)
			fault(t, "heal")
			switchOn(t, before)
			returned(t, addr, before)
		})
	}
}

// TestAZombieDoesNotAnswer: a speaker that was frozen while it lost its addresses must not
// answer for them when it goes on, not even what waits in its sockets. Addresses are sticky, so
// that it has no right to any of them later. One of them is frozen for so long that its liveness
// probe has failed: it wakes up to the kubelet's SIGTERM. The other one just goes on.
func TestAZombieDoesNotAnswer(t *testing.T) {
	for i, family := range families {
		frozen := []time.Duration{30 * time.Second, 12 * time.Second}[i]
		t.Run(family.name, func(t *testing.T) {
			apply(t, fmt.Sprintf(`
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: a-sticky, namespace: %s}
spec: {ipAddressPools: [failover], election: {sticky: true}}
`, labctl.Namespace))
			addr, target := echo(t, family.name, family.pool2)
			zombie := owner(t, addr)
			stop := curious(t, addr)
			var woke time.Time
			o := outage(t, target, func() error {
				if err := lab.Fault(t.Context(), "stop", zombie, "speaker"); err != nil {
					return err
				}
				time.Sleep(frozen)
				woke = time.Now()
				return lab.Fault(t.Context(), "cont", zombie, "speaker")
			})
			stop()
			claims := o.Claims(addr, woke)
			if n := len(claims[zombie]); n > 0 {
				t.Errorf("%s answered %d times for %s after it woke up, first after %s", zombie, n, addr, claims[zombie][0].Sub(woke))
			}
			if len(claims) == 0 {
				t.Error("nobody was heard: nothing was measured")
			}
			if o.LongestGapMS > 3000 {
				t.Errorf("claims by %v, longest gap %.0f ms", slices.Sorted(maps.Keys(claims)), o.LongestGapMS)
			}
		})
	}
}
