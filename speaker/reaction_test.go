// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clarion-lb/clarion/internal/l2"
	"github.com/clarion-lb/clarion/internal/l2/wire"
	"github.com/clarion-lb/clarion/internal/lb"
	"github.com/clarion-lb/clarion/internal/link"
	"github.com/clarion-lb/clarion/internal/netnstest"
)

const (
	// reactionLimit is generous, since other tests run at the same time.
	reactionLimit  = 500 * time.Millisecond
	reactionRounds = 5
)

// The watcher of interfaces and the wire, joined as in the program, follow what happens to an
// interface: the address is announced on it, or no longer, within milliseconds.
func TestWireFollowsInterfaces(t *testing.T) {
	if !netnstest.Inside() {
		out, err := netnstest.Command("-test.run=^TestWireFollowsInterfaces$", "-test.v").CombinedOutput()
		if err != nil {
			t.Fatalf("run in a network namespace, which needs root: %v\n%s", err, out)
		}
		t.Logf("%s", out)
		return
	}
	r := newReaction(t)
	r.ip("link set lo up", "link add br0 address "+reactionBridge+" type bridge", "addr add 10.98.0.3/16 dev br0", "link set br0 up")
	for range reactionRounds {
		r.frame("appears", "02:00:00:00:00:01",
			"link add up0 address 02:00:00:00:00:01 type veth peer name peer0", "addr add 10.98.0.1/16 dev up0",
			"link set peer0 up", "link set up0 up")
		r.silence("loses carrier", "link set peer0 down")
		r.frame("gets carrier back", "02:00:00:00:00:01", "link set peer0 up")
		r.frame("changes its MAC", "02:00:00:00:00:02", "link set up0 address 02:00:00:00:00:02")
		r.frame("is enslaved to a bridge", reactionBridge, "link set up0 master br0")
		r.frame("leaves the bridge", "02:00:00:00:00:02", "link set up0 nomaster")
		r.silence("vanishes", "link del up0")
	}
	for _, what := range r.order {
		took := r.took[what]
		slices.Sort(took)
		t.Logf("interface %s: median %s, all %s", what, took[len(took)/2].Round(100*time.Microsecond), took)
		if worst := took[len(took)-1]; worst > reactionLimit {
			t.Errorf("interface %s: reacted after %s, want at most %s", what, worst, reactionLimit)
		}
	}
}

const reactionBridge = "02:00:00:00:00:0b"

func reactionAddr() netip.Addr { return netip.MustParseAddr("10.98.1.1") }

// reaction is the joined parts, and the other end of whatever interface there is.
type reaction struct {
	t     *testing.T
	wire  *wire.Wire
	heard chan heard
	order []string
	took  map[string][]time.Duration
}

// heard is a claim of the address that arrived at the other end.
type heard struct {
	mac l2.MAC
	at  time.Time
}

func newReaction(t *testing.T) *reaction {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	w, err := wire.New(wire.Options{Machine: l2.Config{Exclude: []string{"^lo$", "^peer"}}, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- w.Run(ctx) }()
	go func() { ended <- link.New(log, func(links []lb.Link) { w.SetLinks(links) }).Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		for range 2 {
			if err := <-ended; err != nil {
				t.Errorf("run: %v", err)
			}
		}
	})
	w.Set([]lb.Announcement{{Addr: reactionAddr()}})
	r := &reaction{t: t, wire: w, heard: make(chan heard, 1024), took: map[string][]time.Duration{}}
	r.listen()
	return r
}

// listen reports the claims that arrive on any interface; only the other end receives any.
func (r *reaction) listen() {
	r.t.Helper()
	arp := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ARP))
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(arp))
	if err == nil {
		err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 50_000})
	}
	if err != nil {
		r.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		buf := make([]byte, 128)
		for r.t.Context().Err() == nil {
			n, from, err := unix.Recvfrom(fd, buf, 0)
			at := time.Now()
			ll, ok := from.(*unix.SockaddrLinklayer)
			// The sender's addresses of ARP (RFC 826) lie behind 14 bytes of Ethernet and 8 of ARP.
			if err != nil || !ok || ll.Pkttype == unix.PACKET_OUTGOING || n < 32 {
				continue // the time is over, or an interface went down
			}
			if netip.AddrFrom4([4]byte(buf[28:32])) == reactionAddr() {
				r.heard <- heard{l2.MAC(buf[22:28]), at}
			}
		}
	}()
	r.t.Cleanup(func() {
		<-ended
		_ = unix.Close(fd)
	})
}

func (r *reaction) ip(commands ...string) {
	r.t.Helper()
	cmd := exec.Command("ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(strings.Join(commands, "\n"))
	if out, err := cmd.CombinedOutput(); err != nil {
		r.t.Fatalf("ip %s: %v\n%s", strings.Join(commands, "; "), err, out)
	}
}

// frame changes something and waits for the first claim from a hardware address after that.
func (r *reaction) frame(what, mac string, commands ...string) {
	r.t.Helper()
	begin := time.Now()
	r.ip(commands...)
	for late := time.After(10 * time.Second); ; {
		select {
		case h := <-r.heard:
			if h.mac.String() == mac && h.at.After(begin) {
				r.note(what, h.at.Sub(begin))
				return
			}
		case <-late:
			r.t.Fatalf("interface %s: nothing was announced from %s", what, mac)
		}
	}
}

// silence changes something and waits until the wire announces the address nowhere.
func (r *reaction) silence(what string, commands ...string) {
	r.t.Helper()
	begin := time.Now()
	r.ip(commands...)
	for {
		o, err := r.wire.Observe(r.t.Context())
		if err != nil {
			r.t.Fatal(err)
		}
		if !slices.ContainsFunc(o.Announced, func(a l2.Announced) bool { return len(a.Links) > 0 }) {
			r.note(what, time.Since(begin))
			return
		}
		if time.Since(begin) > 10*time.Second {
			r.t.Fatalf("interface %s: still announced: %s", what, fmt.Sprint(o.Announced))
		}
		time.Sleep(time.Millisecond)
	}
}

func (r *reaction) note(what string, d time.Duration) {
	if r.took[what] == nil {
		r.order = append(r.order, what)
	}
	r.took[what] = append(r.took[what], d)
}
