// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/ndp"
	"golang.org/x/sys/unix"

	"github.com/clarion-lb/clarion/internal/l2"
	"github.com/clarion-lb/clarion/internal/lb"
)

// BenchmarkAnswerLatency asks 10,000 times a second for one of the announced addresses and
// reports how long the answers take, beside those of the kernel for 200 addresses of its own.
// Run it with -benchtime 50000x.
//
// IPv6 runs with 1,000 addresses, too: more must not cost more, as they would if the kernel
// were the member of their groups.
func BenchmarkAnswerLatency(b *testing.B) {
	for _, c := range []struct {
		name   string
		first  string
		addrs  int
		kernel string
	}{
		{"ARP-10000", "10.99.16.0", 10_000, "10.99.8.1"},
		{"NDP-1000", "fd99::1:1", 1000, "fd99::8:1"},
		{"NDP-10000", "fd99::1:1", 10_000, "fd99::8:1"},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := newSegment(b)
			own := addrsFrom(c.kernel, 200)
			for _, a := range own {
				s.ip("addr", "add", netip.PrefixFrom(a, a.BitLen()).String(), "dev", s.nodeIf, "nodad")
			}
			w := s.start(l2.Config{Burst: []time.Duration{}, RefreshMin: -1, Rate: 1_000_000, Depth: 100_000})
			w.SetLinks(s.links())
			all := addrsFrom(c.first, c.addrs)
			w.Set(announcements(all...))
			s.within(30*time.Second, "all announced", func() bool {
				return observe(b, w).Counters[all[len(all)-1]].Gratuitous > 0
			})
			if all[0].Is6() {
				s.within(30*time.Second, "all groups joined", func() bool {
					return s.memberships() >= len(all)
				})
			}
			b.Run("kernel", func(b *testing.B) { s.measure(b, own) })
			b.Run("wire", func(b *testing.B) { s.measure(b, all) })
		})
	}
}

func addrsFrom(first string, n int) []netip.Addr {
	var out []netip.Addr
	for a := netip.MustParseAddr(first); len(out) < n; a = a.Next() {
		out = append(out, a)
	}
	return out
}

// measure sends b.N requests, ten every millisecond, and reports the latency of the answers.
func (s *segment) measure(b *testing.B, addrs []netip.Addr) {
	b.Helper()
	family := lb.FamilyOf(addrs[0])
	proto := unix.ETH_P_ARP
	if family == lb.IPv6 {
		proto = unix.ETH_P_IPV6
	}
	conn := s.clientSocket(proto)
	raw, err := conn.SyscallConn()
	if err != nil {
		b.Fatal(err)
	}
	frames := s.requests(b, addrs)
	sent := make(map[netip.Addr]time.Time) // of the last request that is not answered yet
	var mu sync.Mutex
	var took []time.Duration
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, maxFrame)
		for {
			n, _, err := conn.ReadFrom(buf)
			if err != nil {
				return // the deadline, or the end of the benchmark
			}
			now := time.Now()
			q, ok := decode(family, buf[:n])
			a := q.Target
			if q.Kind == l2.ARPReply {
				a = q.Sender
			}
			mu.Lock()
			asked, waiting := sent[a]
			if ok && waiting && (q.Kind == l2.ARPReply || q.Kind == l2.NeighborAdvertisement) {
				took = append(took, now.Sub(asked))
				delete(sent, a)
			}
			mu.Unlock()
		}
	}()
	b.ResetTimer()
	start := time.Now()
	for i := range b.N {
		if i%10 == 0 {
			time.Sleep(time.Until(start.Add(time.Duration(i/10) * time.Millisecond)))
		}
		k := i * 7919 % len(addrs)
		mu.Lock()
		sent[addrs[k]] = time.Now()
		mu.Unlock()
		send(b, raw, frames[k])
	}
	rate := float64(b.N) / time.Since(start).Seconds()
	if err := conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
		b.Fatal(err)
	}
	<-done
	if len(took) == 0 {
		b.Fatal("no answers")
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
	b.ReportMetric(float64(took[len(took)-1].Microseconds()), "max-µs")
	b.ReportMetric(rate, "req/s")
	b.ReportMetric(float64(b.N-len(took)), "lost")
	b.ReportMetric(0, "ns/op") // the pace, not the work: it would only mislead
}

// requests builds one request frame for each address, as the client's kernel would.
func (s *segment) requests(b *testing.B, addrs []netip.Addr) [][]byte {
	b.Helper()
	mac := l2.MAC{0x02, 0, 0, 0, 0x77, 0x77}
	var out [][]byte
	for _, a := range addrs {
		f := ethernet.Frame{Destination: ethernet.Broadcast, Source: mac[:], EtherType: ethernet.EtherTypeARP}
		var err error
		if a.Is4() {
			f.Payload, err = encodeARP(&l2.Action{
				Addr: netip.MustParsePrefix(client4).Addr(), Dst: a, MAC: mac, DstMAC: l2.BroadcastMAC(), Request: true,
			})
		} else {
			group := l2.SolicitedNode(a)
			dst := l2.MulticastMAC(group)
			f.Destination, f.EtherType = dst[:], ethernet.EtherTypeIPv6
			f.Payload, err = encodeNDP(&ndp.NeighborSolicitation{
				TargetAddress: a, Options: []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: mac[:]}},
			}, netip.MustParsePrefix(client6).Addr(), group)
		}
		if err != nil {
			b.Fatal(err)
		}
		frame, err := f.MarshalBinary()
		if err != nil {
			b.Fatal(err)
		}
		out = append(out, frame)
	}
	return out
}

func send(b testing.TB, raw syscall.RawConn, frame []byte) {
	b.Helper()
	var sendErr error
	if err := raw.Control(func(fd uintptr) { sendErr = unix.Send(int(fd), frame, 0) }); err != nil {
		b.Fatal(err)
	}
	if sendErr != nil {
		b.Fatal(sendErr)
	}
}
