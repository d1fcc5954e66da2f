// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"context"
	"log/slog"
	"net/netip"
	"runtime"
	"testing"
	"time"

	api "github.com/osrg/gobgp/v3/api"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/clarion-lb/clarion/internal/bgp"
	"github.com/clarion-lb/clarion/internal/lb"
)

// pass announces routes from elsewhere as a router passes them on: four prefixes for each set of
// attributes, with the path of some AS numbers and communities.
func (r *remote) pass(t testing.TB, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		if _, err := r.server.AddPath(context.Background(), &api.AddPathRequest{Path: passed(t, i)}); err != nil {
			t.Fatal(err)
		}
	}
}

func passed(t testing.TB, i int) *api.Path {
	t.Helper()
	path := uint32(i / 4)
	p := &api.Path{Family: familyOf(lb.IPv4), Nlri: packed(t, &api.IPAddressPrefix{
		Prefix: netip.AddrFrom4([4]byte{byte(20 + i>>16), byte(i >> 8), byte(i), 0}).String(), PrefixLen: 24,
	})}
	for _, m := range []proto.Message{
		&api.OriginAttribute{},
		&api.NextHopAttribute{NextHop: "127.0.0.9"},
		&api.AsPathAttribute{Segments: []*api.AsSegment{{Type: api.AsSegment_AS_SEQUENCE, Numbers: []uint32{64600, 64700, 100_000 + path, 200_000 + path}}}},
		&api.CommunitiesAttribute{Communities: []uint32{64600<<16 | 100, 64600<<16 | path&0xffff}},
	} {
		p.Pattrs = append(p.Pattrs, packed(t, m))
	}
	return p
}

func packed(t testing.TB, m proto.Message) *anypb.Any {
	t.Helper()
	out, err := anypb.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// receiver is a Router with one peer and one route of its own.
func receiver(t testing.TB, rem *remote) *Router {
	t.Helper()
	router, err := New(Options{Log: slog.New(slog.DiscardHandler), RouterID: netip.MustParseAddr("127.0.0.8"), Kick: func() {}, Ready: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = router.Stop(context.Background(), false) })
	p := lb.Peer{
		Name: "a", MyASN: ourASN, PeerASN: theirASN, Address: netip.MustParseAddr("127.0.0.1"), Port: rem.port, ConnectTime: time.Second,
	}
	if err := router.Set(context.Background(), bgp.Want{Peers: []bgp.PeerWant{{Peer: p, Routes: []lb.Route{{Prefix: netip.MustParsePrefix("10.0.0.1/32")}}}}}); err != nil {
		t.Fatal(err)
	}
	return router
}

// awaitReceived waits until the peer is known to send so many routes.
func awaitReceived(t testing.TB, router *Router, want int) {
	t.Helper()
	var last bgp.Session
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		state, err := router.Observe(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if last = state.Sessions[0]; last.Phase == bgp.Established && last.Received == want {
			return
		}
	}
	t.Fatalf("want %d routes received: %+v", want, last)
}

// What the peer sends is counted, and nothing is chosen from it: the engine's table has our own.
func TestReceivedRoutesAreCountedAndNotUsed(t *testing.T) {
	rem := newRemote(t, false)
	rem.pass(t, 0, 1000)
	router := receiver(t, rem)
	awaitReceived(t, router, 1000)
	rem.pass(t, 1000, 2000)
	awaitReceived(t, router, 2000)
	for i := range 500 {
		if err := rem.server.DeletePath(context.Background(), &api.DeletePathRequest{Path: passed(t, i)}); err != nil {
			t.Fatal(err)
		}
	}
	awaitReceived(t, router, 1500)
	var chosen []string
	router.mu.Lock()
	srv := router.slots["a"].engine.server
	router.mu.Unlock()
	err := srv.ListPath(context.Background(), &api.ListPathRequest{TableType: api.TableType_GLOBAL, Family: familyOf(lb.IPv4)}, func(d *api.Destination) {
		chosen = append(chosen, d.Prefix)
	})
	if err != nil || len(chosen) != 1 || chosen[0] != "10.0.0.1/32" {
		t.Errorf("the table has %d routes, %v: %v", len(chosen), chosen[:min(3, len(chosen))], err)
	}
	if got := rem.received(t); len(got.Routes) != 2001-500 {
		t.Errorf("the peer has %d routes, want its own and ours", len(got.Routes))
	}
}

// An engine that is started anew, for a peer with another router ID, keeps what peers send out too.
func TestEveryStartKeepsReceivedRoutesOut(t *testing.T) {
	p, err := newPool(slog.New(slog.DiscardHandler), netip.MustParseAddr("127.0.0.8"), 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"127.0.0.8", "127.0.0.7", "127.0.0.8"} {
		e, err := p.take(base{routerID: netip.MustParseAddr(id)})
		if err != nil {
			t.Fatal(err)
		}
		found := false
		err = e.server.ListPolicyAssignment(t.Context(), &api.ListPolicyAssignmentRequest{Name: "global", Direction: api.PolicyDirection_IMPORT}, func(a *api.PolicyAssignment) {
			found = found || a.DefaultAction == api.RouteAction_REJECT && len(a.Policies) == 1
		})
		if err != nil || !found {
			t.Errorf("router ID %s: no import policy: %v", id, err)
		}
		p.put(e, true)
	}
}

func TestObjectionToAnEstablishedSession(t *testing.T) {
	external := lb.Peer{MyASN: ourASN, Dynamic: lb.ExternalASN}
	for name, c := range map[string]struct {
		peer lb.Peer
		sess bgp.Session
		want lb.Reason
		wait time.Duration
	}{
		"none":                        {external, bgp.Session{ASN: theirASN, HoldTime: time.Minute, Received: maxReceived}, "", 0},
		"an external peer that is us": {external, bgp.Session{ASN: ourASN, HoldTime: time.Minute}, bgp.ASNMismatch, blockFor},
		"no hold time":                {lb.Peer{MyASN: ourASN}, bgp.Session{ASN: theirASN}, bgp.HoldTimeZero, blockFor},
		"a flood":                     {external, bgp.Session{ASN: theirASN, HoldTime: time.Minute, Received: maxReceived + 1}, bgp.TooManyRoutes, floodFor},
	} {
		reason, detail, wait := objection(&c.peer, &c.sess)
		if reason != c.want || wait != c.wait || (detail == "") != (reason == "") {
			t.Errorf("%s: %s %q for %s, want %s for %s", name, reason, detail, wait, c.want, c.wait)
		}
	}
}

// The memory that maxReceived bounds.
func BenchmarkReceived(b *testing.B) {
	const n = 100_000
	rem := newRemote(b, false)
	rem.pass(b, 0, n)
	for b.Loop() {
		before := heap()
		router := receiver(b, rem)
		awaitReceived(b, router, n)
		b.ReportMetric(float64(heap()-before)/n, "B/route")
		if err := router.Stop(context.Background(), false); err != nil {
			b.Fatal(err)
		}
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}
