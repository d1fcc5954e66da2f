// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	api "github.com/osrg/gobgp/v3/api"
	"github.com/osrg/gobgp/v3/pkg/server"

	"github.com/clarion-lb/clarion/internal/bgp"
	"github.com/clarion-lb/clarion/internal/bgp/bgptest"
	"github.com/clarion-lb/clarion/internal/lb"
)

const (
	ourASN, theirASN = 64512, 64513
)

// remote is a listening server that plays the router at the other end. It is started before
// there is any traffic, as the engine asks for.
type remote struct {
	server *server.BgpServer
	port   uint16

	mu       sync.Mutex
	sessions int
	up       bool
}

func newRemote(t testing.TB, gr bool) *remote {
	t.Helper()
	l := newEngineLog(slog.New(slog.DiscardHandler))
	r := &remote{server: server.NewBgpServer(server.LoggerOption(l)), port: freePort(t)}
	l.use(slog.New(slog.DiscardHandler), r.said)
	go r.server.Serve()
	ctx := context.Background()
	if err := r.server.StartBgp(ctx, &api.StartBgpRequest{Global: &api.Global{
		Asn: theirASN, RouterId: "127.0.0.9", ListenPort: int32(r.port), ListenAddresses: []string{"127.0.0.1"},
	}}); err != nil {
		t.Fatal(err)
	}
	peer := &api.Peer{
		Conf:      &api.PeerConf{NeighborAddress: "127.0.0.1", PeerAsn: ourASN},
		Transport: &api.Transport{PassiveMode: true},
		Timers:    &api.Timers{Config: &api.TimersConfig{HoldTime: 90}},
		AfiSafis: []*api.AfiSafi{{
			Config:            &api.AfiSafiConfig{Family: familyOf(lb.IPv4), Enabled: true},
			MpGracefulRestart: &api.MpGracefulRestart{Config: &api.MpGracefulRestartConfig{Enabled: gr}},
		}},
	}
	if gr {
		peer.GracefulRestart = &api.GracefulRestart{Enabled: true, RestartTime: 60}
	}
	if err := r.server.AddPeer(ctx, &api.AddPeerRequest{Peer: peer}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.server.StopBgp(ctx, &api.StopBgpRequest{}) })
	return r
}

func (r *remote) said(event, _ string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch event {
	case lineUp:
		r.sessions++
		r.up = true
	case lineDown:
		r.up = false
	}
}

func freePort(t testing.TB) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return netip.MustParseAddrPort(l.Addr().String()).Port()
}

func (r *remote) received(t *testing.T) bgptest.Received {
	t.Helper()
	r.mu.Lock()
	out := bgptest.Received{Sessions: r.sessions, Up: r.up}
	r.mu.Unlock()
	ctx := context.Background()
	if err := r.server.ListPeer(ctx, &api.ListPeerRequest{}, func(p *api.Peer) {
		m := p.State.Messages.GetReceived()
		// One prefix in each UPDATE that is no withdrawal: the routes of these tests differ.
		out.Announced = int(m.GetUpdate() - m.GetWithdrawUpdate())
		out.Withdrawn = int(m.GetWithdrawPrefix())
	}); err != nil {
		t.Fatal(err)
	}
	if err := r.server.ListPath(ctx, &api.ListPathRequest{TableType: api.TableType_GLOBAL, Family: familyOf(lb.IPv4)}, func(d *api.Destination) {
		out.Routes = append(out.Routes, routeOf(t, d))
	}); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(out.Routes, func(a, b lb.Route) int { return a.Prefix.Compare(b.Prefix) })
	return out
}

// routeOf reads a received route back.
func routeOf(t *testing.T, d *api.Destination) lb.Route {
	t.Helper()
	r := lb.Route{Prefix: netip.MustParsePrefix(d.Prefix)}
	for _, attr := range d.Paths[0].Pattrs {
		m, err := attr.UnmarshalNew()
		if err != nil {
			t.Fatal(err)
		}
		switch a := m.(type) {
		case *api.MultiExitDiscAttribute:
			r.MED = a.Med
		case *api.CommunitiesAttribute:
			for _, c := range a.Communities {
				r.Communities = append(r.Communities, lb.Community{A: c >> 16, B: c & 0xffff})
			}
		case *api.LargeCommunitiesAttribute:
			for _, c := range a.Communities {
				r.Communities = append(r.Communities, lb.Community{Kind: lb.LargeCommunity, A: c.GlobalAdmin, B: c.LocalData1, C: c.LocalData2})
			}
		}
	}
	return r
}

// realLab is a Router on loopback with two servers and a listener that never answers.
type realLab struct {
	t       *testing.T
	router  *Router
	remotes map[string]*remote
	silent  uint16
}

func (l *realLab) Router() bgp.Router { return l.router }

func (l *realLab) Peer(name string) lb.Peer {
	p := lb.Peer{Name: name, MyASN: ourASN, PeerASN: theirASN, Address: netip.MustParseAddr("127.0.0.1"), Port: l.silent, ConnectTime: time.Second}
	if r := l.remotes[name]; r != nil {
		p.Port = r.port
	}
	return p
}

func (l *realLab) Received(name string) bgptest.Received { return l.remotes[name].received(l.t) }

func newRealLab(t *testing.T) bgptest.Lab {
	t.Helper()
	l := &realLab{t: t, remotes: map[string]*remote{"a": newRemote(t, true), "b": newRemote(t, false)}}
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	l.silent = netip.MustParseAddrPort(silent.Addr().String()).Port()
	l.router, err = New(Options{Log: slog.New(slog.DiscardHandler), RouterID: netip.MustParseAddr("127.0.0.8"), Kick: func() {}, Ready: 3})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.router.Stop(context.Background(), false) })
	return l
}

// The engine connects one to two seconds after it was asked to.
func TestRouterKeepsTheContract(t *testing.T) {
	bgptest.Contract(t, newRealLab, 15*time.Second)
}
