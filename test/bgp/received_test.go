// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package bgp_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/bgp"
	"github.com/clarion-lb/clarion/internal/lb"
)

// What a peer sends is not used, and costs no more than the memory to hold it.
func TestReceivedRoutes(t *testing.T) {
	s := newSegment(t)
	s.host("s", ours4+"/24")
	s.host("r", theirs4+"/24")
	s.host("n", "192.0.2.3/24")
	f := s.startFRR("r", "route-map none deny 10\nexit\n"+bgpConfig(theirASN, "neighbor 192.0.2.1 remote-as 64512", "neighbor 192.0.2.3 remote-as 64999",
		"4 neighbor 192.0.2.1 activate", "4 neighbor 192.0.2.3 activate", "4 neighbor 192.0.2.3 route-map none out"))
	sp, flood := s.startSpeaker("s"), s.startSpeaker("n")
	sp.route(with(peer(theirs4, nil), "10.9.0.1/32"))
	up(t, sp, 8*time.Second)
	before := sp.resident()
	w := bgp.PeerWant{Peer: peer(theirs4, func(p *lb.Peer) { p.MyASN, p.RouterID = 64999, netip.MustParseAddr("192.0.2.3") })}
	send := func(n int) {
		t.Helper()
		for i := len(w.Routes); i < n; i++ {
			w.Routes = append(w.Routes, lb.Route{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 1 + byte(i>>16), byte(i >> 8), byte(i)}), 32)})
		}
		flood.route(w)
		eventually(t, 60*time.Second, func() string {
			if got, _ := f.Prefixes(context.Background(), "ipv4", "192.0.2.3"); got != n {
				return fmt.Sprintf("FRR has %d routes, want %d", got, n)
			}
			return ""
		})
	}
	send(40_000)
	last := uint64(0) // UPDATEs received, until no more come
	eventually(t, 20*time.Second, func() string {
		got := sp.state("router").UpdatesReceived
		if got > 0 && got == last {
			return ""
		}
		last = got
		time.Sleep(time.Second)
		return "UPDATEs still arrive"
	})
	st := sp.state("router")
	t.Logf("40,000 received: %d MiB resident, %d before", sp.resident(), before)
	if st.Phase != bgp.Established || st.UpdatesReceived == 0 {
		t.Errorf("40,000 routes: %+v", st)
	}
	if out := s.in("s", "ip", "route"); strings.Contains(out, "10.1.") {
		t.Errorf("received routes were installed:\n%s", tail(out, 300))
	}
	send(60_000)
	eventually(t, 20*time.Second, func() string {
		if st := sp.state("router"); st.Phase != bgp.Established || st.Received < 60_000 || st.Announced != 1 {
			return fmt.Sprintf("%s: %s %q, %d received", st.Phase, st.Reason, st.Detail, st.Received)
		}
		return ""
	})
	t.Logf("60,000: %d MiB resident", sp.resident())
	if mib := sp.resident(); mib > 200 {
		t.Errorf("speaker has %d MiB resident", mib)
	}
}
