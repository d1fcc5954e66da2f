// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/clarion-lb/clarion/internal/labctl"
)

// longPatience is for what is written for hundreds of Services one after the other, while more
// of them come in and the machine may do other things as well.
const longPatience = time.Minute

func waitLong(t *testing.T, check func(context.Context) error) {
	t.Helper()
	if err := labctl.Eventually(t.Context(), longPatience, check); err != nil {
		t.Fatal(err)
	}
}

// TestPoolsChangeUnderLoad edits and deletes a pool while Services come in; those of another
// pool notice nothing. The second range and the other pool have room for all Services that could
// be created in several minutes.
func TestPoolsChangeUnderLoad(t *testing.T) {
	client := connect(t)
	ns := namespace(t)
	const one, two, three = "198.18.48.0/24", "198.19.0.0/18", "198.18.49.0/24"
	apply(t, pool("steady", "198.19.64.0/18")+pool("edited", one))
	l := watchLedger(t, client, ns)
	steady := startCrowd(t, client, ns, "steady", "steady", 15*time.Millisecond)
	edited := startCrowd(t, client, ns, "edited", "edited", 15*time.Millisecond)
	l.more(t, 50)
	edit := func(ranges ...string) {
		t.Helper()
		setRanges(t, "edited", ranges...)
		l.more(t, 50)
	}
	edit(one, two, three) // more room
	edit(one, two)        // the range in the back holds nothing yet
	l.clean(t, "")

	had, moves := l.within(one), l.moved()
	edit(two)
	l.empty(t, one)
	checkMoves(t, l.moved()[len(moves):], one, had)

	kubectl(t, "-n", labctl.Namespace, "delete", "ipaddresspool", "edited")
	l.more(t, 30) // the other pool goes on
	l.empty(t, two)
	waitLong(t, func(ctx context.Context) error {
		out, err := lab.Kubectl(ctx, "-n", ns, "get", "service", "edited-0000", "-o",
			`jsonpath={.status.conditions[?(@.type=="metallb.io/AddressAssigned")].message}`)
		if err == nil && !strings.Contains(out, `unknown pool "edited"`) {
			err = fmt.Errorf("the condition of edited-0000 says %q", out)
		}
		return err
	})
	l.clean(t, "steady")

	total := edited.finish(t) + steady.finish(t)
	if err := lab.Apply(t.Context(), pool("edited", two)); err != nil {
		t.Fatal(err)
	}
	l.all(t, total, 2*longPatience)
	// Events wait for writes, so they come when the load is over.
	waitLong(t, func(ctx context.Context) error {
		out, err := lab.Kubectl(ctx, "-n", ns, "get", "events", "--field-selector", "involvedObject.name=edited-0000")
		if err == nil && !strings.Contains(out, "ClearAssignment") {
			err = fmt.Errorf("the events of edited-0000 are %q", out)
		}
		return err
	})
	t.Logf("%d Services, half of them through %d losses of an address", total, len(l.moved()))
	l.clean(t, "steady")
	l.stored(t, client, ns)
}

// checkMoves wants exactly those who had an address of a range to have lost it.
func checkMoves(t *testing.T, moves []string, prefix string, had map[string]string) {
	t.Helper()
	if len(had) == 0 {
		t.Fatalf("nobody had an address of %s: nothing was tested", prefix)
	}
	gone := map[string]bool{}
	for _, m := range moves {
		words := strings.Fields(m) // NAME from ADDRESS to ADDRESS
		gone[words[0]] = true
		if !netip.MustParsePrefix(prefix).Contains(netip.MustParseAddr(words[2])) {
			t.Errorf("moved without having an address of %s: %s", prefix, m)
		}
	}
	for name, addr := range had {
		if !gone[name] {
			t.Errorf("%s did not move, and had %s of %s", name, addr, prefix)
		}
	}
}

// TestARangeMovesToAnotherPoolUnderLoad gives a range to a new pool, which has to overlap the old
// one for a moment: no address moves, and all that are in the range count for the new pool.
func TestARangeMovesToAnotherPoolUnderLoad(t *testing.T) {
	client := connect(t)
	ns := namespace(t)
	const moved, stays = "198.19.128.0/18", "198.19.192.0/18"
	allowOverlaps(t)
	apply(t, poolFor(ns, "former", moved, stays))
	l := watchLedger(t, client, ns)
	c := startCrowd(t, client, ns, "s", "", 15*time.Millisecond)
	l.more(t, 50)
	waitLong(t, func(ctx context.Context) error { return lab.Apply(ctx, poolFor(ns, "heir", moved)) })
	apply(t, poolFor(ns, "heir", moved)) // and removes it in the end
	l.more(t, 50)
	setRanges(t, "former", stays)
	l.more(t, 50)
	l.all(t, c.finish(t), longPatience)
	had := l.within(moved)
	waitLong(t, func(ctx context.Context) error { return belongTo(ctx, client, ns, "heir", had) })
	if len(had) < 100 {
		t.Errorf("only %d Services have an address of the range that moved", len(had))
	}
	t.Logf("%d Services kept their address", len(had))
	l.clean(t, "")
	l.stored(t, client, ns)
}

// belongTo returns an error unless the Services that are noted, and no others, have their
// address from a pool.
func belongTo(ctx context.Context, client kubernetes.Interface, namespace, pool string, noted map[string]string) error {
	list, err := client.CoreV1().Services(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for i := range list.Items {
		svc := &list.Items[i]
		from := svc.Annotations["metallb.io/ip-allocated-from-pool"]
		if _, want := noted[svc.Name]; want != (from == pool) {
			return fmt.Errorf("%s has its address from pool %s", svc.Name, from)
		}
	}
	return nil
}

// allowOverlaps takes away the policy that refuses overlapping pools, for the duration of a
// story: as a cluster without the policies, or one where it failed.
func allowOverlaps(t *testing.T) {
	t.Helper()
	policy, err := os.ReadFile(filepath.Join(lab.Root, "config", "admission-policies", "ipaddresspool-overlap.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	kubectl(t, "delete", "validatingadmissionpolicybinding", "ipaddresspool-overlap.metallb.io")
	t.Cleanup(func() {
		if err := lab.Apply(context.WithoutCancel(t.Context()), string(policy)); err != nil {
			t.Errorf("bring the policy back: %v", err)
		}
	})
}

// poolFor returns an IPAddressPool that serves the Services of one namespace.
func poolFor(namespace, name string, addresses ...string) string {
	return fmt.Sprintf(`
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: %s, namespace: metallb-system}
spec: {serviceAllocation: {namespaces: [%s]}, addresses: ["%s"]}
`, name, namespace, strings.Join(addresses, `", "`))
}

func setRanges(t *testing.T, pool string, ranges ...string) {
	t.Helper()
	kubectl(t, "-n", labctl.Namespace, "patch", "ipaddresspool", pool, "--type=merge",
		"-p", `{"spec":{"addresses":["`+strings.Join(ranges, `","`)+`"]}}`)
}

// more waits until n more addresses were given.
func (l *ledger) more(t *testing.T, n int) {
	t.Helper()
	given, _ := l.counts()
	waitLong(t, func(context.Context) error {
		if now, _ := l.counts(); now < given+n {
			return fmt.Errorf("%d addresses given, want %d", now-given, n)
		}
		return nil
	})
}

// moved returns the addresses that were taken away or replaced so far.
func (l *ledger) moved() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.moves[:len(l.moves):len(l.moves)]
}

// within returns who has an address of a range, and which.
func (l *ledger) within(prefix string) map[string]string {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := map[string]string{}
	for name, text := range l.services {
		if addr, err := netip.ParseAddr(text); err == nil && netip.MustParsePrefix(prefix).Contains(addr) {
			out[name] = text
		}
	}
	return out
}

// empty waits until nobody has an address of a range.
func (l *ledger) empty(t *testing.T, prefix string) {
	t.Helper()
	waitLong(t, func(context.Context) error {
		if left := l.within(prefix); len(left) > 0 {
			return fmt.Errorf("%d Services still have an address of %s", len(left), prefix)
		}
		return nil
	})
}
