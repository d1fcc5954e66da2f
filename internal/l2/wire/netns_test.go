// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"github.com/clarion-lb/clarion/internal/l2"
	"github.com/clarion-lb/clarion/internal/lb"
	"github.com/clarion-lb/clarion/internal/netnstest"
)

// These tests speak through real veth pairs.
func TestMain(m *testing.M) { netnstest.Main(m.Run) }

// The addresses of the segment: node and client at its two ends, and what is announced.
const (
	node4, client4 = "10.99.0.1/16", "10.99.0.2/16"
	node6, client6 = "fd99::1/64", "fd99::2/64"
	staleMAC       = "02:de:ad:00:00:99"
)

func vip4() netip.Addr { return netip.MustParseAddr("10.99.1.1") }
func vip6() netip.Addr { return netip.MustParseAddr("fd99::1:1") }

var segments atomic.Int32 // for unique names

// segment is a veth pair between this namespace (the node) and another one (the client).
type segment struct {
	t        testing.TB
	client   string // namespace
	nodeIf   string
	clientIf string
}

func newSegment(t testing.TB) *segment {
	t.Helper()
	n := segments.Add(1)
	s := &segment{
		t: t, client: fmt.Sprintf("clarion-wire-%d-%d", os.Getpid(), n),
		nodeIf: fmt.Sprintf("up%d", n), clientIf: "c0",
	}
	s.ip("netns", "add", s.client)
	t.Cleanup(func() {
		// Removing the link at our end first also removes the client's.
		_ = exec.Command("ip", "link", "del", s.nodeIf).Run()
		s.ip("netns", "del", s.client)
	})
	s.connect()
	return s
}

// connect makes the veth pair.
func (s *segment) connect() {
	s.t.Helper()
	s.ip("link", "add", s.nodeIf, "type", "veth", "peer", "name", s.clientIf, "netns", s.client)
	s.address()
}

// address gives both ends their addresses and sets them up.
func (s *segment) address() {
	s.t.Helper()
	for _, a := range []string{node4, node6} {
		s.ip("addr", "add", a, "dev", s.nodeIf, "nodad")
	}
	s.ip("link", "set", s.nodeIf, "up")
	for _, a := range []string{client4, client6} {
		s.ip("-n", s.client, "addr", "add", a, "dev", s.clientIf, "nodad")
	}
	s.ip("-n", s.client, "link", "set", s.clientIf, "up")
	s.within(10*time.Second, "carrier and link-local address", func() bool {
		l := s.link()
		return l.Carrier && slices.ContainsFunc(l.Prefixes, func(p netip.Prefix) bool {
			return p.Addr().Is6() && p.Addr().IsLinkLocalUnicast()
		})
	})
	// Only with its link-local address does the client's kernel take multicast packets; it
	// comes some time after the carrier.
	s.within(10*time.Second, "link-local address of the client", func() bool {
		return strings.Contains(s.ip("-n", s.client, "-6", "addr", "show", "dev", s.clientIf, "scope", "link"), "fe80")
	})
}

func (s *segment) ip(args ...string) string {
	s.t.Helper()
	return s.run("ip", args...)
}

func (s *segment) run(name string, args ...string) string {
	s.t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// sh runs a shell command at the client.
func (s *segment) sh(script string) {
	s.t.Helper()
	out, err := exec.Command("ip", "netns", "exec", s.client, "bash", "-c", script).CombinedOutput()
	if err != nil {
		s.t.Fatalf("client: %s: %v\n%s", script, err, out)
	}
}

// links returns the node's interfaces as package link would.
func (s *segment) links() []lb.Link {
	s.t.Helper()
	all, err := net.Interfaces()
	if err != nil {
		s.t.Fatal(err)
	}
	var out []lb.Link
	for _, i := range all {
		l := lb.Link{
			Index: i.Index, Name: i.Name, ARP: i.Flags&net.FlagLoopback == 0,
			Carrier:   i.Flags&(net.FlagUp|net.FlagRunning) == net.FlagUp|net.FlagRunning,
			Broadcast: i.Flags&net.FlagBroadcast != 0,
		}
		copy(l.HardwareAddr[:], i.HardwareAddr)
		addrs, err := i.Addrs()
		if err != nil {
			continue // deleted meanwhile
		}
		for _, a := range addrs {
			l.Prefixes = append(l.Prefixes, netip.MustParsePrefix(a.String()))
		}
		out = append(out, l)
	}
	return out
}

// link returns this segment's interface, the zero link if it is missing.
func (s *segment) link() lb.Link {
	s.t.Helper()
	for _, l := range s.links() {
		if l.Name == s.nodeIf {
			return l
		}
	}
	return lb.Link{}
}

// memberships counts the solicited-node groups that the node's interface delivers, those of
// its own addresses included.
func (s *segment) memberships() int {
	s.t.Helper()
	all, err := os.ReadFile("/proc/net/dev_mcast") // index, name, users, global users, address
	if err != nil {
		s.t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(all)) {
		if f := strings.Fields(line); len(f) == 5 && f[1] == s.nodeIf && strings.HasPrefix(f[4], "3333ff") {
			n++
		}
	}
	return n
}

func (s *segment) mac() string { return l2.MAC(s.link().HardwareAddr).String() }

// within waits for a condition of the real world.
func (s *segment) within(d time.Duration, what string, ok func() bool) {
	s.t.Helper()
	for end := time.Now().Add(d); !ok(); {
		if time.Now().After(end) {
			s.t.Fatalf("not within %s: %s", d, what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// poke makes the client's kernel resolve an address.
func (s *segment) poke(a netip.Addr) {
	s.t.Helper()
	s.sh(fmt.Sprintf("echo x > /dev/udp/%s/9", a))
}

// neigh returns the client's neighbour entry, such as "lladdr 02:... REACHABLE".
func (s *segment) neigh(a netip.Addr) string {
	s.t.Helper()
	return strings.TrimSpace(s.ip("-n", s.client, "neigh", "show", "to", a.String(), "dev", s.clientIf))
}

// knows says whether the client has the node's MAC for an address in the given state.
func (s *segment) knows(a netip.Addr, state string) bool {
	s.t.Helper()
	n := s.neigh(a)
	return strings.Contains(n, s.mac()) && strings.HasSuffix(n, state)
}

// stale gives the client an old neighbour entry, as after a failover.
func (s *segment) stale(a netip.Addr, mac string) {
	s.t.Helper()
	s.ip("-n", s.client, "neigh", "replace", a.String(), "lladdr", mac, "dev", s.clientIf, "nud", "stale")
}

// inClient runs f on a thread inside the client's namespace. Sockets made there stay there.
func (s *segment) inClient(f func() error) {
	s.t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	here, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = here.Close() }()
	there, err := os.Open(filepath.Join("/run/netns", s.client))
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = there.Close() }()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		s.t.Fatal(err)
	}
	err = f()
	if back := unix.Setns(int(here.Fd()), unix.CLONE_NEWNET); back != nil {
		panic(back) // the thread would carry other tests into the wrong namespace
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// clientSocket opens a packet socket at the client's end.
func (s *segment) clientSocket(proto int) *packet.Conn {
	s.t.Helper()
	var conn *packet.Conn
	s.inClient(func() error {
		ifi, err := net.InterfaceByName(s.clientIf)
		if err != nil {
			return err
		}
		conn, err = packet.Listen(ifi, packet.Raw, proto, nil)
		return err
	})
	s.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// start runs a Wire until the test ends.
func (s *segment) start(cfg l2.Config) *Wire {
	s.t.Helper()
	w, stop := s.launch(cfg)
	s.t.Cleanup(stop)
	return w
}

// launch runs a Wire until stop is called.
func (s *segment) launch(cfg l2.Config) (w *Wire, stop func()) {
	s.t.Helper()
	w, err := New(Options{Machine: cfg, Log: slog.New(slog.NewTextHandler(s.t.Output(), nil))})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	return w, func() {
		cancel()
		if err := <-ended; err != nil {
			s.t.Errorf("run: %v", err)
		}
	}
}

func observe(t testing.TB, w *Wire) Observation {
	t.Helper()
	o, err := w.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func announcements(addrs ...netip.Addr) []lb.Announcement {
	var out []lb.Announcement
	for _, a := range addrs {
		out = append(out, lb.Announcement{Addr: a})
	}
	return out
}
