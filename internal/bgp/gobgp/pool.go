// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"context"
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

// engine is one running server, for one peer at a time.
type engine struct {
	server   *server.BgpServer
	log      *engineLog
	routerID netip.Addr
}

// pool keeps the servers that serve no peer. Starting one while another has traffic is a data race
// inside the engine, on variables to which the same values are written again; servers that are
// started early avoid even that.
type pool struct {
	log      *slog.Logger
	routerID netip.Addr

	mu   sync.Mutex
	idle []*engine
}

func newPool(log *slog.Logger, routerID netip.Addr, ready int) (*pool, error) {
	p := &pool{log: log, routerID: routerID}
	for range ready {
		e := p.create()
		if err := e.start(routerID); err != nil {
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

// start gives the server its router ID. It never listens.
func (e *engine) start(routerID netip.Addr) error {
	if e.routerID == routerID {
		return nil
	}
	ctx := context.Background()
	if e.routerID.IsValid() {
		if err := e.server.StopBgp(ctx, &api.StopBgpRequest{}); err != nil {
			return fmt.Errorf("stop server with router ID %s: %w", e.routerID, err)
		}
	}
	err := e.server.StartBgp(ctx, &api.StartBgpRequest{Global: &api.Global{
		Asn: placeholderASN, RouterId: routerID.String(), ListenPort: -1,
	}})
	if err != nil {
		return fmt.Errorf("start server with router ID %s: %w", routerID, err)
	}
	e.routerID = routerID
	return nil
}

// take returns a started server without peers and paths.
func (p *pool) take(routerID netip.Addr) (*engine, error) {
	if !routerID.IsValid() {
		routerID = p.routerID
	}
	e := p.pick(routerID)
	if e == nil {
		e = p.create()
	}
	if err := e.start(routerID); err != nil {
		return nil, err
	}
	return e, nil
}

// pick prefers a server that has the router ID already.
func (p *pool) pick(routerID netip.Addr) *engine {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return nil
	}
	at := len(p.idle) - 1
	for i, e := range p.idle {
		if e.routerID == routerID {
			at = i
		}
	}
	e := p.idle[at]
	p.idle = append(p.idle[:at], p.idle[at+1:]...)
	return e
}

// put takes a server back that has no peer and no paths.
func (p *pool) put(e *engine) {
	e.log.use(p.log, nil)
	p.mu.Lock()
	p.idle = append(p.idle, e)
	p.mu.Unlock()
}
