// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clarion-lb/clarion/internal/bfd"
	"github.com/clarion-lb/clarion/internal/bfd/udp"
	"github.com/clarion-lb/clarion/internal/bgp"
	"github.com/clarion-lb/clarion/internal/bgp/bgptest"
	"github.com/clarion-lb/clarion/internal/lb"
)

// fakeNeighbours is BFD whose states the test sets.
type fakeNeighbours struct {
	targets []bfd.Target
	states  map[string]bfd.Status
}

func (f *fakeNeighbours) Set(want []bfd.Target) { f.targets = want }

func (f *fakeNeighbours) Observe() (out []udp.Status) {
	for _, t := range f.targets {
		out = append(out, udp.Status{Target: t, Session: f.states[t.Name]})
	}
	return out
}

// bench is an advertiser with fakes all around it.
type bench struct {
	*advertiser
	router *bgptest.Fake
	bfd    *fakeNeighbours
	links  []lb.Link
	opened int

	mu   sync.Mutex // Run observes on a goroutine of its own
	seen []observedBGP
}

func (b *bench) observe(o observedBGP) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seen = append(b.seen, o)
}

func (b *bench) looks() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.seen)
}

func newBench() *bench {
	b := &bench{router: bgptest.NewFake(), bfd: &fakeNeighbours{states: map[string]bfd.Status{}}}
	b.advertiser = &advertiser{
		log: slog.New(slog.DiscardHandler), kick: make(chan struct{}, 1), watch: b.bfd,
		open:     func(int) (bgp.Router, error) { b.opened++; return b.router, nil },
		links:    func() ([]lb.Link, bool) { return b.links, b.links != nil },
		observed: b.observe,
	}
	return b
}

func peerWant(name string, change func(*lb.Peer)) bgp.PeerWant {
	p := lb.Peer{Name: name, MyASN: 64512, PeerASN: 64513, Address: netip.MustParseAddr("192.0.2.1")}
	if change != nil {
		change(&p)
	}
	return bgp.PeerWant{Peer: p, Routes: []lb.Route{{Prefix: netip.MustParsePrefix("203.0.113.1/32")}}}
}

func TestNoEngineWithoutPeers(t *testing.T) {
	b := newBench()
	b.Set(bgp.Want{})
	b.look(t.Context(), time.Now())
	b.Leave(t.Context(), true)
	if b.opened != 0 {
		t.Error("a router was opened for no peer")
	}
}

func TestEngineThatDoesNotStartIsTriedAgain(t *testing.T) {
	b := newBench()
	open := b.open
	b.open = func(int) (bgp.Router, error) { return nil, errors.New("no") }
	b.Set(bgp.Want{Peers: []bgp.PeerWant{peerWant("a", nil)}})
	if got := b.look(t.Context(), time.Now()); got != lookEvery {
		t.Errorf("looks again after %s", got)
	}
	b.open = open
	b.look(t.Context(), time.Now())
	if !b.router.Received("a").Up {
		t.Error("no session")
	}
}

func TestLinkWithoutCarrierHoldsTheSession(t *testing.T) {
	b := newBench()
	b.Set(bgp.Want{Peers: []bgp.PeerWant{peerWant("a", nil)}})
	b.look(t.Context(), time.Now())
	b.links = []lb.Link{{Name: "eth0", Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.9/24")}}}
	b.look(t.Context(), time.Now())
	if b.router.Received("a").Up {
		t.Error("the session is kept")
	}
	b.links[0].Carrier = true
	b.look(t.Context(), time.Now())
	if !b.router.Received("a").Up {
		t.Error("the session is not back")
	}
}

func TestBFDDownHoldsTheSessionUntilItsPatienceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		profile := lb.DefaultBFDProfile("fast")
		b.Set(bgp.Want{Peers: []bgp.PeerWant{peerWant("a", func(p *lb.Peer) { p.BFD = &profile })}})
		b.look(t.Context(), time.Now()) // opens the session
		b.look(t.Context(), time.Now()) // sees it, and starts BFD
		if len(b.bfd.targets) != 1 || b.bfd.targets[0].Name != "a" {
			t.Fatalf("BFD watches %v", b.bfd.targets)
		}
		b.bfd.states["a"] = bfd.Status{State: bfd.Down, Remote: bfd.Up, EverUp: true, Since: time.Now(), Diagnostic: bfd.DetectionTimeExpired}
		b.look(t.Context(), time.Now())
		if b.router.Received("a").Up {
			t.Error("the session outlives BFD")
		}
		time.Sleep(time.Minute) // virtual: BFD alone does not keep a session down for ever
		b.look(t.Context(), time.Now())
		if !b.router.Received("a").Up {
			t.Error("the session is never tried again")
		}
	})
}

// Peers that share a BFD session fall together, and each says how it is watched.
func TestPeersThatShareABFDSessionAreBothWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		profile := lb.DefaultBFDProfile("fast")
		with := func(port uint16) func(*lb.Peer) { return func(p *lb.Peer) { p.BFD, p.Port = &profile, port } }
		b.Set(bgp.Want{Peers: []bgp.PeerWant{peerWant("a", with(179)), peerWant("b", with(1179))}})
		b.bfd.states["a"] = bfd.Status{State: bfd.Down, Remote: bfd.Down, EverUp: true, Since: time.Now(), Diagnostic: bfd.DetectionTimeExpired}
		for range 3 {
			b.look(t.Context(), time.Now())
		}
		if len(b.bfd.targets) != 1 {
			t.Errorf("BFD watches %v", b.bfd.targets)
		}
		if b.router.Received("a").Up || b.router.Received("b").Up {
			t.Error("a session outlives BFD")
		}
		if w := b.Observe().Watched; len(w) != 2 || w["b"].Status.State != bfd.Down {
			t.Errorf("watched: %+v", w)
		}
	})
}

func TestLeavingWithdrawsWhatNobodyKeeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.Set(bgp.Want{Peers: []bgp.PeerWant{
			peerWant("keeps", func(p *lb.Peer) { p.GracefulRestart = true }),
			peerWant("loses", nil),
		}})
		b.look(t.Context(), time.Now())
		begin := time.Now()
		b.Leave(t.Context(), true)
		if got := time.Since(begin); got < shutdownWarning || got > shutdownTimeout {
			t.Errorf("took %s", got)
		}
		loses, keeps := b.router.Received("loses"), b.router.Received("keeps")
		if loses.Announced != 2 || loses.Withdrawn != 1 {
			t.Errorf("the peer that loses routes: %+v, want a second announcement and a withdrawal", loses)
		}
		if keeps.Announced != 1 || keeps.Withdrawn != 0 {
			t.Errorf("the peer that keeps routes: %+v", keeps)
		}
		if err := b.goodbye(); !errors.Is(err, udp.ErrRestart) {
			t.Errorf("BFD would end with %v", err)
		}
	})
}

func TestLeavingForGoodLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.Set(bgp.Want{Peers: []bgp.PeerWant{peerWant("keeps", func(p *lb.Peer) { p.GracefulRestart = true })}})
		b.look(t.Context(), time.Now())
		b.Leave(t.Context(), false)
		if got := b.router.Received("keeps"); got.Withdrawn != 1 {
			t.Errorf("%+v, want a withdrawal", got)
		}
		if err := b.goodbye(); err != nil {
			t.Errorf("BFD would end with %v", err)
		}
	})
}

func TestRunLooksWhenKickedAndNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- b.Run(ctx) }()
		b.Set(bgp.Want{Peers: []bgp.PeerWant{peerWant("a", nil)}})
		synctest.Wait()
		if !b.router.Received("a").Up {
			t.Error("a kick is not followed")
		}
		before := b.looks()
		time.Sleep(2 * lookEvery)
		synctest.Wait()
		if b.looks() <= before {
			t.Error("nothing is looked at without a kick")
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// lookTime is how long a look at a slowRouter takes.
const lookTime = 100 * time.Millisecond

// slowRouter takes its time for each Set, and notes what it is called for.
type slowRouter struct {
	*bgptest.Fake
	mu    sync.Mutex
	calls []string
}

func (r *slowRouter) note(call string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, call)
}

func (r *slowRouter) Set(ctx context.Context, want bgp.Want) error {
	r.note("set")
	defer r.note("set done")
	time.Sleep(lookTime) // virtual
	return r.Fake.Set(ctx, want)
}

func (r *slowRouter) Stop(ctx context.Context, restart bool) error {
	r.note("stop")
	return r.Fake.Stop(ctx, restart)
}

// A look after or beside the end would open again what is closed, or find a router that has stopped.
func TestLeavingBeginsWhenRunLooksNoMore(t *testing.T) {
	for name, wait := range map[string]time.Duration{"within a look": lookTime / 2, "between looks": 2 * lookTime} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench()
				router := &slowRouter{Fake: b.router}
				b.open = func(int) (bgp.Router, error) { return router, nil }
				b.Set(bgp.Want{Peers: []bgp.PeerWant{peerWant("a", nil)}})
				<-b.kick
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error)
				go func() { done <- b.Run(ctx) }()
				time.Sleep(wait)
				b.Leave(t.Context(), false)
				b.kicked()
				time.Sleep(2 * lookEvery)
				// That of Run, that with GRACEFUL_SHUTDOWN, and the end.
				if want := []string{"set", "set done", "set", "set done", "stop"}; !slices.Equal(router.calls, want) {
					t.Errorf("the router was called for %q, want %q", router.calls, want)
				}
				select {
				case err := <-done:
					t.Errorf("Run ended before its context, with %v", err)
				default:
				}
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestRunAfterLeavingDoesNotLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.Set(bgp.Want{Peers: []bgp.PeerWant{peerWant("a", nil)}})
		b.Leave(t.Context(), false)
		ctx, cancel := context.WithTimeout(t.Context(), 2*lookEvery)
		defer cancel()
		if err := b.Run(ctx); err != nil || b.opened != 0 || b.looks() != 0 {
			t.Errorf("%v, %d routers, %d looks", err, b.opened, b.looks())
		}
	})
}
