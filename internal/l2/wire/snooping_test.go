// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"github.com/clarion-lb/clarion/internal/l2"
	"github.com/clarion-lb/clarion/internal/lb"
)

// The ports of a switch, to the node and to the client.
const toNode, toClient = "p0", "p1"

// newSnooped is a segment with a switch in the middle that snoops, and sends no multicast to
// the node that it was not asked for. The options are those of "ip link ... type bridge",
// times in hundredths of a second.
func newSnooped(t *testing.T, options ...string) (s *segment, sw string) {
	t.Helper()
	n := segments.Add(1)
	name := fmt.Sprintf("clarion-wire-%d-%d", os.Getpid(), n)
	s = &segment{t: t, client: name, nodeIf: fmt.Sprintf("up%d", n), clientIf: "c0"}
	sw = name + "-switch"
	for _, ns := range []string{s.client, sw} {
		s.ip("netns", "add", ns)
		t.Cleanup(func() { s.ip("netns", "del", ns) })
	}
	// Namespaces go at leisure; until then a link that is left would look like one to announce on.
	t.Cleanup(func() { s.ip("link", "del", s.nodeIf) })
	s.ip(append([]string{"-n", sw, "link", "add", "br0", "type", "bridge", "mcast_snooping", "1", "mcast_mld_version", "2"}, options...)...)
	s.ip("link", "add", s.nodeIf, "type", "veth", "peer", "name", toNode, "netns", sw)
	s.ip("-n", s.client, "link", "add", s.clientIf, "type", "veth", "peer", "name", toClient, "netns", sw)
	for _, port := range []string{toNode, toClient} {
		s.ip("-n", sw, "link", "set", port, "master", "br0", "up")
	}
	s.ip("-n", sw, "link", "set", toNode, "type", "bridge_slave", "mcast_flood", "off")
	// The querier needs its link-local address from the beginning on.
	s.ip("-n", sw, "link", "set", "br0", "addrgenmode", "none")
	s.ip("-n", sw, "addr", "add", "fe80::53/64", "dev", "br0", "nodad")
	s.ip("-n", sw, "link", "set", "br0", "up")
	// Last, because the bridge then floods for one response interval, as it is at that moment.
	s.ip("-n", sw, "link", "set", "br0", "type", "bridge", "mcast_querier", "1")
	s.address()
	return s, sw
}

// snooped says whether the switch sends a group to a port.
func (s *segment) snooped(sw, port string, group netip.Addr) bool {
	s.t.Helper()
	for line := range strings.Lines(s.run("bridge", "-n", sw, "mdb", "show")) {
		if f := strings.Fields(line); len(f) > 5 && f[3] == port && f[5] == group.String() {
			return true
		}
	}
	return false
}

// nodeSocket opens a packet socket at the node's end.
func (s *segment) nodeSocket(proto int) *packet.Conn {
	s.t.Helper()
	ifi, err := net.InterfaceByName(s.nodeIf)
	if err != nil {
		s.t.Fatal(err)
	}
	conn, err := packet.Listen(ifi, packet.Raw, proto, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return conn
}

// solicited says whether a solicitation for an address arrives at the node.
func (s *segment) solicited(a netip.Addr, d time.Duration, during func()) bool {
	s.t.Helper()
	conn := s.nodeSocket(unix.ETH_P_IPV6)
	defer conn.Close()
	during()
	if err := conn.SetReadDeadline(time.Now().Add(d)); err != nil {
		s.t.Fatal(err)
	}
	for buf := make([]byte, maxFrame); ; {
		n, _, err := conn.ReadFrom(buf)
		if err != nil {
			return false
		}
		if q, ok := decode(lb.IPv6, buf[:n]); ok && q.Kind == l2.NeighborSolicitation && q.Target == a {
			return true
		}
	}
}

// reports returns the ICMPv6 types of the messages about a group that leave the node.
func (s *segment) reports(group netip.Addr, d time.Duration) (types []byte) {
	s.t.Helper()
	conn := s.nodeSocket(unix.ETH_P_ALL)
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(d)); err != nil {
		s.t.Fatal(err)
	}
	for buf := make([]byte, maxFrame); ; {
		n, _, err := conn.ReadFrom(buf)
		if err != nil {
			return types
		}
		typ := hopByHopNext + 8
		if n > typ && buf[ipv6Next] == unix.IPPROTO_HOPOPTS && buf[typ] > typeMLDQuery && bytes.Contains(buf[typ:n], group.AsSlice()) {
			types = append(types, buf[typ])
		}
	}
}

// TestASwitchThatSnoopsSendsSolicitations has its own querier, of both versions, whose
// memberships end after 2.5 s without a report.
func TestASwitchThatSnoopsSendsSolicitations(t *testing.T) {
	for _, version := range []string{"1", "2"} {
		t.Run("MLDv"+version, func(t *testing.T) {
			s, sw := newSnooped(t, "mcast_mld_version", version, "mcast_query_interval", "100", "mcast_query_response_interval", "50",
				"mcast_startup_query_interval", "100", "mcast_membership_interval", "250", "mcast_last_member_interval", "20")
			w := s.start(l2.Config{})
			w.SetLinks(s.links())
			second := netip.MustParseAddr("fd99::77:1234")
			third := netip.MustParseAddr("fd99::5:0:77:1234") // of the same group
			here, there := l2.SolicitedNode(vip6()), l2.SolicitedNode(second)
			time.Sleep(1200 * time.Millisecond) // so that at least one query has told its version
			w.Set(announcements(vip6(), second, third))
			s.within(3*time.Second, "both groups snooped", func() bool {
				return s.snooped(sw, toNode, here) && s.snooped(sw, toNode, there)
			})
			if _, ok := kernelGroups(s.link().Index)[here]; ok {
				t.Fatal("the kernel itself is a member, so this shows nothing")
			}
			for _, a := range []netip.Addr{vip6(), second, third} {
				s.poke(a)
				s.within(3*time.Second, "answered through the switch", func() bool { return s.knows(a, "REACHABLE") })
			}
			if foreign := vip6().Next(); s.solicited(foreign, 300*time.Millisecond, func() { s.poke(foreign) }) {
				t.Fatal("the switch floods, so this shows nothing")
			}

			for end := time.Now().Add(4 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
				if !s.snooped(sw, toNode, here) {
					t.Fatal("a query was not answered in time")
				}
			}

			// From now on only a leave ends a membership.
			s.ip("-n", sw, "link", "set", "br0", "type", "bridge", "mcast_membership_interval", "6000")
			want := map[string]byte{"1": 131, "2": 143}[version]
			if got := s.reports(there, 2500*time.Millisecond); len(got) < 2 || slices.ContainsFunc(got, func(typ byte) bool { return typ != want }) {
				t.Errorf("two queries or more were answered by messages of type %v, want %d", got, want)
			}
			w.Set(announcements(vip6(), third))
			time.Sleep(time.Second)
			if !s.snooped(sw, toNode, there) {
				t.Error("left a group that another address needs")
			}
			w.Set(announcements(vip6()))
			s.within(3*time.Second, "one group left", func() bool { return !s.snooped(sw, toNode, there) })
			if !s.snooped(sw, toNode, here) {
				t.Error("left the other group, too")
			}
			w.Set(nil) // closes the port
			s.within(3*time.Second, "the last group left", func() bool { return !s.snooped(sw, toNode, here) })
		})
	}
}

func TestASwitchThatForgotLearnsAgainWhenTheLinkIsBack(t *testing.T) {
	s, sw := newSnooped(t)
	s.ip("-n", sw, "link", "set", "br0", "type", "bridge", "mcast_querier", "0") // it could do it, too
	w := s.start(l2.Config{})
	w.SetLinks(s.links())
	w.Set(announcements(vip6()))
	group := l2.SolicitedNode(vip6())
	s.within(3*time.Second, "snooped", func() bool { return s.snooped(sw, toNode, group) })
	time.Sleep(2500 * time.Millisecond) // all repetitions are over
	s.ip("-n", sw, "link", "set", toNode, "down")
	s.within(3*time.Second, "carrier lost", func() bool { return !s.link().Carrier })
	w.SetLinks(s.links())
	if s.snooped(sw, toNode, group) {
		t.Fatal("the switch remembers, so this shows nothing")
	}
	s.ip("-n", sw, "link", "set", toNode, "up")
	s.within(3*time.Second, "carrier back", func() bool { return s.link().Carrier })
	w.SetLinks(s.links())
	s.within(time.Second, "snooped again", func() bool { return s.snooped(sw, toNode, group) })
}

// TestAGroupOfTheNodeItselfIsNotLeft uses a port that forgets a group with the first leave.
func TestAGroupOfTheNodeItselfIsNotLeft(t *testing.T) {
	s, sw := newSnooped(t)
	s.ip("-n", sw, "link", "set", toNode, "type", "bridge_slave", "mcast_fast_leave", "on")
	w := s.start(l2.Config{})
	w.SetLinks(s.links())
	own := netip.MustParsePrefix(node6).Addr()
	sibling := netip.MustParseAddr("fd99::7:0:0:1")
	shared, other := l2.SolicitedNode(own), l2.SolicitedNode(vip6())
	if shared != l2.SolicitedNode(sibling) {
		t.Fatal("the addresses must share a group")
	}
	w.Set(announcements(sibling, vip6()))
	s.within(3*time.Second, "snooped", func() bool { return s.snooped(sw, toNode, other) && s.snooped(sw, toNode, shared) })
	w.Set(nil)
	s.within(3*time.Second, "left", func() bool { return !s.snooped(sw, toNode, other) })
	for end := time.Now().Add(time.Second); time.Now().Before(end); { // the leave is repeated
		if !s.snooped(sw, toNode, shared) {
			t.Fatal("the node's own address is cut off")
		}
	}
}

func TestAnEndIsToldToTheSwitch(t *testing.T) {
	s, sw := newSnooped(t)
	s.ip("-n", sw, "link", "set", toNode, "type", "bridge_slave", "mcast_fast_leave", "on")
	w, stop := s.launch(l2.Config{})
	w.SetLinks(s.links())
	w.Set(announcements(addrsFrom(vip6().String(), 200)...)) // four reports
	group := l2.SolicitedNode(vip6())
	s.within(3*time.Second, "snooped", func() bool { return s.snooped(sw, toNode, group) })
	stop()
	if s.snooped(sw, toNode, group) {
		t.Error("the switch still sends solicitations here")
	}
}

func TestASuccessorWaitsUntilAllIsLeft(t *testing.T) {
	s := newSegment(t)
	w, err := New(Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	w.attach(s.links())
	ifi := &net.Interface{Index: s.link().Index, Name: s.nodeIf}
	before := w.newGroups(ifi, nil)
	g := w.newGroups(ifi, before)
	before.join(l2.SolicitedNode(vip6()))
	g.join(l2.SolicitedNode(vip6().Next()))
	ends := []chan struct{}{make(chan struct{}), make(chan struct{})}
	results := make(chan error)
	own := s.memberships()
	go func() { results <- before.run(ends[0]) }()
	go func() { results <- g.run(ends[1]) }()
	s.within(3*time.Second, "the first joined", func() bool { return s.memberships() == own+1 })
	close(ends[0]) // says twice what it left, the second time within a second, or never when hurried
	before.hurry()
	hurried := time.Now()
	if err := <-results; err != nil {
		t.Fatal(err)
	}
	if took := time.Since(hurried); took > 500*time.Millisecond {
		t.Errorf("took %s in a hurry", took)
	}
	s.within(3*time.Second, "the second joined", func() bool { return s.memberships() == own+1 })
	close(ends[1])
	g.hurry()
	if err := <-results; err != nil {
		t.Fatal(err)
	}
	if got := s.memberships(); got != own {
		t.Errorf("%d memberships, want %d", got, own)
	}
}

func TestGroupsSurviveASuccessorOfThePort(t *testing.T) {
	s, sw := newSnooped(t)
	s.ip("-n", sw, "link", "set", toNode, "type", "bridge_slave", "mcast_fast_leave", "on")
	w := s.start(l2.Config{})
	w.SetLinks(s.links())
	group := l2.SolicitedNode(vip6())
	for range 5 { // closes the port and opens it again, while the leave waits for its repetition
		w.Set(announcements(vip6()))
		s.within(3*time.Second, "snooped", func() bool { return s.snooped(sw, toNode, group) })
		w.Set(nil)
		observe(t, w)
	}
	w.Set(announcements(vip6()))
	time.Sleep(2500 * time.Millisecond)
	if !s.snooped(sw, toNode, group) {
		t.Error("an old leave was told after the join")
	}
}

// TestABridgeOfTheNodeLearnsOfItsOwnGroups announces on a bridge that snoops itself and would
// keep the frames from its host.
func TestABridgeOfTheNodeLearnsOfItsOwnGroups(t *testing.T) {
	s := newSegment(t)
	port := s.nodeIf
	s.nodeIf = "br" + port
	s.ip("link", "add", s.nodeIf, "type", "bridge", "mcast_snooping", "1", "mcast_querier", "1")
	t.Cleanup(func() { s.ip("link", "del", s.nodeIf) })
	s.ip("link", "set", port, "master", s.nodeIf)
	s.ip("addr", "flush", "dev", port)
	s.ip("addr", "add", node6, "dev", s.nodeIf, "nodad")
	s.ip("link", "set", s.nodeIf, "up")
	s.within(10*time.Second, "link-local address", func() bool { return linkLocal(s.link().Index).IsLinkLocalUnicast() })
	w := s.start(l2.Config{})
	w.SetLinks(s.links())
	w.Set(announcements(vip6()))
	group := l2.SolicitedNode(vip6())
	s.within(3*time.Second, "the bridge knows", func() bool {
		return slices.ContainsFunc(strings.Split(s.run("bridge", "mdb", "show", "dev", s.nodeIf), "\n"), func(line string) bool {
			return strings.Contains(line, "port "+s.nodeIf+" ") && strings.Contains(line, group.String())
		})
	})
	s.poke(vip6())
	s.within(3*time.Second, "answered", func() bool { return s.knows(vip6(), "REACHABLE") })
}

func TestTheKernelNamesItsSourcesAndGroups(t *testing.T) {
	s := newSegment(t)
	index := s.link().Index
	s.within(5*time.Second, "usable link-local address", func() bool { return linkLocal(index).IsLinkLocalUnicast() })
	if !slices.ContainsFunc(s.link().Prefixes, func(p netip.Prefix) bool { return p.Addr() == linkLocal(index) }) {
		t.Errorf("%s is not an address of the link", linkLocal(index))
	}
	own := l2.SolicitedNode(netip.MustParsePrefix(node6).Addr())
	if _, ok := kernelGroups(index)[own]; !ok {
		t.Errorf("%s is missing in %v", own, kernelGroups(index))
	}
	// Nobody answers duplicate address detection of an address that takes 1,000 probes.
	s.ip("link", "set", s.nodeIf, "addrgenmode", "none")
	s.ip("addr", "flush", "dev", s.nodeIf, "scope", "link")
	if a := linkLocal(index); !a.IsUnspecified() {
		t.Errorf("%s is gone", a)
	}
	if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+s.nodeIf+"/dad_transmits", []byte("1000"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.ip("addr", "add", "fe80::77/64", "dev", s.nodeIf)
	if a := linkLocal(index); !a.IsUnspecified() {
		t.Errorf("%s is tentative", a)
	}
}
