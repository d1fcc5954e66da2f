// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"fmt"
	"maps"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarion-lb/clarion/internal/labctl"
)

// clarion runs a verb of the kubectl plugin.
func clarion(ctx context.Context, args ...string) (string, error) {
	config, err := lab.Kubeconfig(ctx)
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(lab.Root, "bin", "kubectl-clarion"), append(args, "--kubeconfig", config)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("kubectl clarion %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

func verb(t *testing.T, args ...string) string {
	t.Helper()
	out, err := clarion(context.WithoutCancel(t.Context()), args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(strings.TrimSpace(out))
	return out
}

// electing returns the manifests of a pool whose L2Advertisement says how to elect.
func electing(name, addresses, election string) string {
	return strings.Replace(pool(name, addresses), "spec: {ipAddressPools", "spec: {election: "+election+", ipAddressPools", 1)
}

// services makes n Services and returns their names once all have an address.
func services(t *testing.T, ns, pool string, n int) []string {
	t.Helper()
	var names []string
	manifests := webServer(ns, "echo", 3)
	for i := range n {
		names = append(names, fmt.Sprintf("s%03d", i))
		manifests += serviceFor(ns, names[i], "echo", pool)
	}
	create(t, manifests)
	return names
}

// holders returns the node that announces each Service of a namespace, by the status objects,
// once each has exactly one.
func holders(t *testing.T, ns string, n int) map[string]string {
	t.Helper()
	var out map[string]string
	err := labctl.Eventually(t.Context(), time.Minute, func(ctx context.Context) error {
		text, err := lab.Kubectl(ctx, "-n", labctl.Namespace, "get", "servicel2statuses", "-l", "metallb.io/service-namespace="+ns,
			"-o", `jsonpath={range .items[*]}{.status.serviceName} {.status.node}{"\n"}{end}`)
		if err != nil {
			return err
		}
		out = map[string]string{}
		for line := range strings.Lines(text) {
			service, node, _ := strings.Cut(strings.TrimSpace(line), " ")
			if node == "" || out[service] != "" {
				return fmt.Errorf("%s is at %q and %q", service, out[service], node)
			}
			out[service] = node
		}
		if len(out) != n {
			return fmt.Errorf("%d of %d Services are announced", len(out), n)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// eventuallyHeld waits until the holders are as they should be, and returns them.
func eventuallyHeld(t *testing.T, ns string, n int, check func(map[string]string) error) map[string]string {
	t.Helper()
	var now map[string]string
	if err := labctl.Eventually(t.Context(), time.Minute, func(context.Context) error {
		now = holders(t, ns, n)
		return check(now)
	}); err != nil {
		t.Fatal(err)
	}
	return now
}

// spread fails unless the loads of the nodes given differ by at most 1.
func spread(nodes ...string) func(map[string]string) error {
	return func(held map[string]string) error {
		load := map[string]int{}
		for _, node := range held {
			load[node]++
		}
		var counts []int
		for _, n := range nodes {
			counts = append(counts, load[n])
			delete(load, n)
		}
		if len(load) > 0 || slices.Max(counts)-slices.Min(counts) > 1 {
			return fmt.Errorf("loads of %v are %v, others %v", nodes, counts, load)
		}
		return nil
	}
}

// speakersReady waits until the speakers of all nodes are.
func speakersReady(t *testing.T) {
	t.Helper()
	kubectl(t, "-n", labctl.Namespace, "rollout", "status", "daemonset/speaker", "--timeout=60s")
}

// TestDrainMovesFirstAndForGood asks both addresses all the time while their node is drained and after.
func TestDrainMovesFirstAndForGood(t *testing.T) {
	p := echo(t, 50)
	before := p.owner(t)
	t.Cleanup(func() { kubectl(t, "annotate", "node", before, "metallb.io/leave-") })
	p.lossless(t, before+" was drained", func() error {
		out, err := clarion(t.Context(), "drain", before)
		t.Log(strings.TrimSpace(out))
		return err
	})
	after := p.owner(t)
	if after == before {
		t.Fatalf("%s still answers for %v", before, p.addrs)
	}
	// A restart of the speaker does not make it forget the order.
	kubectl(t, "-n", labctl.Namespace, "delete", "pod", "-l", "component=speaker", "--field-selector", "spec.nodeName="+before, "--wait=true")
	speakersReady(t)
	if now := p.owner(t); now != after {
		t.Errorf("%s answers for %v, want %s", now, p.addrs, after)
	}
	p.lossless(t, "the addresses moved back", func() error { _, err := clarion(t.Context(), "undrain", before); return err })
	p.returned(t, before)
}

// switchOn gives a node its power back and waits until its speaker has started anew and is ready. The
// DaemonSet counts the one from before the power cut for a while.
func switchOn(t *testing.T, node string) {
	t.Helper()
	since := time.Now().Truncate(time.Second) // as precise as the times in a Pod's status
	fault(t, "power-on", node)
	client := connect(t)
	if err := labctl.Eventually(t.Context(), time.Minute, func(ctx context.Context) error {
		pods, err := client.CoreV1().Pods(labctl.Namespace).List(ctx, metav1.ListOptions{
			LabelSelector: "component=speaker", FieldSelector: "spec.nodeName=" + node,
		})
		if err != nil {
			return err
		}
		for i := range pods.Items {
			for _, c := range pods.Items[i].Status.ContainerStatuses {
				if c.Ready && c.State.Running != nil && !c.State.Running.StartedAt.Time.Before(since) {
					return nil
				}
			}
		}
		return fmt.Errorf("no speaker that started after %s is ready on %s", since, node)
	}); err != nil {
		t.Fatal(err)
	}
}

// TestDrainTellsWhatCannotLeave has a Service whose only endpoint is on the node.
func TestDrainTellsWhatCannotLeave(t *testing.T) {
	ns := namespace(t)
	apply(t, pool("local", "192.168.101.61-192.168.101.62"))
	create(t, webServer(ns, "echo", 1)+strings.Replace(serviceFor(ns, "echo", "echo", "local"), "spec:", "spec:\n  externalTrafficPolicy: Local", 1))
	addr := address(t, ns, "echo")
	node := owner(t, addr)
	holders(t, ns, 1)
	t.Cleanup(func() { kubectl(t, "annotate", "node", node, "metallb.io/leave-") })
	out, err := clarion(t.Context(), "drain", node, "--timeout", "4s")
	if err == nil || !strings.Contains(out, ns+"/echo") {
		t.Errorf("drain says %q, %v", out, err)
	}
	if now := owner(t, addr); now != node {
		t.Errorf("%s answers for %s, which has its endpoint on %s", now, addr, node)
	}
}

// TestBalancedAndStickyThroughDeathAndReturn has 30 addresses on three nodes.
func TestBalancedAndStickyThroughDeathAndReturn(t *testing.T) {
	const n = 30
	ns := namespace(t)
	apply(t, electing("spread", "192.168.101.100-192.168.101.149", "{spread: Balanced, sticky: true}"))
	names := services(t, ns, "spread", n)
	all := []string{"n1", "n2", "n3"}
	before := eventuallyHeld(t, ns, n, spread(all...))

	t.Log("n2 dies: its addresses are spread over the others, which keep theirs")
	fault(t, "power-off", "n2")
	during := eventuallyHeld(t, ns, n, spread("n1", "n3"))
	for service, node := range before {
		if node != "n2" && during[service] != node {
			t.Errorf("%s moved from the living %s to %s", service, node, during[service])
		}
	}

	t.Log("n2 returns: nothing moves")
	switchOn(t, "n2")
	target := net.JoinHostPort(address(t, ns, names[0]), "8090")
	o := outage(t, target, func() error { return nil })
	if o.Lost > 0 {
		t.Errorf("%d questions were lost while n2 returned", o.Lost)
	}
	if now := holders(t, ns, n); !maps.Equal(now, during) {
		t.Errorf("addresses moved when n2 returned: %v became %v", during, now)
	}

	t.Log("rebalance: n2 gets its share, and nobody loses anything")
	var out string
	o = outage(t, target, func() (err error) { out, err = clarion(t.Context(), "rebalance"); return err })
	t.Log(strings.TrimSpace(out))
	if o.Lost > 0 {
		t.Errorf("%d questions were lost while addresses were rebalanced", o.Lost)
	}
	after := holders(t, ns, n)
	if err := spread(all...)(after); err != nil {
		t.Error(err)
	}
	moved := 0
	for service, node := range during {
		if after[service] != node {
			moved++
		}
	}
	if moved != n/len(all) {
		t.Errorf("%d addresses moved, the share of a node is %d", moved, n/len(all))
	}
	if left := kubectl(t, "-n", labctl.Namespace, "get", "l2advertisement", "spread", "-o", "jsonpath={.metadata.annotations}"); strings.Contains(left, "rebalance") {
		t.Errorf("the order was left behind: %s", left)
	}
}

// TestRollingUpdateLosesNothing deletes the speakers one after the other, as an upgrade does,
// while 500 addresses are announced and one of each node is asked all the time.
func TestRollingUpdateLosesNothing(t *testing.T) {
	const n = 500
	ns := namespace(t)
	apply(t, pool("many", "192.168.102.0-192.168.103.250"))
	services(t, ns, "many", n)
	held := holders(t, ns, n)
	asked := map[string]string{} // by node
	for service, node := range held {
		if asked[node] == "" || service < asked[node] {
			asked[node] = service
		}
	}
	for _, node := range slices.Sorted(maps.Keys(asked)) {
		addr := address(t, ns, asked[node])
		o := outage(t, net.JoinHostPort(addr, "8090"), func() error {
			_, err := lab.Kubectl(t.Context(), "-n", labctl.Namespace, "delete", "pod", "-l", "component=speaker",
				"--field-selector", "spec.nodeName="+node, "--wait=true")
			return err
		})
		if o.Lost > 0 {
			t.Errorf("%d questions to %s were lost while the speaker of %s was replaced", o.Lost, addr, node)
		}
		speakersReady(t)
		returned(t, addr, node)
	}
}

// TestStickyAddressMovesBackWhenTold: a drained node gets its sticky address back not by itself,
// but on the order to rebalance, or after the time that the advertisement names.
func TestStickyAddressMovesBackWhenTold(t *testing.T) {
	ns := namespace(t)
	apply(t, electing("sticky", "192.168.101.150-192.168.101.151", "{sticky: true}"))
	services(t, ns, "sticky", 1)
	addr := address(t, ns, "s000")
	target := net.JoinHostPort(addr, "8090")
	home := owner(t, addr)
	holders(t, ns, 1)
	away := func() {
		t.Helper()
		verb(t, "drain", home)
		verb(t, "undrain", home)
		o := outage(t, target, func() error { return nil })
		if now := owner(t, addr); now == home || o.Lost > 0 {
			t.Errorf("%s answers for the sticky address of %s, %d questions lost", now, home, o.Lost)
		}
	}
	t.Cleanup(func() { kubectl(t, "annotate", "node", home, "metallb.io/leave-") })

	away()
	o := outage(t, target, func() error { _, err := clarion(t.Context(), "rebalance"); return err })
	if o.Lost > 0 {
		t.Errorf("%d questions were lost while the address was rebalanced", o.Lost)
	}
	returned(t, addr, home)

	away()
	o = outage(t, target, func() error {
		if _, err := lab.Kubectl(t.Context(), "-n", labctl.Namespace, "patch", "l2advertisement", "sticky", "--type=merge",
			"-p", `{"spec": {"election": {"moveBackAfter": "2s"}}}`); err != nil {
			return err
		}
		return labctl.Eventually(t.Context(), patience, func(ctx context.Context) error {
			now, err := lab.Owner(ctx, addr, patience)
			if err == nil && now != home {
				err = fmt.Errorf("%s answers, want %s", now, home)
			}
			return err
		})
	})
	if o.Lost > 0 {
		t.Errorf("%d questions were lost while the address moved back", o.Lost)
	}
}
