// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package bgp_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/bfd"
	"github.com/clarion-lb/clarion/internal/bfd/udp"
	"github.com/clarion-lb/clarion/internal/bgp"
	"github.com/clarion-lb/clarion/internal/bgp/gobgp"
	"github.com/clarion-lb/clarion/internal/l2/wire"
	"github.com/clarion-lb/clarion/internal/lb"
	"github.com/clarion-lb/clarion/internal/link"
	"github.com/clarion-lb/clarion/internal/plan"
)

// request is a line that a test sends to the speaker process; every request gets one reply.
type request struct {
	BFD  *[]bfd.Target `json:",omitempty"` // BFD alone
	BGP  *bgp.Want     `json:",omitempty"` // BGP, with BFD for the peers that have a profile
	Stop string        `json:",omitempty"` // "drain" or "restart"
}

// reply is what the speaker observes after a request.
type reply struct {
	BFD   []udp.Status
	BGP   bgp.State
	Told  []plan.SessionState // the content of the BGPSessionStates
	Set   string              // error of Set
	Error string
}

// daemon is the speaker process: a router and BFD, put together as the speaker's main does it.
type daemon struct {
	log    *slog.Logger
	watch  *udp.Manager
	router *gobgp.Router
	links  *link.Watcher
	kick   chan struct{}
	mu     sync.Mutex
	want   *bgp.Want
	gated  bgp.Gated
	cause  error // of the end
}

// loop applies the wish again whenever something happened.
func (d *daemon) loop(ctx context.Context) {
	for {
		wait := time.Hour
		d.mu.Lock()
		if d.want != nil {
			if next, _ := d.apply(ctx); !next.IsZero() {
				wait = time.Until(next)
			}
		}
		d.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-d.kick:
		case <-time.After(wait):
		}
	}
}

// apply holds the sessions that BFD forbids and hands the wish to the router.
func (d *daemon) apply(ctx context.Context) (time.Time, error) {
	state, _ := d.router.Observe(ctx)
	seen := bgp.Seen{State: state}
	for _, st := range d.watch.Observe() {
		seen.BFD = append(seen.BFD, bgp.Watched{Target: st.Target, Status: st.Session, Problem: st.Problem})
	}
	seen.Links, seen.Known = d.links.Links()
	d.gated = bgp.Gate(*d.want, seen, time.Now())
	d.watch.Set(d.gated.Targets)
	return d.gated.Again, d.router.Set(ctx, d.gated.Want)
}

// speak is the speaker process: it serves requests until its input ends.
func speak(in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	d := &daemon{kick: make(chan struct{}, 1), log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	kick := func() {
		select {
		case d.kick <- struct{}{}:
		default:
		}
	}
	var err error
	if d.watch, err = udp.New(udp.Options{Log: d.log, Kick: kick}); err != nil {
		return err
	}
	d.router, err = gobgp.New(gobgp.Options{
		Log: d.log, RouterID: netip.MustParseAddr("192.0.2.1"), Kick: kick, Discover: wire.Routers, Ready: 4,
	})
	if err != nil {
		return err
	}
	d.links = link.New(d.log, func([]lb.Link) { kick() })
	var wg sync.WaitGroup
	wg.Go(func() { _ = d.links.Run(ctx) }) // ends with ctx only
	wg.Go(func() {
		if err := d.watch.Run(ctx); err != nil {
			d.log.Error("run BFD", "err", err)
		}
	})
	go d.loop(ctx)
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var req request
		if err := json.Unmarshal(lines.Bytes(), &req); err != nil {
			return fmt.Errorf("read request: %w", err)
		}
		b, err := json.Marshal(d.answer(ctx, req))
		if err != nil {
			return fmt.Errorf("write reply: %w", err)
		}
		fmt.Fprintf(out, "%s\n", b)
	}
	cancel(d.cause)
	wg.Wait()
	return nil
}

// answer does what a request asks for and reports what is.
func (d *daemon) answer(ctx context.Context, req request) reply {
	var rep reply
	if req.BFD != nil {
		d.watch.Set(*req.BFD)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if req.BGP != nil {
		d.want = req.BGP
		if _, err := d.apply(ctx); err != nil {
			rep.Set = err.Error()
		}
	}
	if req.Stop != "" {
		if err := d.router.Stop(ctx, req.Stop == "restart"); err != nil {
			rep.Error = err.Error()
		}
		d.want = nil
		if req.Stop == "restart" {
			d.cause = udp.ErrRestart
		}
	}
	rep.BFD = d.watch.Observe()
	rep.BGP, _ = d.router.Observe(ctx)
	rep.Told = plan.SessionStates("n1", rep.BGP.Sessions, d.gated.Watched, time.Now())
	return rep
}

// speaker is the test's end of a speaker process.
type speaker struct {
	*process
	t   *testing.T
	in  io.WriteCloser
	out *bufio.Reader
	mu  sync.Mutex
}

// startSpeaker runs the test binary as a speaker in the namespace of a host.
func (s *segment) startSpeaker(host string) *speaker {
	s.t.Helper()
	sp := &speaker{t: s.t}
	sp.process = s.start(host, func(cmd *exec.Cmd) {
		cmd.Env = append(os.Environ(), roleEnv+"=1")
		cmd.Stdout = nil
		in, err := cmd.StdinPipe()
		if err != nil {
			s.t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			s.t.Fatal(err)
		}
		sp.in, sp.out = in, bufio.NewReaderSize(out, 64<<20)
	}, os.Args[0])
	return sp
}

// ask sends a request and returns the reply.
func (sp *speaker) ask(req request) reply {
	sp.t.Helper()
	sp.mu.Lock()
	defer sp.mu.Unlock()
	b, err := json.Marshal(req)
	if err != nil {
		sp.t.Fatal(err)
	}
	if _, err := sp.in.Write(append(b, '\n')); err != nil {
		sp.t.Fatalf("ask the speaker: %v: %s", err, tail(sp.process.out.String(), 2000))
	}
	line, err := sp.out.ReadString('\n')
	if err != nil {
		sp.t.Fatalf("read the speaker's answer: %v: %s", err, tail(sp.process.out.String(), 2000))
	}
	var rep reply
	if err := json.NewDecoder(strings.NewReader(line)).Decode(&rep); err != nil {
		sp.t.Fatal(err)
	}
	if rep.Error != "" {
		sp.t.Fatalf("speaker: %s", rep.Error)
	}
	return rep
}

// quit ends the speaker as SIGTERM would.
func (sp *speaker) quit() {
	_ = sp.in.Close()
	<-sp.done
}

// watch hands targets to the BFD manager.
func (sp *speaker) watch(targets ...bfd.Target) {
	sp.t.Helper()
	if targets == nil {
		targets = []bfd.Target{} // none is another wish than no wish
	}
	sp.ask(request{BFD: &targets})
}

// route hands peers with their routes to the router and returns the error of Set.
func (sp *speaker) route(peers ...bgp.PeerWant) string {
	sp.t.Helper()
	if peers == nil {
		peers = []bgp.PeerWant{}
	}
	return sp.ask(request{BGP: &bgp.Want{Peers: peers}}).Set
}

// state returns the session with a peer.
func (sp *speaker) state(name string) bgp.Session {
	sp.t.Helper()
	s, _ := sp.ask(request{}).BGP.Find(name)
	return s
}
