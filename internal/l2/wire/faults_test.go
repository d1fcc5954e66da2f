// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clarion-lb/clarion/internal/l2"
	"github.com/clarion-lb/clarion/internal/lb"
)

// claims counts gratuitous announcements of an address that arrive at the client, until
// the deadline or the number asked for.
func (s *segment) claims(proto int, a netip.Addr, atLeast int, d time.Duration, during func()) int {
	s.t.Helper()
	conn := s.clientSocket(proto)
	during()
	if err := conn.SetReadDeadline(time.Now().Add(d)); err != nil {
		s.t.Fatal(err)
	}
	family, seen, buf := lb.FamilyOf(a), 0, make([]byte, maxFrame)
	for seen < atLeast {
		n, _, err := conn.ReadFrom(buf)
		if err != nil {
			if os.IsTimeout(err) {
				return seen
			}
			continue // "network is down" once per carrier loss
		}
		q, ok := decode(family, buf[:n])
		if ok && ((q.Sender == a && q.Target == a) || (q.Kind == l2.NeighborAdvertisement && q.Target == a)) {
			seen++
		}
	}
	return seen
}

func TestLinkDownAndUpReannounces(t *testing.T) {
	s := newSegment(t)
	w := s.start(l2.Config{})
	w.SetLinks(s.links())
	w.Set(announcements(vip4(), vip6()))
	s.within(3*time.Second, "announced", func() bool { return observe(t, w).Counters[vip6()].Gratuitous > 0 })
	for proto, a := range map[int]netip.Addr{unix.ETH_P_ARP: vip4(), unix.ETH_P_IPV6: vip6()} {
		s.ip("link", "set", s.nodeIf, "down")
		w.SetLinks(s.links())
		s.within(3*time.Second, "silent while down", func() bool {
			o := observe(t, w)
			return len(o.Announced) == 2 && o.Announced[0].Links == nil && o.Announced[1].Links == nil
		})
		got := s.claims(proto, a, 3, 5*time.Second, func() {
			s.ip("link", "set", s.nodeIf, "up")
			s.ip("addr", "replace", node6, "dev", s.nodeIf, "nodad") // the kernel dropped it
			s.within(5*time.Second, "up", func() bool { return s.link().Carrier && len(s.link().Prefixes) > 2 })
			w.SetLinks(s.links())
		})
		if got < 3 {
			t.Errorf("%s: %d announcements after the link came back", a, got)
		}
		s.poke(a)
		s.within(3*time.Second, "answered again", func() bool { return s.knows(a, "REACHABLE") })
	}
	if o := observe(t, w); o.Sent.Broken != 0 {
		t.Errorf("a link that went down counted as broken: %+v", o.Sent)
	}
}

func TestCarrierLossOfThePeerKeepsTheSockets(t *testing.T) {
	s := newSegment(t)
	w := s.start(l2.Config{})
	w.SetLinks(s.links())
	w.Set(announcements(vip4(), vip6()))
	s.within(3*time.Second, "announced", func() bool { return observe(t, w).Counters[vip6()].Gratuitous > 0 })
	opens := observe(t, w).Sent.Opens
	for range 3 {
		s.ip("-n", s.client, "link", "set", s.clientIf, "down")
		s.within(5*time.Second, "carrier lost", func() bool { return !s.link().Carrier })
		w.SetLinks(s.links())
		s.ip("-n", s.client, "link", "set", s.clientIf, "up")
		s.within(5*time.Second, "carrier back", func() bool { return s.link().Carrier })
		w.SetLinks(s.links())
	}
	s.ip("-n", s.client, "addr", "replace", client6, "dev", s.clientIf, "nodad") // the kernel dropped it
	for _, a := range []netip.Addr{vip4(), vip6()} {
		s.poke(a)
		s.within(5*time.Second, "answered again", func() bool { return s.knows(a, "REACHABLE") })
	}
	if o := observe(t, w); o.Sent.Opens != opens || o.Sent.Broken != 0 {
		t.Errorf("sockets were opened again: %+v, had %d", o.Sent, opens)
	}
}

func TestInterfaceDeletedAndRecreated(t *testing.T) {
	s := newSegment(t)
	w := s.start(l2.Config{})
	w.SetLinks(s.links())
	w.Set(announcements(vip4(), vip6()))
	s.within(3*time.Second, "announced", func() bool { return observe(t, w).Counters[vip6()].Gratuitous > 0 })
	old := s.link().Index
	s.ip("link", "del", s.nodeIf)
	w.SetLinks(s.links())
	s.within(3*time.Second, "no link", func() bool { return observe(t, w).Announced[0].Links == nil })
	s.connect()
	if s.link().Index == old {
		t.Fatal("the test needs a new interface index")
	}
	w.SetLinks(s.links())
	for _, a := range []netip.Addr{vip4(), vip6()} {
		s.poke(a)
		s.within(3*time.Second, "answered on the new interface", func() bool { return s.knows(a, "REACHABLE") })
	}
}

func TestInterfaceRecreatedWithTheSameIndex(t *testing.T) {
	s := newSegment(t)
	w := s.start(l2.Config{})
	w.SetLinks(s.links())
	w.Set(announcements(vip4()))
	s.within(3*time.Second, "announced", func() bool { return observe(t, w).Counters[vip4()].Gratuitous > 0 })
	// A round trip through another namespace keeps index and name, so a snapshot taken
	// afterwards looks unchanged while every socket is dead. That namespace must be an empty
	// one: where the index is in use already, the interface would get another.
	limbo := s.client + "-limbo"
	s.ip("netns", "add", limbo)
	t.Cleanup(func() { s.ip("netns", "del", limbo) })
	s.ip("link", "set", s.nodeIf, "netns", limbo)
	s.ip("-n", limbo, "link", "set", s.nodeIf, "netns", strconv.Itoa(os.Getpid()))
	s.ip("link", "set", s.nodeIf, "up")
	w.Reannounce(nil) // as the next refresh would
	s.within(5*time.Second, "noticed", func() bool { return observe(t, w).Sent.Broken > 0 })
	s.within(5*time.Second, "opened again", func() bool {
		o := observe(t, w)
		return len(o.Announced) == 1 && len(o.Announced[0].Links) == 1
	})
	s.poke(vip4())
	s.within(3*time.Second, "answered again", func() bool { return s.knows(vip4(), "REACHABLE") })
}

func TestAChangedHardwareAddressIsAnnounced(t *testing.T) {
	s := newSegment(t)
	w := s.start(l2.Config{Burst: []time.Duration{}})
	w.SetLinks(s.links())
	w.Set(announcements(vip4(), vip6()))
	for _, a := range []netip.Addr{vip4(), vip6()} {
		s.within(3*time.Second, "announced", func() bool { return observe(t, w).Counters[a].Gratuitous > 0 })
		s.poke(a)
		s.within(3*time.Second, "resolved", func() bool { return s.knows(a, "REACHABLE") })
	}
	s.ip("link", "set", s.nodeIf, "address", "02:00:00:00:55:55")
	w.SetLinks(s.links())
	for _, a := range []netip.Addr{vip4(), vip6()} {
		s.within(3*time.Second, "moved to the new address", func() bool {
			return strings.Contains(s.neigh(a), "02:00:00:00:55:55")
		})
	}
}

func TestThousandsOfGroups(t *testing.T) {
	s := newSegment(t)
	w := s.start(l2.Config{})
	w.SetLinks(s.links())
	const n = 3000 // more than one socket can join
	var all []netip.Addr
	for a := vip6(); len(all) < n; a = a.Next() {
		all = append(all, a)
	}
	w.Set(announcements(all...))
	joined := s.memberships
	s.within(20*time.Second, "3,000 groups joined", func() bool { return joined() >= n })
	for _, a := range []netip.Addr{all[0], all[n/2], all[n-1]} {
		s.poke(a)
		s.within(3*time.Second, a.String()+" answered", func() bool { return s.knows(a, "REACHABLE") })
	}
	if o := observe(t, w); o.Sent.Broken != 0 {
		t.Errorf("running out of room broke the port: %+v", o.Sent)
	}
	w.Set(announcements(all[n-1]))
	s.within(20*time.Second, "other groups left", func() bool { return joined() < 10 })
	s.ip("-n", s.client, "neigh", "flush", "dev", s.clientIf)
	s.poke(all[n-1])
	s.within(3*time.Second, "the last one still answered", func() bool { return s.knows(all[n-1], "REACHABLE") })
}

// rivalClaims sends gratuitous announcements of the client for the node's addresses.
func (s *segment) rivalClaims() {
	s.t.Helper()
	mac := l2.MAC{0x02, 0xde, 0xad, 0, 0, 0x99}
	for _, a := range []l2.Action{
		{Op: l2.SendARP, Addr: vip4(), Dst: vip4(), MAC: mac, DstMAC: l2.BroadcastMAC(), Request: true},
		{Op: l2.SendNA, Addr: vip6(), Dst: l2.AllNodes(), MAC: mac, DstMAC: l2.MulticastMAC(l2.AllNodes()), Override: true},
	} {
		frame, err := encode(&a)
		if err != nil {
			s.t.Fatal(err)
		}
		raw, err := s.clientSocket(unix.ETH_P_ALL).SyscallConn()
		if err != nil {
			s.t.Fatal(err)
		}
		err = raw.Control(func(fd uintptr) { err = unix.Send(int(fd), frame, 0) })
		if err != nil {
			s.t.Fatal(err)
		}
	}
}

func TestRivalsAreReported(t *testing.T) {
	s := newSegment(t)
	w := s.start(l2.Config{})
	w.SetLinks(s.links())
	w.Set(announcements(vip4(), vip6()))
	s.within(3*time.Second, "announced", func() bool { return observe(t, w).Counters[vip6()].Gratuitous > 0 })
	s.rivalClaims()
	s.within(3*time.Second, "two conflicts", func() bool { return len(observe(t, w).Conflicts) == 2 })
	for _, r := range observe(t, w).Conflicts {
		if r.MAC.String() != staleMAC || r.Link != s.nodeIf {
			t.Errorf("conflict %+v", r)
		}
	}
}

func TestLeaveEndsWithTheNewOwnersAnnouncement(t *testing.T) {
	s := newSegment(t)
	w := s.start(l2.Config{Linger: time.Minute})
	w.SetLinks(s.links())
	w.Set(announcements(vip4(), vip6()))
	s.within(3*time.Second, "announced", func() bool { return observe(t, w).Counters[vip6()].Gratuitous > 0 })
	gone := make(chan error, 1)
	go func() { gone <- w.Leave(t.Context()) }()
	s.within(3*time.Second, "leaving", func() bool {
		o := observe(t, w)
		return len(o.Announced) == 2 && o.Announced[0].Leaving
	})
	s.poke(vip4())
	s.within(3*time.Second, "still answered", func() bool { return s.knows(vip4(), "REACHABLE") })
	w.Set(announcements(vip4())) // too late to change its mind
	s.rivalClaims()
	select {
	case err := <-gone:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("still leaving after the new owner spoke")
	}
	if o := observe(t, w); len(o.Announced) != 0 {
		t.Errorf("still announced: %+v", o.Announced)
	}
}

func TestLeaveEndsWithTheLinger(t *testing.T) {
	s := newSegment(t)
	w := s.start(l2.Config{Linger: 50 * time.Millisecond})
	w.SetLinks(s.links())
	w.Set(announcements(vip4()))
	s.within(3*time.Second, "announced", func() bool { return observe(t, w).Counters[vip4()].Gratuitous > 0 })
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := w.Leave(ctx); err != nil {
		t.Error(err)
	}
}

func TestAProbedAddressThatIsInUseIsNotAnnounced(t *testing.T) {
	s := newSegment(t)
	w := s.start(l2.Config{})
	w.SetLinks(s.links())
	taken4, taken6 := netip.MustParsePrefix(client4).Addr(), netip.MustParsePrefix(client6).Addr()
	w.Probe([]netip.Addr{taken4, taken6, vip4(), vip6()})
	w.Set(announcements(taken4, taken6, vip4(), vip6()))
	s.within(5*time.Second, "conflicts for what the client has", func() bool { return len(observe(t, w).Conflicts) == 2 })
	s.within(5*time.Second, "the others announced", func() bool {
		c := observe(t, w).Counters
		return c[vip4()].Gratuitous > 0 && c[vip6()].Gratuitous > 0
	})
	if c := observe(t, w).Counters; c[taken4].Gratuitous != 0 || c[taken6].Gratuitous != 0 {
		t.Errorf("announced an address that the client has: %+v", c)
	}
}

func TestDuplicateDetectionOfAnotherHostFails(t *testing.T) {
	s := newSegment(t)
	w := s.start(l2.Config{})
	w.SetLinks(s.links())
	w.Set(announcements(vip6()))
	s.within(3*time.Second, "announced", func() bool { return observe(t, w).Counters[vip6()].Gratuitous > 0 })
	s.ip("-n", s.client, "addr", "add", vip6().String()+"/64", "dev", s.clientIf)
	s.within(5*time.Second, "the client's kernel gives the address up", func() bool {
		return strings.Contains(s.ip("-n", s.client, "addr", "show", "dev", s.clientIf, "dadfailed"), vip6().String())
	})
}

func TestFramesForOtherHostsStayInTheKernel(t *testing.T) {
	s := newSegment(t)
	w := s.start(l2.Config{})
	s.ip("link", "set", s.nodeIf, "promisc", "on")
	w.SetLinks(s.links())
	second := vip4().Next()
	w.Set(announcements(vip4(), second))
	s.within(3*time.Second, "announced", func() bool { return observe(t, w).Counters[second].Gratuitous > 0 })
	raw, err := s.clientSocket(unix.ETH_P_ALL).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	// A rival's reply to somebody else arrives in promiscuous mode; its broadcast about the
	// second address, sent after it, shows that all before was looked at.
	mac := l2.MAC{2, 0, 0, 0, 0, 0x66}
	for _, a := range []l2.Action{
		{Op: l2.SendARP, Addr: vip4(), Dst: vip4(), MAC: mac, DstMAC: l2.MAC{2, 0, 0, 0, 0, 0x44}},
		{Op: l2.SendARP, Addr: second, Dst: second, MAC: mac, DstMAC: l2.BroadcastMAC()},
	} {
		frame, err := encode(&a)
		if err != nil {
			t.Fatal(err)
		}
		send(t, raw, frame)
	}
	s.within(3*time.Second, "the broadcast seen", func() bool {
		return slices.ContainsFunc(observe(t, w).Conflicts, func(r l2.Rival) bool { return r.Addr == second })
	})
	if c := observe(t, w).Conflicts; len(c) != 1 {
		t.Errorf("conflicts %+v, want only that of the broadcast frame", c)
	}
}

// TestOnlyNetRawIsNeeded runs another test again with every other capability taken away.
func TestOnlyNetRawIsNeeded(t *testing.T) {
	if os.Getenv(confined) != "" {
		status, err := os.ReadFile("/proc/self/status")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(status), "CapEff:\t0000000000002000\n") {
			t.Fatalf("not confined to CAP_NET_RAW:\n%s", status)
		}
		confinedWire(t)
		return
	}
	s := newSegment(t)
	s.ip("link", "set", s.nodeIf, "name", "confined0")
	s.nodeIf = "confined0"
	cmd := exec.Command("setpriv", "--bounding-set=-all,+net_raw", "--inh-caps=-all,+net_raw", "--ambient-caps=-all,+net_raw",
		"--no-new-privs", os.Args[0], "-test.run=^TestOnlyNetRawIsNeeded$", "-test.v")
	cmd.Env = append(os.Environ(), confined+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

const confined = "CLARION_WIRE_TEST_CONFINED"

// confinedWire announces on the link that the unconfined half of the test made, and joins
// more groups than one socket can.
func confinedWire(t *testing.T) {
	s := &segment{t: t, nodeIf: "confined0"}
	w := s.start(l2.Config{})
	w.SetLinks(s.links())
	all := []netip.Addr{vip4()}
	for a := vip6(); len(all) < 2500; a = a.Next() {
		all = append(all, a)
	}
	w.Set(announcements(all...))
	s.within(20*time.Second, "everything announced and joined", func() bool {
		return observe(t, w).Counters[all[len(all)-1]].Gratuitous > 0 &&
			s.memberships() >= len(all)-1
	})
	if o := observe(t, w); o.Sent.Broken+o.Sent.Failed != 0 {
		t.Errorf("sent %+v", o.Sent)
	}
}
