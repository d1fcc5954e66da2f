// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clarion-lb/clarion/internal/bgp"
	"github.com/clarion-lb/clarion/internal/lb"
)

// One list must tell what package net tells link by link, in the same order.
func TestAddressesAreThoseOfAllLinks(t *testing.T) {
	links, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	own, err := addresses()
	if err != nil {
		t.Fatal(err)
	}
	for i := range links {
		addrs, err := links[i].Addrs()
		if err != nil {
			t.Fatal(err)
		}
		var want, got []netip.Addr
		for _, a := range addrs {
			p := netip.MustParsePrefix(a.String())
			want = append(want, p.Addr())
		}
		for _, a := range own {
			if a.link == links[i].Index {
				got = append(got, a.addr)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s has %v, want %v", links[i].Name, got, want)
		}
	}
	if len(own) == 0 {
		t.Error("not even the loopback address was found")
	}
}

func TestSiblingsAreOfTheSameLink(t *testing.T) {
	loopback := netip.MustParseAddr("127.0.0.1")
	if four, six, err := siblings(loopback); err != nil || four != loopback || six.IsValid() && !six.IsLoopback() {
		t.Errorf("beside the loopback address: %s, %s, %v", four, six, err)
	}
	for _, stranger := range []netip.Addr{{}, netip.MustParseAddr("192.0.2.200")} {
		if four, six, err := siblings(stranger); err != nil || four.IsValid() || six.IsValid() {
			t.Errorf("beside %s: %s, %s, %v", stranger, four, six, err)
		}
	}
}

// A list that changed while the kernel wrote it may lack addresses that are there.
func TestAnInterruptedListIsNotBelieved(t *testing.T) {
	rib, err := syscall.NetlinkRIB(syscall.RTM_GETADDR, syscall.AF_UNSPEC)
	if err != nil {
		t.Fatal(err)
	}
	flags := binary.NativeEndian.Uint16(rib[6:]) // struct nlmsghdr
	binary.NativeEndian.PutUint16(rib[6:], flags|unix.NLM_F_DUMP_INTR)
	if got, err := addressesIn(rib); !errors.Is(err, errChanging) {
		t.Errorf("%d addresses, %v", len(got), err)
	}
}

// noFiles makes this process unable to open anything, sockets included, until it calls the result.
func noFiles(t *testing.T) func() {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	set := func(soft uint64) {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: soft, Max: limit.Max}); err != nil {
			t.Error(err)
		}
	}
	set(0)
	restore := sync.OnceFunc(func() { set(limit.Cur) })
	t.Cleanup(restore)
	return restore
}

func TestALookupThatFailsIsAnError(t *testing.T) {
	near := netip.MustParseAddr("127.0.0.1")
	for name, w := range map[string]way{
		"the list of addresses": {address: near, source: near, dual: true},
		"the source address":    {address: near, dual: true},
		"the link":              {link: "lo"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := hopsOf(w); err != nil {
				t.Fatalf("with files: %v", err)
			}
			noFiles(t)
			if got, err := hopsOf(w); !errors.Is(err, syscall.EMFILE) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	for _, w := range []way{{link: "none"}, {address: near, vrf: "none", dual: true}} {
		if got, err := hopsOf(w); err == nil {
			t.Errorf("a link that is not there: %+v", got)
		}
	}
}

// A node that is out of file descriptors for a moment must not withdraw what it announces (I7).
func TestI7NextHopsThatCannotBeLookedUpStay(t *testing.T) {
	var text bytes.Buffer
	// The source address is nobody's here, so the truth is that there is no IPv6 address beside it.
	p := lb.Peer{Name: "a", Address: netip.MustParseAddr("192.0.2.1"), Source: netip.MustParseAddr("192.0.2.200"), DualStack: true}
	want := bgp.PeerWant{Peer: p, Routes: []lb.Route{{Prefix: netip.MustParsePrefix("2001:db8::1/128")}}}
	s := newSlot("a", Options{Log: slog.New(slog.NewTextHandler(&text, nil))}, nil)
	s.address, s.hopsOn = p.Address, wayOf(&p)
	s.setHops(hops{v4: netip.IPv4Unspecified(), v6: netip.MustParseAddr("2001:db8::200")})
	s.have = bgp.Have{Peer: p, Added: true, Routes: want.Routes}
	steps := func(now time.Time) []bgp.Step {
		decided := s.decide(wish{want: want}, &bgp.Session{}, now)
		return bgp.Steps(s.have, &decided)
	}
	restore := noFiles(t)
	now := time.Now()
	for range 3 {
		if got := steps(now); len(got) != 0 {
			t.Fatalf("without an answer: %+v", got)
		}
		now = now.Add(hopsEvery)
	}
	s.have.Added = false // the session fell; the peer may keep the routes until the next
	if got := steps(now); len(got) != 1 || got[0].Op != bgp.AddPeer {
		t.Errorf("without an answer and session: %+v", got)
	}
	if n := strings.Count(text.String(), "look up next hops"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, &text)
	}
	restore()
	s.have.Added = true
	if got := steps(now); len(got) != 1 || got[0].Op != bgp.DeletePath {
		t.Errorf("when there is no address: %+v", got)
	}
}

// What was found for a peer says nothing of the same peer at another place.
func TestNextHopsOfAnotherConfigurationAreForgotten(t *testing.T) {
	s := newSlot("a", Options{Log: slog.New(slog.DiscardHandler)}, nil)
	here := way{address: netip.MustParseAddr("192.0.2.1"), dual: true}
	there := way{address: netip.MustParseAddr("2001:db8::1"), dual: true}
	now := time.Now()
	s.hops, s.hopsOn, s.hopsAt, s.have.Added = hops{v4: netip.IPv4Unspecified(), v6: there.address}, here, now, true
	restore := noFiles(t)
	s.findHops(there, now)
	if want := (hops{v6: netip.IPv6Unspecified()}); s.hops != want {
		t.Errorf("%+v, want %+v", s.hops, want)
	}
	restore()
	there.source = netip.MustParseAddr("2001:db8::200")
	s.findHops(there, now)
	if want := (hops{v4: there.source, v6: netip.IPv6Unspecified()}); s.hops != want {
		t.Errorf("%+v, want %+v", s.hops, want)
	}
}
