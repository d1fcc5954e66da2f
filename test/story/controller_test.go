// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/clarion-lb/clarion/internal/labctl"
)

// replica is the controller that leads.
type replica struct {
	pod, node string
	pid       int
}

// leader waits until a controller other than those in the list leads.
func leader(t *testing.T, client kubernetes.Interface, not ...string) replica {
	t.Helper()
	var r replica
	if err := labctl.Eventually(t.Context(), time.Minute, func(ctx context.Context) error {
		lease, err := client.CoordinationV1().Leases(labctl.Namespace).Get(ctx, "clarion-controller", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == "" {
			return fmt.Errorf("nobody leads")
		}
		r.pod = *lease.Spec.HolderIdentity
		for _, n := range not {
			if n == r.pod {
				return fmt.Errorf("%s still leads", n)
			}
		}
		pod, err := client.CoreV1().Pods(labctl.Namespace).Get(ctx, r.pod, metav1.GetOptions{})
		if err != nil {
			return err
		}
		r.node = pod.Spec.NodeName
		r.pid, err = controllerOn(ctx, r.node)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return r
}

func controllerOn(ctx context.Context, node string) (int, error) {
	list, err := lab.Processes(ctx)
	if err != nil {
		return 0, err
	}
	for _, p := range list {
		if p.Host == node && p.Component == "controller" {
			return p.PID, nil
		}
	}
	return 0, fmt.Errorf("no controller runs on %s", node)
}

// kill ends the process at once, with nothing said to anybody. `lab fault kill` does the same,
// but takes longer to start than a backlog takes to be worked off.
func (r replica) kill(t *testing.T) time.Time {
	t.Helper()
	at := time.Now()
	if err := syscall.Kill(r.pid, syscall.SIGKILL); err != nil {
		t.Fatalf("kill %s on %s: %v", r.pod, r.node, err)
	}
	return at
}

// bury deletes the pod of a killed controller, so that its successor need not sit out a back-off.
func (r replica) bury(t *testing.T, client kubernetes.Interface) {
	t.Helper()
	if err := client.CoreV1().Pods(labctl.Namespace).Delete(t.Context(), r.pod,
		metav1.DeleteOptions{GracePeriodSeconds: new(int64)}); err != nil {
		t.Fatal(err)
	}
}

func TestStandbyTakesOverFromADeadLeader(t *testing.T) {
	client := connect(t)
	ns := namespace(t)
	apply(t, pool("takeover", "198.18.0.0/28"))
	t.Cleanup(func() {
		kubectl(t, "-n", labctl.Namespace, "rollout", "status", "deployment/controller", "--timeout=60s")
	})
	kubectl(t, "-n", labctl.Namespace, "rollout", "status", "deployment/controller", "--timeout=60s")
	l := watchLedger(t, client, ns)

	first := leader(t, client)
	killed := first.kill(t)
	if err := createOne(t.Context(), client, ns, "orphan", "takeover"); err != nil {
		t.Fatal(err)
	}
	l.all(t, 1, patience)
	took := time.Since(killed)
	second := leader(t, client, first.pod)
	t.Logf("%s on %s was killed; a Service created then had its address from %s on %s after %d ms",
		first.pod, first.node, second.pod, second.node, took.Milliseconds())
	if took > 3*time.Second {
		t.Errorf("the hand-over took %s, want at most 3 s", took)
	}
	first.bury(t, client)
}

// TestControllerKilledWhileAssigning kills twenty leaders in a row while they write.
func TestControllerKilledWhileAssigning(t *testing.T) {
	const rounds = 20
	client := connect(t)
	ns := namespace(t)
	apply(t, pool("killed", "198.18.16.0/20"))
	t.Cleanup(func() {
		kubectl(t, "-n", labctl.Namespace, "rollout", "status", "deployment/controller", "--timeout=60s")
	})
	l := watchLedger(t, client, ns)
	c := startCrowd(t, client, ns, "s", "killed", 20*time.Millisecond)

	begin := time.Now()
	midway := 0
	var dead []string
	for range rounds {
		now := leader(t, client, dead...)
		// The backlog of the time without a leader is under way once some of it is done.
		given, _ := l.counts()
		if err := labctl.Eventually(t.Context(), patience, func(context.Context) error {
			if n, _ := l.counts(); n < given+5 {
				return fmt.Errorf("%s has given %d addresses", now.pod, n-given)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		l.waiting(t)
		now.kill(t)
		if _, pending := l.counts(); pending > 0 {
			midway++
		}
		now.bury(t, client)
		dead = append(dead, now.pod)
	}
	n := c.finish(t)
	l.all(t, n, patience)
	t.Logf("%d Services in %.0f s, %d leaders killed, %d of them with Services waiting",
		n, time.Since(begin).Seconds(), rounds, midway)
	if midway < rounds/2 {
		t.Errorf("only %d of %d leaders were killed in the middle of it", midway, rounds)
	}
	l.clean(t, "")
	l.stored(t, client, ns)
}

// TestAPIServerRestartsWhileAssigning kills the API server while Services come in.
func TestAPIServerRestartsWhileAssigning(t *testing.T) {
	client := connect(t)
	ns := namespace(t)
	apply(t, pool("restarted", "198.18.32.0/20"))
	t.Cleanup(func() {
		kubectl(t, "-n", labctl.Namespace, "rollout", "status", "deployment/controller", "--timeout=90s")
	})
	l := watchLedger(t, client, ns)
	c := startCrowd(t, client, ns, "s", "restarted", 5*time.Millisecond)
	eventually(t, func(context.Context) error {
		if n, _ := l.counts(); n < 100 {
			return fmt.Errorf("%d addresses given", n)
		}
		return nil
	})
	fault(t, "kill", "cp", "apiserver")
	killed := time.Now()
	before, _ := l.counts()
	fault(t, "start", "cp", "apiserver")
	var back time.Duration
	if err := labctl.Eventually(t.Context(), time.Minute, func(ctx context.Context) error {
		_, err := client.CoreV1().Services(ns).Get(ctx, "s-0000", metav1.GetOptions{})
		back = time.Since(killed)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := labctl.Eventually(t.Context(), time.Minute, func(context.Context) error {
		if n, _ := l.counts(); n < before+100 {
			return fmt.Errorf("%d addresses given since the API server is back", n-before)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	t.Logf("the API server answered %.1f s after its death; 100 more addresses were given after %.1f s",
		back.Seconds(), time.Since(killed).Seconds())
	n := c.finish(t)
	l.all(t, n, time.Minute)
	t.Logf("%d Services have an address", n)
	l.clean(t, "")
	l.stored(t, client, ns)
}
