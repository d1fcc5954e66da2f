// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package link

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/clarion-lb/clarion/internal/lb"
	"github.com/clarion-lb/clarion/internal/netnstest"
)

// These tests change real interfaces.
func TestMain(m *testing.M) { netnstest.Main(m.Run) }

func ip(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// watched is a running Watcher whose snapshots and log can be looked at.
type watched struct {
	*Watcher
	t    *testing.T
	news chan struct{}

	mu  sync.Mutex
	log bytes.Buffer
}

func (w *watched) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(b)
}

func (w *watched) logged(s string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Contains(w.log.String(), s)
}

func watch(t *testing.T) *watched {
	t.Helper()
	w := &watched{t: t, news: make(chan struct{}, 1)}
	w.Watcher = New(slog.New(slog.NewTextHandler(w, nil)), func([]lb.Link) {
		select {
		case w.news <- struct{}{}:
		default:
		}
	})
	if links, known := w.Links(); known || links != nil {
		t.Fatalf("before Run: %v %v, want unknown", links, known)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	w.until("known", func() bool { _, known := w.Links(); return known })
	return w
}

// until waits for news that make the condition true, and returns how long that took.
func (w *watched) until(what string, ok func() bool) time.Duration {
	w.t.Helper()
	start, limit := time.Now(), time.After(10*time.Second)
	for !ok() {
		select {
		case <-w.news:
		case <-limit:
			links, _ := w.Links()
			w.t.Fatalf("never %s; last snapshot %+v", what, links)
		}
	}
	return time.Since(start)
}

func (w *watched) link(name string) (lb.Link, bool) {
	links, _ := w.Links()
	for _, l := range links {
		if l.Name == name {
			return l, true
		}
	}
	return lb.Link{}, false
}

// is waits until a link looks as wanted.
func (w *watched) is(what, name string, ok func(lb.Link) bool) time.Duration {
	w.t.Helper()
	return w.until(name+" "+what, func() bool {
		l, found := w.link(name)
		return found && ok(l)
	})
}

func TestLinksAreFollowed(t *testing.T) {
	w := watch(t)
	ip(t, "link", "add", "a0", "type", "veth", "peer", "name", "b0")
	t.Cleanup(func() { _ = exec.Command("ip", "link", "del", "a0").Run() })
	w.is("appears without carrier", "a0", func(l lb.Link) bool {
		return !l.Carrier && l.Broadcast && l.ARP && l.Master == 0 && l.HardwareAddr != [6]byte{} && l.Index > 0
	})
	ip(t, "link", "set", "b0", "up")
	ip(t, "link", "set", "a0", "up")
	w.is("has carrier", "a0", func(l lb.Link) bool { return l.Carrier })
	ip(t, "addr", "add", "192.0.2.1/24", "dev", "a0")
	ip(t, "addr", "add", "2001:db8::1/64", "dev", "a0", "nodad")
	w.is("has its addresses", "a0", func(l lb.Link) bool {
		return slices.Contains(l.Prefixes, netip.MustParsePrefix("192.0.2.1/24")) &&
			slices.Contains(l.Prefixes, netip.MustParsePrefix("2001:db8::1/64")) && len(l.Prefixes) == 3
	})
	ip(t, "addr", "del", "192.0.2.1/24", "dev", "a0")
	w.is("lost one", "a0", func(l lb.Link) bool { return len(l.Prefixes) == 2 })
	ip(t, "link", "set", "a0", "address", "02:00:00:00:00:05")
	w.is("changed its address", "a0", func(l lb.Link) bool { return l.HardwareAddr == [6]byte{2, 0, 0, 0, 0, 5} })
	ip(t, "link", "set", "a0", "arp", "off")
	w.is("is NOARP", "a0", func(l lb.Link) bool { return !l.ARP })
	ip(t, "link", "add", "br0", "type", "bridge")
	t.Cleanup(func() { _ = exec.Command("ip", "link", "del", "br0").Run() })
	ip(t, "link", "set", "a0", "master", "br0")
	w.is("is enslaved", "a0", func(l lb.Link) bool {
		br, ok := w.link("br0")
		return ok && l.Master == br.Index
	})
	before, _ := w.link("a0")
	ip(t, "link", "del", "a0")
	w.until("a0 gone", func() bool { _, found := w.link("a0"); return !found })
	ip(t, "link", "add", "a0", "type", "veth", "peer", "name", "b0")
	w.is("is back with another index", "a0", func(l lb.Link) bool { return l.Index != before.Index && l.Master == 0 })
}

func TestCarrierLossIsSeenWithinMilliseconds(t *testing.T) {
	w := watch(t)
	ip(t, "link", "add", "a1", "type", "veth", "peer", "name", "b1")
	t.Cleanup(func() { _ = exec.Command("ip", "link", "del", "a1").Run() })
	ip(t, "link", "set", "a1", "up")
	peer, err := netlink.LinkByName("b1")
	if err != nil {
		t.Fatal(err)
	}
	var took []time.Duration
	for range 5 {
		if err := netlink.LinkSetUp(peer); err != nil {
			t.Fatal(err)
		}
		w.is("up", "a1", func(l lb.Link) bool { return l.Carrier })
		if err := netlink.LinkSetDown(peer); err != nil {
			t.Fatal(err)
		}
		took = append(took, w.is("down", "a1", func(l lb.Link) bool { return !l.Carrier }))
	}
	slices.Sort(took)
	t.Logf("carrier loss to snapshot: %v", took)
	if took[len(took)/2] > 50*time.Millisecond {
		t.Errorf("median %s, want at most 50 ms", took[len(took)/2])
	}
}

// TestLostEventsAreMadeUpFor starves the subscriptions of buffer until the kernel drops
// events, which closes them for good in the library.
func TestLostEventsAreMadeUpFor(t *testing.T) {
	w := watch(t)
	ip(t, "link", "add", "a2", "type", "veth", "peer", "name", "b2")
	t.Cleanup(func() { _ = exec.Command("ip", "link", "del", "a2").Run() })
	starved := 0
	for fd := range 256 {
		sa, err := unix.Getsockname(fd)
		if nl, ok := sa.(*unix.SockaddrNetlink); err == nil && ok && nl.Groups != 0 {
			if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1); err != nil {
				t.Fatal(err)
			}
			starved++
		}
	}
	if starved != 2 {
		t.Fatalf("starved %d subscriptions, want those of links and addresses", starved)
	}
	const n = 5000
	var batch strings.Builder
	for i := range n {
		fmt.Fprintf(&batch, "addr add 10.1.%d.%d/32 dev a2\n", i/250, i%250)
	}
	cmd := exec.Command("ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(batch.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ip -batch: %v\n%s", err, out)
	}
	w.is("has every address", "a2", func(l lb.Link) bool { return len(l.Prefixes) == n })
	if !w.logged("events were lost") {
		t.Error("no event was lost; the test proves nothing")
	}
	ip(t, "link", "set", "a2", "address", "02:00:00:00:00:06")
	w.is("is still watched", "a2", func(l lb.Link) bool { return l.HardwareAddr == [6]byte{2, 0, 0, 0, 0, 6} })
}

func TestRunLeavesNoGoroutineBehind(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 3 {
		w := New(slog.New(slog.DiscardHandler), nil)
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- w.Run(ctx) }()
		for {
			if _, known := w.Links(); known {
				break
			}
			runtime.Gosched()
		}
		cancel()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
	for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines, had %d", runtime.NumGoroutine(), before)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestConvertIgnoresWhatIsNotEthernet(t *testing.T) {
	links := convert([]netlink.Link{
		&netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: 3, Name: "ib0", HardwareAddr: make(net.HardwareAddr, 20)}},
		&netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: 2, Name: "eth0", HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 1}}},
	}, []netlink.Addr{{LinkIndex: 9, IPNet: &net.IPNet{IP: net.IP{1, 2, 3, 4}, Mask: net.CIDRMask(24, 32)}}})
	if len(links) != 2 || links[0].Name != "eth0" || links[0].HardwareAddr[0] != 2 || links[1].HardwareAddr != [6]byte{} {
		t.Errorf("links %+v", links)
	}
}
