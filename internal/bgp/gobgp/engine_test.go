// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	api "github.com/osrg/gobgp/v3/api"
	"github.com/osrg/gobgp/v3/pkg/server"

	"github.com/clarion-lb/clarion/internal/bgp"
	"github.com/clarion-lb/clarion/internal/lb"
)

// brake makes a server stop after some more calls, as a peer does that reads nothing.
type brake struct {
	mu    sync.Mutex
	calls int
	held  chan struct{}
}

// Observe implements server.FSMTimingHook; the server calls it after each thing that it has done.
func (b *brake) Observe(op server.FSMOperation, _, _ time.Duration) {
	if op != server.FSMMgmtOp {
		return
	}
	b.mu.Lock()
	b.calls--
	held := b.held
	stop := held != nil && b.calls <= 0
	b.mu.Unlock()
	if stop {
		<-held
	}
}

// hold makes the server stop after some calls, until the result is called.
func (b *brake) hold(t *testing.T, calls int) func() {
	held := make(chan struct{})
	b.mu.Lock()
	b.held, b.calls = held, calls
	b.mu.Unlock()
	free := sync.OnceFunc(func() {
		b.mu.Lock()
		b.held = nil
		b.mu.Unlock()
		close(held)
	})
	t.Cleanup(free)
	return free
}

// stand is a slot whose passes the test makes, with an engine that can be stopped and another.
type stand struct {
	*slot
	t     *testing.T
	phase bgp.Phase // that the peer is to have
	brake brake
}

func newStand(t *testing.T, log *slog.Logger, p lb.Peer) *stand {
	t.Helper()
	id := netip.MustParseAddr("127.0.0.8")
	pool, err := newPool(slog.New(slog.DiscardHandler), id, 1)
	if err != nil {
		t.Fatal(err)
	}
	st := &stand{t: t}
	l := newEngineLog(pool.log)
	e := &engine{server: server.NewBgpServer(server.LoggerOption(l), server.TimingHookOption(&st.brake)), log: l}
	go e.server.Serve()
	if err := e.start(base{routerID: id}); err != nil {
		t.Fatal(err)
	}
	engines := []*engine{e, pool.idle[0]}
	t.Cleanup(func() {
		for _, e := range engines {
			_ = e.server.StopBgp(context.Background(), &api.StopBgpRequest{})
		}
	})
	pool.keep(e) // the last is taken first
	st.slot = newSlot(p.Name, Options{Log: log, RouterID: id, Kick: func() {}}, pool)
	st.set(bgp.PeerWant{Peer: p, Routes: routes("10.0.0.1/32")}, "")
	return st
}

func routes(prefixes ...string) (out []lb.Route) {
	for _, p := range prefixes {
		out = append(out, lb.Route{Prefix: netip.MustParsePrefix(p)})
	}
	return out
}

// until makes passes until something is so.
func (st *stand) until(what string, ok func() bool) {
	st.t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); {
		if time.Now().After(end) {
			st.t.Fatalf("never %s: %+v", what, st.observe())
		}
		st.pass(st.t.Context())
		select {
		case <-st.wake:
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// stopped waits, without passes, until the engine is in the pool, and without peer or listener.
func (st *stand) stopped(e *engine) {
	st.t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		st.pool.mu.Lock()
		idle := slices.Contains(st.pool.idle, e)
		st.pool.mu.Unlock()
		if idle {
			break
		}
		if time.Now().After(end) {
			st.t.Fatal("the engine does not come back")
		}
	}
	st.brake.mu.Lock()
	after := -st.brake.calls
	st.brake.mu.Unlock()
	if after > 5 { // the outstanding one, the end of the watch, the stop
		st.t.Errorf("the engine was asked to do %d things more", after)
	}
	peers := 0
	err := e.server.ListPeer(context.Background(), &api.ListPeerRequest{}, func(*api.Peer) { peers++ })
	if err != nil || peers != 0 || e.base != (base{}) {
		st.t.Errorf("the engine has %d peers and base %+v: %v", peers, e.base, err)
	}
}

// leave lets the engine answer some calls more, the first of which is the look at the session, and
// gives the slot another wish.
func (st *stand) leave(calls int, change func(*bgp.PeerWant)) {
	st.t.Helper()
	st.until("served", st.served)
	old, want := st.engine, st.want
	free := st.brake.hold(st.t, calls)
	change(&want)
	st.set(want, "")
	st.until("left behind", func() bool { return st.engine != old })
	free()
	st.stopped(old)
	st.until("served in the end", st.served)
}

func (st *stand) served() bool {
	return st.have.Added && st.observe().Phase == st.phase && len(st.have.Routes) == len(st.want.Routes)
}

// take lets the slot take an engine that does not answer.
func (st *stand) take() {
	free := st.brake.hold(st.t, 1)
	e := st.pool.idle[len(st.pool.idle)-1]
	if err := e.server.ListPeer(context.Background(), &api.ListPeerRequest{}, func(*api.Peer) {}); err != nil {
		st.t.Fatal(err)
	}
	st.until("given up", func() bool { return st.failure != nil })
	st.until("served by another", st.served)
	free()
	st.stopped(e)
}

// leaveUnclean gives an engine back that has a peer and routes, and answers later.
func (st *stand) leaveUnclean() {
	st.until("served", st.served)
	e, free := st.engine, st.brake.hold(st.t, 1)
	if _, err := st.list(); err != nil {
		st.t.Fatal(err)
	}
	st.release()
	free()
	st.stopped(e)
}

func longer(w *bgp.PeerWant) { w.Peer.HoldTime = time.Minute }

func many(w *bgp.PeerWant) {
	for i := range chunk {
		w.Routes = append(w.Routes, lb.Route{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 32)})
	}
}

// An engine that is left behind is nobody's, so it must end what it does for the peer as soon as it
// can: two servers that contend for one neighbour give it no session that lasts.
func TestAnEngineThatDoesNotAnswerLetsGoOfItsPeer(t *testing.T) {
	for name, c := range map[string]struct {
		phase bgp.Phase
		leave func(*stand)
	}{
		"at AddPeer":          {bgp.Established, func(st *stand) { st.leave(2, longer) }},
		"at DeletePeer":       {bgp.Established, func(st *stand) { st.leave(1, longer) }},
		"at AddPath":          {bgp.Established, func(st *stand) { st.leave(2, many) }},
		"at ListPeer":         {bgp.Connecting, func(st *stand) { st.leave(1, func(*bgp.PeerWant) {}) }},
		"when it is taken":    {bgp.Connecting, (*stand).take},
		"when it is released": {bgp.Connecting, (*stand).leaveUnclean},
	} {
		p := lb.Peer{Name: "a", MyASN: ourASN, PeerASN: theirASN, Address: netip.MustParseAddr("127.0.0.1"), Port: freePort(t), ConnectTime: time.Second}
		if c.phase == bgp.Established {
			p.Port = newRemote(t, false).port
		}
		st := newStand(t, slog.New(slog.DiscardHandler), p)
		st.phase = c.phase
		t.Run(name, func(t *testing.T) {
			t.Parallel() // when all servers have been started
			st.t = t
			c.leave(st)
		})
	}
}

func TestAnEngineThatDoesNotAnswerFreesItsPort(t *testing.T) {
	st := newStand(t, slog.New(slog.DiscardHandler), lb.Peer{
		Name: "a", MyASN: ourASN, PeerASN: theirASN, Address: netip.MustParseAddr("127.0.0.1"), Source: netip.MustParseAddr("127.0.0.1"), ListenPort: freePort(t),
	})
	st.phase = bgp.Connecting
	st.leave(2, longer)
}

func TestAFailureIsLoggedWhenItIsNews(t *testing.T) {
	var text bytes.Buffer
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	st := newStand(t, slog.New(slog.NewTextHandler(&text, nil)), lb.Peer{
		Name: "a", MyASN: ourASN, PeerASN: theirASN, Address: netip.MustParseAddr("127.0.0.1"), Source: netip.MustParseAddr("127.0.0.1"),
		ListenPort: netip.MustParseAddrPort(taken.Addr().String()).Port(),
	})
	for range 3 {
		st.pass(t.Context())
	}
	if n := strings.Count(text.String(), `msg="start engine" peer=a error=`); n != 1 {
		t.Errorf("a port that is taken is logged %d times:\n%s", n, &text)
	}
	taken.Close()
	st.until("served", func() bool { return st.have.Added })
	text.Reset()
	one, two := errors.New("one"), errors.New("two")
	for _, err := range []error{one, one, two, two, nil, two, nil, nil} {
		st.complain("change engine", err)
	}
	if n := strings.Count(text.String(), "\n"); n != 3 {
		t.Errorf("one, two, and two again are logged in %d lines:\n%s", n, &text)
	}
}
