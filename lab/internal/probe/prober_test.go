// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/lab/internal/workload"
)

// freePort asks the kernel for a port that is free for TCP and UDP by opening
// and closing both.
func freePort(t *testing.T) uint16 {
	t.Helper()
	for range 20 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := netip.MustParseAddrPort(l.Addr().String()).Port()
		u, err := net.ListenPacket("udp", l.Addr().String())
		l.Close()
		if err == nil {
			u.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

func TestProbeIsAnsweredByAPlayedPod(t *testing.T) {
	port := freePort(t)
	s := workload.NewServer()
	defer s.Close()
	pod := workload.Pod{Name: "ns/p", Node: "n7", Addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1")},
		Ports: []workload.Port{{Proto: "tcp", Number: port}, {Proto: "udp", Number: port}}}
	for range 2 { // the second time changes nothing
		if err := s.Set([]workload.Pod{pod}); err != nil {
			t.Fatal(err)
		}
	}
	target := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port).String()
	for _, tc := range []struct {
		proto   string
		oneFlow bool
		pod     string
	}{{"udp", false, "ns/p"}, {"udp", true, "ns/p"}, {"http", false, "ns/p"}, {"tcp", false, ""}} {
		ctx, stop := context.WithCancel(context.Background())
		r, err := Run(ctx, Config{Target: target, Proto: tc.proto, OneFlow: tc.oneFlow, Interval: time.Millisecond,
			Timeout: 10 * time.Second, Threshold: time.Hour, Answered: stop})
		stop()
		if err != nil || r.Sent == 0 || r.Lost != 0 || len(r.Answers) != 1 || r.Answers[0].Pod != tc.pod {
			t.Errorf("%s, one flow %v: %+v, %v", tc.proto, tc.oneFlow, r, err)
		}
	}
	s.Close()
	r, err := Run(context.Background(), Config{Target: target, Proto: "udp", Interval: time.Millisecond,
		Duration: 5 * time.Millisecond, Timeout: 50 * time.Millisecond})
	if err != nil || r.Answered != 0 || r.Lost != r.Sent {
		t.Errorf("after the pod is gone: %+v, %v, want all lost", r, err)
	}
}

func TestUnknownProtocol(t *testing.T) {
	if _, err := Run(context.Background(), Config{Proto: "smtp"}); err == nil {
		t.Error("want an error for an unknown protocol")
	}
}
