// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/l2"
)

func TestKernelResolvesAnnouncedAddresses(t *testing.T) {
	s := newSegment(t)
	w := s.start(l2.Config{})
	w.SetLinks(s.links())
	w.Set(announcements(vip4(), vip6()))
	for _, a := range []netip.Addr{vip4(), vip6()} {
		s.within(5*time.Second, "announced "+a.String(), func() bool { return observe(t, w).Counters[a].Gratuitous > 0 })
		s.poke(a)
		s.within(3*time.Second, a.String()+" REACHABLE, is "+s.neigh(a), func() bool { return s.knows(a, "REACHABLE") })
	}
	o := observe(t, w)
	for _, a := range []netip.Addr{vip4(), vip6()} {
		if c := o.Counters[a]; c.Requests == 0 || c.Responses != c.Requests {
			t.Errorf("%s: counters %+v, want every request answered", a, c)
		}
	}
}

func TestUnannouncedAddressesAreNotAnswered(t *testing.T) {
	s := newSegment(t)
	w := s.start(l2.Config{})
	w.SetLinks(s.links())
	w.Set(announcements(vip4(), vip6()))
	for _, a := range []netip.Addr{vip4().Next(), vip6().Next()} {
		s.poke(a)
		s.within(10*time.Second, a.String()+" FAILED", func() bool {
			n := s.neigh(a)
			return n == "" || n[len(n)-6:] == "FAILED"
		})
	}
	w.Set(nil)
	s.within(time.Second, "withdrawn", func() bool { return len(observe(t, w).Announced) == 0 })
	s.poke(vip4())
	s.within(10*time.Second, "withdrawn address FAILED", func() bool {
		n := s.neigh(vip4())
		return n == "" || n[len(n)-6:] == "FAILED"
	})
}

func TestUnicastProbesAreAnswered(t *testing.T) {
	s := newSegment(t)
	w := s.start(l2.Config{Burst: []time.Duration{}})
	w.SetLinks(s.links())
	w.Set(announcements(vip4(), vip6()))
	for f, a := range map[string]netip.Addr{"ipv4": vip4(), "ipv6": vip6()} {
		s.sh(fmt.Sprintf("echo 0 > /proc/sys/net/%s/neigh/%s/delay_first_probe_time", f, s.clientIf))
		s.within(5*time.Second, "announced", func() bool { return observe(t, w).Counters[a].Gratuitous > 0 })
		// A stale entry in use is confirmed by unicast probes only, and given up after three.
		s.stale(a, s.mac())
		s.poke(a)
		s.within(5*time.Second, a.String()+" confirmed", func() bool { return s.knows(a, "REACHABLE") })
	}
}

func TestGratuitousAnnouncementMovesStaleEntries(t *testing.T) {
	s := newSegment(t)
	w := s.start(l2.Config{})
	w.SetLinks(s.links())
	for _, a := range []netip.Addr{vip4(), vip6()} {
		s.stale(a, staleMAC)
	}
	w.Set(announcements(vip4(), vip6()))
	for _, a := range []netip.Addr{vip4(), vip6()} {
		s.within(3*time.Second, a.String()+" moved", func() bool { return s.knows(a, "STALE") })
	}
}
