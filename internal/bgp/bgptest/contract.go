// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package bgptest

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/bgp"
	"github.com/clarion-lb/clarion/internal/lb"
)

// Lab is a Router with remote routers that it can reach.
type Lab interface {
	// Router returns the Router under test.
	Router() bgp.Router
	// Peer returns the configuration of a remote router by name: one of "a", "b" and "silent",
	// which never answers.
	Peer(name string) lb.Peer
	// Received returns what a remote router has got.
	Received(name string) Received
}

// Contract checks what every Router promises. newLab returns a fresh Lab for each promise, and
// within says how long the Lab may take to come to rest.
func Contract(t *testing.T, newLab func(t *testing.T) Lab, within time.Duration) {
	for _, promise := range []struct {
		name  string
		check func(*bench)
	}{
		{"announces and withdraws", announces},
		{"the same Set twice does nothing", repeats},
		{"changed attributes are announced, not withdrawn", changesAttributes},
		{"an edited peer is reset alone", editsPeer},
		{"a held session ends and comes back with its routes", holds},
		{"a silent peer delays nobody", silence},
		{"a wrong peer is named and harms nobody", rejects},
		{"a removed peer is forgotten", removes},
		{"stop withdraws", drains},
		{"restart leaves the routes to a helper", restarts},
	} {
		t.Run(promise.name, func(t *testing.T) {
			l := newLab(t)
			promise.check(&bench{T: t, lab: l, router: l.Router(), within: within})
		})
	}
}

// bench is a Lab in use.
type bench struct {
	*testing.T
	lab    Lab
	router bgp.Router
	within time.Duration
}

// want is a peer of the lab with routes.
func (b *bench) want(name string, prefixes ...string) bgp.PeerWant {
	w := bgp.PeerWant{Peer: b.lab.Peer(name)}
	for _, p := range prefixes {
		w.Routes = append(w.Routes, lb.Route{Prefix: netip.MustParsePrefix(p)})
	}
	return w
}

func (b *bench) set(peers ...bgp.PeerWant) {
	b.Helper()
	if err := b.router.Set(b.Context(), bgp.Want{Peers: peers}); err != nil {
		b.Fatal(err)
	}
}

// wait waits until check returns "".
func (b *bench) wait(check func() string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), b.within)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		problem := check()
		if problem == "" {
			return
		}
		select {
		case <-ctx.Done():
			state, _ := b.router.Observe(b.Context())
			b.Fatalf("%s\nobserved: %+v", problem, state)
		case <-tick.C:
		}
	}
}

// has waits until a remote router has exactly the prefixes.
func (b *bench) has(name string, prefixes ...string) {
	b.Helper()
	b.wait(func() string {
		var got []string
		for _, r := range b.lab.Received(name).Routes {
			got = append(got, r.Prefix.String())
		}
		if !slices.Equal(got, prefixes) {
			return fmt.Sprintf("router %s has %v, want %v", name, got, prefixes)
		}
		return ""
	})
}

// up waits until the session with a peer is established.
func (b *bench) up(name string) {
	b.Helper()
	b.phase(name, bgp.Established)
}

func (b *bench) phase(name string, want bgp.Phase) {
	b.Helper()
	b.wait(func() string {
		state, err := b.router.Observe(b.Context())
		if err != nil {
			return err.Error()
		}
		if s, _ := state.Find(name); s.Phase != want {
			return fmt.Sprintf("session with %s is %q, want %q", name, s.Phase, want)
		}
		return ""
	})
}

// marker is a route that is announced last: when it has arrived, so has all before it.
const marker = "10.9.9.9/32"

func announces(b *bench) {
	b.set(b.want("a", "10.0.0.1/32", "10.0.0.2/32"), b.want("b", "10.0.0.2/32"))
	b.has("a", "10.0.0.1/32", "10.0.0.2/32")
	b.has("b", "10.0.0.2/32")
	b.up("a")
	b.set(b.want("a", "10.0.0.2/32", "10.0.0.3/32"), b.want("b"))
	b.has("a", "10.0.0.2/32", "10.0.0.3/32")
	b.has("b")
	if n := b.lab.Received("b").Sessions; n != 1 {
		b.Errorf("withdrawing the last route cost a session: %d", n)
	}
}

func repeats(b *bench) {
	b.set(b.want("a", "10.0.0.1/32", "10.0.0.2/32"))
	b.has("a", "10.0.0.1/32", "10.0.0.2/32")
	before := b.lab.Received("a")
	for range 5 {
		b.set(b.want("a", "10.0.0.1/32", "10.0.0.2/32"))
	}
	b.set(b.want("a", "10.0.0.1/32", "10.0.0.2/32", marker))
	b.has("a", "10.0.0.1/32", "10.0.0.2/32", marker)
	after := b.lab.Received("a")
	if after.Announced != before.Announced+1 || after.Withdrawn != 0 || after.Sessions != 1 {
		b.Errorf("before %+v, after %+v", before, after)
	}
}

func changesAttributes(b *bench) {
	b.set(b.want("a", "10.0.0.1/32", "10.0.0.2/32"))
	b.has("a", "10.0.0.1/32", "10.0.0.2/32")
	before := b.lab.Received("a")
	w := b.want("a", "10.0.0.1/32", "10.0.0.2/32")
	w.Routes[0].Communities = []lb.Community{{A: 64512, B: 7}, {Kind: lb.LargeCommunity, A: 1, B: 2, C: 3}}
	w.Routes[0].MED = 30
	b.set(w)
	b.wait(func() string {
		if r := b.lab.Received("a").Routes; len(r) != 2 || !r[0].Equal(w.Routes[0]) {
			return fmt.Sprintf("got %+v, want %+v", r, w.Routes)
		}
		return ""
	})
	after := b.lab.Received("a")
	if after.Announced != before.Announced+1 || after.Withdrawn != 0 || after.Sessions != 1 {
		b.Errorf("before %+v, after %+v", before, after)
	}
}

func editsPeer(b *bench) {
	b.set(b.want("a", "10.0.0.1/32"), b.want("b", "10.0.0.1/32"))
	b.has("a", "10.0.0.1/32")
	b.has("b", "10.0.0.1/32")
	w := b.want("a", "10.0.0.1/32")
	w.Peer.HoldTime = 30 * time.Second
	b.set(w, b.want("b", "10.0.0.1/32"))
	b.wait(func() string {
		if r := b.lab.Received("a"); r.Sessions != 2 || len(r.Routes) != 1 {
			return fmt.Sprintf("edited peer: %+v", r)
		}
		return ""
	})
	if r := b.lab.Received("b"); r.Sessions != 1 || r.Announced != 1 || !r.Up {
		b.Errorf("the other peer: %+v", r)
	}
}

func holds(b *bench) {
	b.set(b.want("a", "10.0.0.1/32"))
	b.has("a", "10.0.0.1/32")
	b.up("a")
	w := b.want("a", "10.0.0.1/32")
	w.Hold = bgp.BFDDown
	b.set(w)
	b.phase("a", bgp.Held)
	b.has("a")
	w = b.want("a", "10.0.0.1/32", "10.0.0.2/32")
	b.set(w)
	b.has("a", "10.0.0.1/32", "10.0.0.2/32")
	b.up("a")
}

func silence(b *bench) {
	start := time.Now()
	b.set(b.want("a", "10.0.0.1/32"), b.want("silent", "10.0.0.1/32"))
	b.has("a", "10.0.0.1/32")
	for range 20 {
		b.set(b.want("a", "10.0.0.1/32"), b.want("silent", "10.0.0.1/32", "10.0.0.2/32"))
		b.set(b.want("a", "10.0.0.1/32"), b.want("silent", "10.0.0.1/32"))
	}
	b.set(b.want("a", "10.0.0.1/32"))
	b.set(b.want("a", "10.0.0.1/32", "10.0.0.2/32"))
	b.has("a", "10.0.0.1/32", "10.0.0.2/32")
	if took := time.Since(start); took > b.within {
		b.Errorf("took %s beside a silent peer", took)
	}
}

func rejects(b *bench) {
	bad := b.want("b", "10.0.0.1/32")
	bad.Peer.MyASN = 0
	err := b.router.Set(b.Context(), bgp.Want{Peers: []bgp.PeerWant{b.want("a", "10.0.0.1/32"), bad}})
	if err == nil || !strings.Contains(err.Error(), "serve peer b: missing local ASN") {
		b.Errorf("Set returned %v", err)
	}
	b.has("a", "10.0.0.1/32")
	b.wait(func() string {
		state, _ := b.router.Observe(b.Context())
		if s, _ := state.Find("b"); s.Reason != bgp.PeerRejected || s.Detail == "" {
			return fmt.Sprintf("rejected peer is seen as %+v", s)
		}
		return ""
	})
	b.set(b.want("a", "10.0.0.1/32"), b.want("b", "10.0.0.1/32"))
	b.has("b", "10.0.0.1/32")
}

func removes(b *bench) {
	b.set(b.want("a", "10.0.0.1/32"), b.want("b", "10.0.0.1/32"))
	b.has("a", "10.0.0.1/32")
	b.has("b", "10.0.0.1/32")
	b.set(b.want("b", "10.0.0.1/32"))
	b.has("a")
	state, _ := b.router.Observe(b.Context())
	if _, ok := state.Find("a"); ok || len(state.Sessions) != 1 {
		b.Errorf("observed %+v", state)
	}
	b.set(b.want("a", "10.0.0.5/32"), b.want("b", "10.0.0.1/32"))
	b.has("a", "10.0.0.5/32")
}

func drains(b *bench) {
	b.set(b.want("a", "10.0.0.1/32", "10.0.0.2/32"))
	b.has("a", "10.0.0.1/32", "10.0.0.2/32")
	b.up("a")
	if err := b.router.Stop(b.Context(), false); err != nil {
		b.Fatal(err)
	}
	b.has("a")
	b.wait(func() string {
		if r := b.lab.Received("a"); r.Up || r.Withdrawn != 2 {
			return fmt.Sprintf("after Stop: %+v", r)
		}
		return ""
	})
	if err := b.router.Set(b.Context(), bgp.Want{}); err == nil {
		b.Error("Set works after Stop")
	}
}

func restarts(b *bench) {
	helper, other := b.want("a", "10.0.0.1/32"), b.want("b", "10.0.0.1/32")
	helper.Peer.GracefulRestart = true
	b.set(helper, other)
	b.has("a", "10.0.0.1/32")
	b.has("b", "10.0.0.1/32")
	b.up("a")
	b.up("b")
	if err := b.router.Stop(b.Context(), true); err != nil {
		b.Fatal(err)
	}
	b.has("b")
	if r := b.lab.Received("a"); len(r.Routes) != 1 || r.Withdrawn != 0 {
		b.Errorf("the helper's side: %+v", r)
	}
}
