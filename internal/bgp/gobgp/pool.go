// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"

	api "github.com/osrg/gobgp/v3/api"
	"github.com/osrg/gobgp/v3/pkg/server"
)

// placeholderASN is the AS number of the servers themselves. Every peer has one of its own, so
// this one is never sent; AS_TRANS cannot be anybody's (RFC 6793).
const placeholderASN = 23456

// base is what a server is started with.
type base struct {
	routerID netip.Addr
	listen   netip.AddrPort // of a passive peer; invalid means that the server only connects
	device   string         // that the listener is bound to, or ""
}

// global is the engine's form of it.
func (b base) global() *api.Global {
	g := &api.Global{Asn: placeholderASN, RouterId: b.routerID.String(), ListenPort: -1}
	if b.listen.IsValid() {
		g.ListenPort, g.ListenAddresses, g.BindToDevice = int32(b.listen.Port()), []string{b.listen.Addr().String()}, b.device
	}
	return g
}

// engine is one server, for one peer at a time.
type engine struct {
	server *server.BgpServer
	log    *engineLog
	base   base // the zero base while it is stopped
}

// pool keeps the servers that serve no peer. Starting one while another has traffic is a data race
// inside the engine, on variables to which the same values are written again; servers that are
// started early avoid even that.
type pool struct {
	log *slog.Logger

	mu   sync.Mutex
	idle []*engine
}

func newPool(log *slog.Logger, routerID netip.Addr, ready int) (*pool, error) {
	p := &pool{log: log}
	for range ready {
		e := p.create()
		if err := e.start(base{routerID: routerID}); err != nil {
			return nil, err
		}
		p.idle = append(p.idle, e)
	}
	return p, nil
}

// create makes a server that is not started. Its Serve never returns, so it is used again and again.
func (p *pool) create() *engine {
	l := newEngineLog(p.log)
	e := &engine{server: server.NewBgpServer(server.LoggerOption(l)), log: l}
	go e.server.Serve()
	return e
}

// start makes the server one with a base.
func (e *engine) start(b base) error {
	if e.base == b {
		return nil
	}
	if err := e.stop(); err != nil {
		return err
	}
	if err := e.server.StartBgp(context.Background(), &api.StartBgpRequest{Global: b.global()}); err != nil {
		if b.listen.IsValid() {
			return fmt.Errorf("listen on %s: %w", b.listen, err)
		}
		return fmt.Errorf("start server with router ID %s: %w", b.routerID, err)
	}
	e.base = b
	return importOwn(e.server) // a start forgets the policies
}

// stop closes the listener and forgets the paths.
func (e *engine) stop() error {
	if e.base == (base{}) {
		return nil
	}
	if err := e.server.StopBgp(context.Background(), &api.StopBgpRequest{}); err != nil {
		return fmt.Errorf("stop server with router ID %s: %w", e.base.routerID, err)
	}
	e.base = base{}
	return nil
}

// take returns a started server without peers and paths.
func (p *pool) take(b base) (*engine, error) {
	e := p.pick(b)
	if e == nil {
		e = p.create()
	}
	if err := p.ask(e, func(context.Context) error { return e.start(b) }); err != nil {
		if !errors.Is(err, errStuck) {
			p.put(e, false)
		}
		return nil, err
	}
	return e, nil
}

// pick prefers a server that has the base already.
func (p *pool) pick(b base) *engine {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return nil
	}
	at := len(p.idle) - 1
	for i, e := range p.idle {
		if e.base == b {
			at = i
		}
	}
	e := p.idle[at]
	p.idle = append(p.idle[:at], p.idle[at+1:]...)
	return e
}

// put takes a server back. One that listens is stopped, so that its port is free for the next, and
// so is one that is not clean: that may have a peer or paths.
func (p *pool) put(e *engine, clean bool) {
	if !clean || e.base.listen.IsValid() {
		if err := p.ask(e, func(context.Context) error { return e.stop() }); err != nil {
			p.log.Error("stop engine, leaving it behind", "error", err)
			return
		}
	}
	p.keep(e)
}

// ask guards calls to a server. One that did not answer in time is stopped when it does, so that
// it ends its sessions, frees its port, and can serve another peer.
func (p *pool) ask(e *engine, calls func(context.Context) error) error {
	return guard(calls, func() {
		if err := e.stop(); err != nil {
			p.log.Error("stop engine, leaving it behind", "error", err)
			return
		}
		p.keep(e)
	})
}

// keep notes that a server serves nobody.
func (p *pool) keep(e *engine) {
	e.log.use(p.log, nil)
	p.mu.Lock()
	p.idle = append(p.idle, e)
	p.mu.Unlock()
}
