// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/labctl"
	"github.com/clarion-lb/clarion/internal/labctl/badpeer"
	"github.com/clarion-lb/clarion/internal/labctl/frr"
)

// linkCutWithBFD: BFD at 3 x 50 ms takes the path by a node away when its cable is pulled. The
// client loses what went there meanwhile, and nothing else.
func linkCutWithBFD(t *testing.T, r bgpRouter) {
	ns := namespace(t)
	apply(t, peerWith("router4", router4, "bfdProfile: fast"))
	addr := onEveryNode(t, ns)
	r.serves(t, addr)
	r.bfdUp(t, nodeCount)
	m, err := r.Monitor()
	if err != nil {
		t.Fatal(err)
	}
	defer m.Stop()
	var cut time.Time
	o, err := lab.Watch(t.Context(), web(addr), time.Second, func() error {
		cut = time.Now()
		return lab.Fault(t.Context(), "link-down", "n2")
	})
	if err != nil {
		t.Fatal(err)
	}
	gone, err := m.Wait(t.Context(), patience, func(c frr.RouteChange) bool {
		return c.Prefix == addr && !c.Deleted && c.Time.After(cut) && len(c.Hops) == nodeCount-1
	})
	if err != nil {
		t.Fatal(err)
	}
	took := gone.Time.Sub(cut)
	t.Logf("path gone %d ms after the order to cut; the client lost %d of %d questions within %.0f ms", took.Milliseconds(), o.Lost, o.Sent, o.LossMS)
	// No timed test: the hold time would take 90 s.
	if took > 2*time.Second || o.LossMS > 2000 {
		t.Errorf("path gone after %s, questions lost during %.0f ms", took, o.LossMS)
	}
	if o.Lost == 0 {
		t.Error("nothing was lost: the cut was not measured")
	}
	fault(t, "link-up", "n2")
	r.leads(t, addr, 1, 2, 3)
}

// bfdUp waits until FRR has so many BFD sessions up.
func (r bgpRouter) bfdUp(t *testing.T, want int) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		peers, err := r.BFDPeers(ctx)
		up := 0
		for _, p := range peers {
			if p.Status == "up" {
				up++
			}
		}
		if err == nil && up != want {
			err = fmt.Errorf("%d BFD sessions are up, want %d", up, want)
		}
		return err
	})
}

// speakerKilled: with graceful restart a speaker may crash and come back, and no route is lost.
func speakerKilled(t *testing.T, r bgpRouter) {
	ns := namespace(t)
	apply(t, peerWith("router4", router4, "enableGracefulRestart: true"))
	addr := onEveryNode(t, ns)
	r.serves(t, addr)
	before := r.sessions(t)
	time.Sleep(time.Second) // for the End-of-RIB of both ends: from then on the router keeps routes
	held := r.unchanged(t, addr)
	quiet(t, outage(t, web(addr), func() error {
		if err := lab.Fault(t.Context(), "kill", "n1", "speaker"); err != nil {
			return err
		}
		return labctl.Eventually(t.Context(), time.Minute, func(context.Context) error {
			n1 := frr.NodeAddress(1, false).String()
			if now := r.sessions(t)[n1]; now == before[n1] {
				return errors.New("the session has not come back")
			}
			return nil
		})
	}))
	held()
	r.leads(t, addr, 1, 2, 3)
}

// nodeDead: graceful restart does not keep the route of a node that is off.
func nodeDead(t *testing.T, r bgpRouter) {
	for name, more := range map[string][]string{"HoldTime": {"holdTime: 3s"}, "BFD": {"bfdProfile: fast"}} {
		t.Run(name, func(t *testing.T) {
			ns := namespace(t)
			apply(t, peerWith("router4", router4, append(more, "enableGracefulRestart: true")...))
			addr := onEveryNode(t, ns)
			r.leads(t, addr, 1, 2, 3)
			if name == "BFD" {
				r.bfdUp(t, nodeCount)
			}
			time.Sleep(time.Second) // as in speakerKilled
			fault(t, "power-off", "n2")
			t.Cleanup(func() { _ = lab.Fault(context.Background(), "power-on", "n2") }) // it is on, unless the story failed
			r.leads(t, addr, 1, 3)
			switchOn(t, "n2")
		})
	}
}

// rollingUpdate: an upgrade of all speakers loses nothing, with graceful restart and without.
func rollingUpdate(t *testing.T, r bgpRouter) {
	for _, peer := range []struct {
		name string
		spec []string
	}{
		{"Plain", nil},
		{"GracefulRestartAndBFD", []string{"enableGracefulRestart: true", "bfdProfile: fast"}},
	} {
		t.Run(peer.name, func(t *testing.T) {
			ns := namespace(t)
			apply(t, peerWith("router4", router4, peer.spec...))
			addr := onEveryNode(t, ns)
			r.serves(t, addr)
			held := func() {}
			if len(peer.spec) > 0 {
				r.bfdUp(t, nodeCount)
				time.Sleep(time.Second) // as in speakerKilled
				held = r.unchanged(t, addr)
			}
			quiet(t, outage(t, web(addr), func() error {
				kubectl(t, "-n", labctl.Namespace, "rollout", "restart", "daemonset/speaker")
				kubectl(t, "-n", labctl.Namespace, "rollout", "status", "daemonset/speaker", "--timeout=90s")
				return nil
			}))
			r.leads(t, addr, 1, 2, 3)
			held()
		})
	}
}

// peerThatCannotBe: a peer with the wrong password or AS number costs neither the session with a good
// one nor anything of layer 2, and is told of.
func peerThatCannotBe(t *testing.T, r bgpRouter) {
	undisturbed := r.goodNeighbourhood(t)
	for _, bad := range []struct{ name, manifest, told string }{
		{"wrong password", peerWith("bad", router6, "password: wrong"), "timeout"},
		{"wrong ASN", strings.Replace(peerWith("bad", router6), fmt.Sprint(routerASN), "64999", 1), "64513"},
		{"closed port", peerWith("bad", router6, "peerPort: 1179"), "refused"},
	} {
		if err := lab.Apply(t.Context(), bad.manifest); err != nil {
			t.Fatal(err)
		}
		undisturbed(2 * time.Second)
		r.told(t, bad.told)
		kubectl(t, "-n", "metallb-system", "delete", "bgppeer", "bad")
	}
}

// peersThatMisbehave: neighbours that say nothing, talk garbage, or come and go disturb neither the
// session with a good one nor anything of layer 2, and each one's state is shown.
func peersThatMisbehave(t *testing.T, r bgpRouter) {
	stop, err := badpeer.Start(lab.Netns("router"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	undisturbed := r.goodNeighbourhood(t)
	var bad strings.Builder
	for _, port := range badpeer.Ports() {
		bad.WriteString(peerWith(fmt.Sprint("bad-", port), router4, fmt.Sprint("peerPort: ", port), "connectTime: 1s"))
	}
	apply(t, bad.String())
	undisturbed(10 * time.Second)
	for _, port := range badpeer.Ports() {
		eventually(t, func(ctx context.Context) error {
			out, err := lab.Kubectl(ctx, "-n", labctl.Namespace, "get", "bgpsessionstates", "-l", fmt.Sprint("metallb.io/bgp-peer=bad-", port),
				"-o", `jsonpath={range .items[*]}{.status.bgpStatus}{"\n"}{end}`)
			if err == nil && (strings.Count(out, "\n") != nodeCount || port != badpeer.Flapping && strings.Contains(out, "Established")) {
				err = fmt.Errorf("states of the sessions with port %d: %q", port, out)
			}
			return err
		})
	}
}

// goodNeighbourhood has a Service announced with BGP and one with layer 2. The function that it
// returns asks both for some time, and fails the test when an answer is missing, when a session with
// the router flapped or its routes changed, or when the address of layer 2 moved.
func (r bgpRouter) goodNeighbourhood(t *testing.T) (undisturbed func(time.Duration)) {
	t.Helper()
	ns := namespace(t)
	apply(t, peerWith("router4", router4)+pool("l2", "192.168.101.50-192.168.101.59"))
	addr := onEveryNode(t, ns)
	create(t, serviceFor(ns, "near", "web", "l2"))
	near := address(t, ns, "near")
	r.serves(t, addr)
	before, first := r.sessions(t), owner(t, near)
	return func(d time.Duration) {
		t.Helper()
		held := r.unchanged(t, addr)
		o, err := lab.Watch(t.Context(), near+":8090", 0, func() error {
			o, err := lab.Watch(t.Context(), web(addr), d, func() error { return nil })
			quiet(t, o)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		quiet(t, o)
		held()
		after := r.sessions(t)
		for n := range nodeCount {
			if a := frr.NodeAddress(n+1, false).String(); after[a] != before[a] {
				t.Errorf("the good session with %s flapped: %d, before %d", a, after[a], before[a])
			}
		}
		if now := owner(t, near); now != first {
			t.Errorf("%s moved from %s to %s", near, first, now)
		}
	}
}

// told waits until every node's BGPSessionState says why the peer "bad" has no session.
func (r bgpRouter) told(t *testing.T, want string) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		out, err := lab.Kubectl(ctx, "-n", labctl.Namespace, "get", "bgpsessionstates", "-l", "metallb.io/bgp-peer=bad",
			"-o", `jsonpath={range .items[*]}{.status.bgpStatus} {.status.reason}: {.status.message}{"\n"}{end}`)
		if err != nil {
			return err
		}
		if strings.Count(out, want) != nodeCount || strings.Contains(out, "Established") {
			return fmt.Errorf("the states of the session with the bad peer are %q, want %q on %d nodes", out, want, nodeCount)
		}
		return nil
	})
}

// withdrawals records the BGP messages on the router's link until the returned function is called,
// which tells what they were.
func (r bgpRouter) withdrawals(t *testing.T) func() string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "capture")
	c := exec.Command("ip", "netns", "exec", lab.Netns("router"), "tcpdump", "-i", "eth0", "-Z", "root", "--immediate-mode", "-U", "-w", file, "tcp port 179")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(500 * time.Millisecond) // tcpdump says that it listens before it does
	return func() string {
		t.Helper()
		time.Sleep(200 * time.Millisecond)
		_ = c.Process.Signal(os.Interrupt)
		_ = c.Wait() // the capture tells whether it worked
		out, err := exec.Command("tcpdump", "-nn", "-v", "-r", file).CombinedOutput()
		if err != nil {
			t.Fatalf("read capture: %v: %s", err, out)
		}
		return string(out)
	}
}
