// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"fmt"
	"slices"
	"strings"
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
	return r.signal(t, syscall.SIGKILL)
}

func (r replica) signal(t *testing.T, s syscall.Signal) time.Time {
	t.Helper()
	at := time.Now()
	if err := syscall.Kill(r.pid, s); err != nil {
		t.Fatalf("send %s to %s on %s: %v", s, r.pod, r.node, err)
	}
	return at
}

// standsBy waits until the process has found out that it lost the Lease, and is Ready again.
func (r replica) standsBy(t *testing.T, since time.Time) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		log, err := lab.Kubectl(ctx, "-n", labctl.Namespace, "logs", r.pod, "--since-time="+since.UTC().Format(time.RFC3339Nano))
		_, after, anew := strings.Cut(log, `"beginning anew: `)
		if err == nil && (!anew || !strings.Contains(after, `"standing by"`)) {
			err = fmt.Errorf("%s does not stand by", r.pod)
		}
		return err
	})
	kubectl(t, "-n", labctl.Namespace, "wait", "--for=condition=Ready", "pod/"+r.pod, "--timeout=20s")
	if pid, err := controllerOn(t.Context(), r.node); err != nil || pid != r.pid {
		t.Errorf("%s is process %d, %v, and was %d", r.pod, pid, err, r.pid)
	}
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

// TestControllerStopsAndGoesOnWhileAnotherLeads stops the process of a leader in the middle of its
// writes, until another one has led for a while, and lets it go on: in the same process, it
// stands by until the next one stops.
func TestControllerStopsAndGoesOnWhileAnotherLeads(t *testing.T) {
	const rounds, pause = 5, 4 * time.Second
	client := connect(t)
	ns := namespace(t)
	apply(t, pool("stopped", "198.18.80.0/20"))
	t.Cleanup(func() {
		kubectl(t, "-n", labctl.Namespace, "rollout", "status", "deployment/controller", "--timeout=60s")
	})
	kubectl(t, "-n", labctl.Namespace, "rollout", "status", "deployment/controller", "--timeout=60s")
	l := watchLedger(t, client, ns)
	c := startCrowd(t, client, ns, "s", "stopped", 10*time.Millisecond)
	given := func(n int) {
		t.Helper()
		before, _ := l.counts()
		eventually(t, func(context.Context) error {
			if now, _ := l.counts(); now < before+n {
				return fmt.Errorf("%d addresses given", now-before)
			}
			return nil
		})
	}

	for range rounds {
		first := leader(t, client)
		given(5)
		l.waiting(t)
		stopped := first.signal(t, syscall.SIGSTOP)
		second := leader(t, client, first.pod)
		given(20)
		time.Sleep(time.Until(stopped.Add(pause)))
		woken := first.signal(t, syscall.SIGCONT)
		first.standsBy(t, woken)
		t.Logf("%s stood still for %d ms, while %s led, and stood by %d ms after it went on",
			first.pod, woken.Sub(stopped).Milliseconds(), second.pod, time.Since(woken).Milliseconds())
	}
	n := c.finish(t)
	l.all(t, n, patience)
	t.Logf("%d Services have an address", n)
	l.clean(t, "")
	l.stored(t, client, ns)
}

// TestReservationOutlivesTheLeader: a leader that dies before it has written down that a Service went
// takes the reservation with it, unless the standby knows who had the address. The Service comes back
// to its address, and nobody else gets it meanwhile.
func TestReservationOutlivesTheLeader(t *testing.T) {
	const addr = "198.18.100.1"
	client := connect(t)
	ns := namespace(t)
	apply(t, strings.Replace(pool("outlives", addr+"-"+addr), "spec: {autoAssign: false,", "spec: {autoAssign: false, reservationTime: 1h,", 1))
	t.Cleanup(func() {
		kubectl(t, "-n", labctl.Namespace, "rollout", "status", "deployment/controller", "--timeout=60s")
	})
	kubectl(t, "-n", labctl.Namespace, "rollout", "status", "deployment/controller", "--timeout=60s")
	first := serviceFor(ns, "first", "none", "outlives")
	create(t, first)
	if got := address(t, ns, "first"); got != addr {
		t.Fatalf("the address is %s, want %s", got, addr)
	}
	// A standby takes notes every 10 s, and a successor starts from the second last ones.
	time.Sleep(22 * time.Second)

	was := leader(t, client)
	was.signal(t, syscall.SIGSTOP) // it must not see what comes
	kubectl(t, "-n", ns, "delete", "service", "first")
	create(t, serviceFor(ns, "rival", "none", "outlives"))
	was.kill(t)
	leader(t, client, was.pod)
	was.bury(t, client)
	waits(t, ns, "rival", ns+"/first")
	create(t, first)
	if got := address(t, ns, "first"); got != addr {
		t.Errorf("the Service came back, with %s instead of %s", got, addr)
	}
}

// TestConfigurationStateIsTakenOverFromThePodBefore: the garbage collector deletes what belongs to a
// Pod that is gone.
func TestConfigurationStateIsTakenOverFromThePodBefore(t *testing.T) {
	client := connect(t)
	owned := func(state string, pods func(ctx context.Context) ([]string, error)) {
		t.Helper()
		eventually(t, func(ctx context.Context) error {
			want, err := pods(ctx)
			if err != nil {
				return err
			}
			owner, err := lab.Kubectl(ctx, "-n", labctl.Namespace, "get", "configurationstate", state,
				"-o", "jsonpath={.metadata.ownerReferences[0].name} {.status.result}")
			if err == nil && !slices.ContainsFunc(want, func(pod string) bool { return strings.HasPrefix(owner, pod+" Valid") }) {
				return fmt.Errorf("ConfigurationState %s is %q, want an owner of %q", state, owner, want)
			}
			return err
		})
	}
	current := func(selector string) func(ctx context.Context) ([]string, error) {
		return func(ctx context.Context) (names []string, err error) {
			list, err := client.CoreV1().Pods(labctl.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
			if err != nil {
				return nil, err
			}
			for i := range list.Items {
				if list.Items[i].DeletionTimestamp == nil {
					names = append(names, list.Items[i].Name)
				}
			}
			return names, nil
		}
	}
	owned("controller", current("component=controller"))
	owned("speaker-n1", current("component=speaker"))

	before := leader(t, client)
	kubectl(t, "-n", labctl.Namespace, "rollout", "restart", "deployment/controller")
	kubectl(t, "-n", labctl.Namespace, "rollout", "status", "deployment/controller", "--timeout=60s")
	kubectl(t, "-n", labctl.Namespace, "wait", "--for=delete", "pod/"+before.pod, "--timeout=30s")
	leader(t, client, before.pod)
	kubectl(t, "-n", labctl.Namespace, "delete", "pod", "-l", "component=speaker", "--field-selector=spec.nodeName=n1")
	time.Sleep(3 * time.Second) // the garbage collector has looked by now
	owned("controller", current("component=controller"))
	owned("speaker-n1", current("component=speaker"))
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
