// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package members

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clarion-lb/clarion/internal/bfd"
	"github.com/clarion-lb/clarion/internal/bfd/udp"
	"github.com/clarion-lb/clarion/internal/watch"
)

// The tests over real links need speakers in namespaces, hence processes. They are this
// test binary again, told by the environment what to be.
const (
	childSpeaker = "CLARION_MEMBERS_SPEAKER" // a Config as JSON
	childBurner  = "CLARION_MEMBERS_BURNER"  // the number of a processor to keep busy
)

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(childSpeaker) != "":
		if err := speak(os.Getenv(childSpeaker), os.Stdin); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case os.Getenv(childBurner) != "":
		burn(os.Getenv(childBurner))
	default:
		os.Exit(m.Run())
	}
}

// order is what the test tells a child, one JSON object a line; the first non-empty
// field counts.
type order struct {
	Peers []Peer
	Leave bool
}

// report is what a child tells the test, one JSON object a line.
type report struct {
	At        time.Duration // by clock, which all processes of a machine share
	Known     bool
	Members   []string
	Counts    Counts
	Violation string
}

func speak(config string, orders io.Reader) error {
	var c Config
	if err := json.Unmarshal([]byte(config), &c); err != nil {
		return err
	}
	m, err := New(c, slog.New(slog.NewTextHandler(os.Stderr, nil)).With("self", c.Node))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		defer cancel()
		lines := bufio.NewScanner(orders)
		for lines.Scan() {
			obey(ctx, m, lines.Bytes())
		}
	}()
	go tell(ctx, m)
	go followLink(ctx, m)
	if m.Watches() {
		go watchPeers(ctx, m, c)
	}
	return m.Run(ctx)
}

// watchPeers holds sessions with the three nodes before and after this one, as a speaker does
// with those that its plan names.
func watchPeers(ctx context.Context, m *Members, c Config) {
	changed := make(chan struct{}, 1)
	manager, err := udp.New(udp.Options{Log: slog.Default(), Port: DefaultPort + 1, Kick: func() { kick(changed) }})
	if err != nil {
		panic(err)
	}
	go func() {
		if err := manager.Run(ctx); err != nil {
			panic(err)
		}
	}()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	params := bfd.Params{TransmitInterval: WatchSilence / WatchPackets, ReceiveInterval: WatchSilence / WatchPackets, Multiplier: WatchPackets}
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
			var sessions []watch.Session
			for _, s := range manager.Observe() {
				st := s.Session
				silent := st.EverUp && st.State != bfd.Up && st.Diagnostic == bfd.DetectionTimeExpired
				sessions = append(sessions, watch.Session{Node: s.Target.Name, Silent: silent})
			}
			m.SetSessions(sessions)
		case <-tick.C:
			var targets []bfd.Target
			addrs := m.Addrs()
			ring := append(slices.Collect(maps.Keys(addrs)), c.Node)
			slices.Sort(ring)
			self := slices.Index(ring, c.Node)
			for node, addr := range addrs {
				away := (slices.Index(ring, node) - self + len(ring)) % len(ring)
				if away <= 3 || len(ring)-away <= 3 {
					targets = append(targets, bfd.Target{
						Name: node, Peer: addr, Local: c.Bind.Addr(), MultiHop: true, MinimumTTL: 1, Params: params,
					})
				}
			}
			manager.Set(targets)
		}
	}
}

func obey(ctx context.Context, m *Members, line []byte) {
	var o order
	if err := json.Unmarshal(line, &o); err != nil {
		panic(err)
	}
	switch {
	case o.Peers != nil:
		m.SetPeers(o.Peers)
	case o.Leave:
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if err := m.Leave(ctx); err != nil {
			panic(err)
		}
	}
}

// followLink tells the membership of the carrier of eth0, as a speaker does from netlink.
func followLink(ctx context.Context, m *Members) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			eth0, err := net.InterfaceByName("eth0")
			if err != nil {
				panic(err)
			}
			m.SetLinkUp(eth0.Flags&net.FlagRunning != 0)
		}
	}
}

// tell writes a report at each change of the view, and plays the packet path: it asks each
// other millisecond whether the node may speak, and reports if it may although the process
// has just stood still.
func tell(ctx context.Context, m *Members) {
	out := json.NewEncoder(os.Stdout)
	tick := time.NewTicker(2 * time.Millisecond)
	asked := clock()
	for {
		var r report
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			fresh, now := m.Fresh(), clock()
			limit := time.Duration(m.limit.Load())
			if gap := now - asked; fresh && gap > 2*limit {
				r.Violation = fmt.Sprintf("spoke after standing still for %s", gap)
			}
			asked = now
			if r.Violation == "" {
				continue
			}
		case <-m.Changed():
		}
		v := m.View()
		r.At, r.Known, r.Members, r.Counts = clock(), v.Known, v.Members, m.Observe().Counts
		if err := out.Encode(r); err != nil {
			panic(err)
		}
	}
}

// starved is how long a processor must not have run a process that never sleeps for that
// to be more than fair sharing: a thing of higher priority, or of another machine, had it.
const starved = 100 * time.Millisecond

// burn keeps one processor busy until it is killed, and reports when the processor was
// taken away.
func burn(processor string) {
	var set unix.CPUSet
	var n int
	if _, err := fmt.Sscan(strings.TrimSpace(processor), &n); err != nil {
		panic(err)
	}
	set.Set(n)
	runtime.LockOSThread()
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		panic(err)
	}
	out := json.NewEncoder(os.Stdout)
	for last := clock(); ; {
		now := clock()
		if gap := now - last; gap > starved {
			if err := out.Encode(report{At: now, Violation: fmt.Sprintf("processor %d was taken away for %s", n, gap)}); err != nil {
				panic(err)
			}
		}
		last = now
	}
}
