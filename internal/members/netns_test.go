// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package members

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// segment is a bridge with namespaces on it, one speaker process in each.
type segment struct {
	t     *testing.T
	name  string // prefix of all namespaces
	hosts []*host
}

// host is a namespace on the segment.
type host struct {
	seg    *segment
	name   string
	config Config
	log    bytes.Buffer // standard error of all its processes

	cmd    *exec.Cmd
	orders io.Writer

	mu      sync.Mutex
	reports []report
	news    chan struct{}
}

// newSegment makes n namespaces on a bridge. That needs root, which the tests of this
// project have where they count (.ci/run); elsewhere the caller is told, not deceived.
func newSegment(t *testing.T, n int) *segment {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("needs root for network namespaces")
		}
		t.Skip("needs root for network namespaces; continuous integration runs it")
	}
	seg := &segment{t: t, name: fmt.Sprintf("clm%d", os.Getpid())}
	seg.addNamespace(seg.name + "lan")
	seg.ip("-n", seg.name+"lan", "link", "add", "br0", "type", "bridge", "stp_state", "0", "forward_delay", "0")
	seg.ip("-n", seg.name+"lan", "link", "set", "br0", "up")
	secret := t.TempDir() + "/secret"
	if err := os.WriteFile(secret, []byte("abcdefghijklmnopqrstuv"), 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		node := fmt.Sprintf("n%02d", i+1)
		ns := seg.name + node
		addr := netip.AddrFrom4([4]byte{10, 201, 0, byte(i + 1)})
		seg.addNamespace(ns)
		seg.ip("-n", seg.name+"lan", "link", "add", node, "type", "veth", "peer", "name", "eth0", "netns", ns)
		seg.ip("-n", seg.name+"lan", "link", "set", node, "master", "br0", "up")
		seg.ip("-n", ns, "addr", "add", addr.String()+"/24", "dev", "eth0")
		seg.ip("-n", ns, "link", "set", "lo", "up")
		seg.ip("-n", ns, "link", "set", "eth0", "up")
		seg.hosts = append(seg.hosts, &host{
			seg: seg, name: node, news: make(chan struct{}, 1),
			config: Config{
				Node: node, Bind: netip.AddrPortFrom(addr, DefaultPort), KeyPath: secret, FilePath: os.Getenv("MEMBERS_FILE"),
				Watch: os.Getenv("MEMBERS_WATCH") != "off",
			},
		})
	}
	for _, h := range seg.hosts {
		h.start()
	}
	t.Cleanup(func() {
		for _, h := range seg.hosts {
			h.kill()
			if t.Failed() {
				t.Logf("log of %s:\n%s", h.name, h.log.String())
			}
		}
	})
	return seg
}

func (seg *segment) addNamespace(ns string) {
	seg.t.Helper()
	seg.ip("netns", "add", ns)
	seg.t.Cleanup(func() { seg.ip("netns", "del", ns) })
}

func (seg *segment) ip(args ...string) {
	seg.t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		seg.t.Fatalf("ip %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// start runs the speaker of the host and tells it its peers.
func (h *host) start() {
	t := h.seg.t
	t.Helper()
	config, err := json.Marshal(h.config)
	if err != nil {
		t.Fatal(err)
	}
	h.cmd = exec.Command("ip", "netns", "exec", h.seg.name+h.name, os.Args[0])
	h.cmd.Env = append(os.Environ(), childSpeaker+"="+string(config))
	h.cmd.Stderr = &h.log
	if h.orders, err = h.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := h.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go h.read(out)
	var peers []Peer
	for _, other := range h.seg.hosts {
		peers = append(peers, Peer{Node: other.name, Addr: other.config.Bind})
	}
	h.order(order{Peers: peers})
}

func (h *host) read(out io.Reader) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var r report
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			h.seg.t.Errorf("%s said %q", h.name, lines.Text())
			return
		}
		h.mu.Lock()
		h.reports = append(h.reports, r)
		h.mu.Unlock()
		kick(h.news)
	}
}

func (h *host) order(o order) {
	h.seg.t.Helper()
	if err := json.NewEncoder(h.orders).Encode(o); err != nil {
		h.seg.t.Fatalf("tell %s: %v", h.name, err)
	}
}

func (h *host) signal(s syscall.Signal) {
	h.seg.t.Helper()
	if err := h.cmd.Process.Signal(s); err != nil {
		h.seg.t.Fatalf("signal %s: %v", h.name, err)
	}
}

func (h *host) kill() {
	if h.cmd != nil {
		_ = h.cmd.Process.Kill() // it may have ended by itself
		_ = h.cmd.Wait()         // the error says that it was killed
		h.cmd = nil
	}
}

// port changes the bridge's end of the host's link.
func (h *host) port(args ...string) {
	h.seg.t.Helper()
	h.seg.ip(append([]string{"-n", h.seg.name + "lan", "link", "set", h.name}, args...)...)
}

// seen returns when a view of the host became that of the members named and stayed so,
// waiting for it. Views before since do not count.
func (h *host) seen(since time.Duration, names []string) time.Duration {
	h.seg.t.Helper()
	deadline := time.NewTimer(2 * patience)
	defer deadline.Stop()
	for {
		h.mu.Lock()
		at, last := time.Duration(0), report{}
		for _, r := range slices.Backward(h.reports) {
			if r.At < since || !members(names...)(viewOf(r)) {
				break
			}
			at = r.At
		}
		if n := len(h.reports); n > 0 {
			last = h.reports[n-1]
		}
		h.mu.Unlock()
		if at != 0 {
			return at
		}
		select {
		case <-h.news:
		case <-deadline.C:
			h.seg.t.Fatalf("%s waited for %v, has %+v", h.name, names, last)
		}
	}
}

// all waits until the hosts have seen the members, and returns when the last one had.
func (seg *segment) all(hosts []*host, since time.Duration, names []string) time.Duration {
	seg.t.Helper()
	latest := since
	for _, h := range hosts {
		latest = max(latest, h.seen(since, names))
	}
	return latest
}

func (seg *segment) names(hosts []*host) []string {
	var names []string
	for _, h := range hosts {
		names = append(names, h.name)
	}
	return names
}

func (seg *segment) without(h *host) []*host {
	return slices.DeleteFunc(slices.Clone(seg.hosts), func(o *host) bool { return o == h })
}
