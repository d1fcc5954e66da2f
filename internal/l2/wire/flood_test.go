// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clarion-lb/clarion/internal/l2"
	"github.com/clarion-lb/clarion/internal/lb"
)

func TestWhatIsAnnouncedLaterPassesTheFilterAndWhatIsGoneDoesNot(t *testing.T) {
	s := newSegment(t)
	w := s.start(l2.Config{})
	w.SetLinks(s.links())
	far4, far6 := netip.MustParseAddr("10.99.200.1"), netip.MustParseAddr("fd99::abcd:1")
	for _, want := range [][]netip.Addr{{vip4(), vip6()}, {vip4(), vip6(), far4, far6}, {far4, far6}} {
		w.Set(announcements(want...))
		for _, a := range want {
			s.within(3*time.Second, "announced", func() bool { return observe(t, w).Counters[a].Gratuitous > 0 })
			s.poke(a)
			s.within(5*time.Second, "answered", func() bool { return s.knows(a, "REACHABLE") })
		}
	}
	s.within(5*time.Second, "narrowed", func() bool { // each look makes the loop go round
		narrow := false
		if err := w.call(t.Context(), func() {
			narrow = slices.Equal(w.filters.sets[lb.IPv4].spans, newAddrSet([]netip.Addr{far4}).spans)
		}); err != nil {
			t.Fatal(err)
		}
		return narrow
	})
}

// BenchmarkForeignFrames sends requests for addresses that nobody announces and reports what
// one costs all of this process, the sender included: with no wire at all, with the filter,
// and with one that lets every address through. Run it with -benchtime 100000x.
func BenchmarkForeignFrames(b *testing.B) {
	for _, c := range []struct {
		name, foreign, own string
	}{{"ARP", "10.99.100.0", "10.99.16.0"}, {"NDP", "fd99::5:1", "fd99::1:1"}} {
		b.Run(c.name, func(b *testing.B) {
			s := newSegment(b)
			foreign := addrsFrom(c.foreign, 1000)
			b.Run("nobody", func(b *testing.B) { s.flood(b, foreign) })
			w := s.start(l2.Config{Burst: []time.Duration{}, RefreshMin: -1, Rate: 1_000_000, Depth: 100_000})
			w.SetLinks(s.links())
			own := addrsFrom(c.own, 1000)
			w.Set(announcements(own...))
			s.within(30*time.Second, "all announced", func() bool {
				return observe(b, w).Counters[own[len(own)-1]].Gratuitous > 0
			})
			b.Run("filtered", func(b *testing.B) { s.flood(b, foreign) })
			if err := w.call(b.Context(), func() {
				for _, p := range w.ports {
					p.filter(w.log, everything())
				}
			}); err != nil {
				b.Fatal(err)
			}
			b.Run("unfiltered", func(b *testing.B) { s.flood(b, foreign) })
		})
	}
}

// BenchmarkGroups reports how long it takes to join the groups of 10,000 addresses, and what a
// solicitation for one of them costs all of this process then, sender and answer included.
// Run it with -benchtime 30000x.
func BenchmarkGroups(b *testing.B) {
	s := newSegment(b)
	w := s.start(l2.Config{Burst: []time.Duration{}, RefreshMin: -1, Rate: 1_000_000, Depth: 100_000})
	w.SetLinks(s.links())
	all := addrsFrom("fd99::1:1", 10_000)
	b.Run("join", func(b *testing.B) {
		w.Set(nil)
		s.within(30*time.Second, "none joined", func() bool { return s.memberships() < 10 })
		begin, cpu := time.Now(), processorTime(b)
		w.Set(announcements(all...))
		s.within(30*time.Second, "all joined", func() bool { return s.memberships() >= len(all) })
		b.ReportMetric(float64(time.Since(begin).Milliseconds()), "ms")
		b.ReportMetric(float64((processorTime(b) - cpu).Milliseconds()), "cpu-ms")
		b.ReportMetric(0, "ns/op")
	})
	time.Sleep(2 * time.Second) // all repetitions are over
	b.Run("solicitations", func(b *testing.B) { s.flood(b, all) })
}

// flood sends b.N frames and reports the processor time that each took.
func (s *segment) flood(b *testing.B, foreign []netip.Addr) {
	b.Helper()
	proto := unix.ETH_P_LOOP // a socket that receives nothing
	conn := s.clientSocket(proto)
	raw, err := conn.SyscallConn()
	if err != nil {
		b.Fatal(err)
	}
	frames := s.requests(b, foreign)
	begin := processorTime(b)
	for i := range b.N {
		send(b, raw, frames[i%len(frames)])
		if i%1000 == 999 {
			time.Sleep(10 * time.Millisecond) // what waits in a socket must be read, not dropped
		}
	}
	time.Sleep(50 * time.Millisecond)
	b.ReportMetric(float64((processorTime(b)-begin).Nanoseconds())/float64(b.N), "cpu-ns/frame")
	b.ReportMetric(0, "ns/op")
}

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
