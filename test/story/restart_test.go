// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/labctl"
)

// ignorant is how long the restarted speaker of the story below is left without API server. A
// container that ends by itself would be restarted several times meanwhile, later each time.
const ignorant = 20 * time.Second

// homecoming is how long an address may take to go home after the API server is back. Watches come
// back within watchRetryMost, drawn out by half, and the address after that at once.
const homecoming = 20 * time.Second

// TestSpeakerRestartsWhileTheAPIServerIsDown kills the owner's speaker. The one that follows it
// knows its peers and nothing of the cluster: it is a member and no candidate, so the address
// stays with the successor. When the API server is back, it goes home by itself.
func TestSpeakerRestartsWhileTheAPIServerIsDown(t *testing.T) {
	ns := namespace(t)
	apply(t, pool(ns, "192.168.101.70-192.168.101.79"))
	create(t, webServer(ns, "echo", 3)+serviceFor(ns, "echo", "echo", ns))
	addr := address(t, ns, "echo")
	target := net.JoinHostPort(addr, "8090")
	before := owner(t, addr)
	of := func(field string) string { // the speaker's Pod
		return kubectl(t, "-n", labctl.Namespace, "get", "pods", "-l", "component=speaker", "--field-selector", "spec.nodeName="+before,
			"-o", "jsonpath={.items[*]"+field+"}")
	}
	restarts := func() string { return of(".metadata.name") + " " + of(".status.containerStatuses[0].restartCount") }
	first := restarts()
	start := apiServerDown(t)
	struck := time.Now()
	dead := outage(t, target, func() error { return lab.Fault(t.Context(), "kill", before, "speaker") })
	if _, err := dead.TakeOver(addr, before, struck); err != nil {
		t.Fatal(err)
	}

	began := time.Now()
	stop := curious(t, addr) // the client remembers who had it, and would not notice silence
	o := outage(t, target, func() error { time.Sleep(ignorant); return nil })
	stop()
	claims := o.Claims(addr, began)
	if n := len(claims[before]); n > 0 {
		t.Errorf("%s claimed %s %d times without knowing the cluster", before, addr, n)
	}
	if silent := silence(slices.Concat(slices.Collect(maps.Values(claims))...), began, began.Add(ignorant)); silent > oneOwner {
		t.Errorf("nobody claimed %s for %s while a speaker started that knows nothing", addr, silent)
	}
	start()
	back := time.Now()
	returned(t, addr, before)
	took := time.Since(back)
	t.Logf("%s is back on %s %s after the API server", addr, before, took.Round(time.Millisecond))
	if took > homecoming {
		t.Error("that is too long")
	}
	started, err := time.Parse(time.RFC3339, of(".status.containerStatuses[0].state.running.startedAt"))
	if err != nil {
		t.Fatal(err)
	}
	if late := started.Sub(began); late > ignorant/2 {
		t.Errorf("the new speaker started %s after the death of the old one was over, too late to show anything", late)
	}
	// One restart, of the same Pod: it did not end for lack of the API server.
	pod, count, _ := strings.Cut(first, " ")
	var had int
	if _, err := fmt.Sscan(count, &had); err != nil {
		t.Fatal(err)
	}
	eventually(t, func(context.Context) error {
		if now, want := restarts(), fmt.Sprintf("%s %d", pod, had+1); now != want {
			return fmt.Errorf("the speaker is %q, want %q", now, want)
		}
		return nil
	})
}

// silence is the longest time between two claims, or without one at either end.
func silence(claims []time.Time, from, until time.Time) (longest time.Duration) {
	slices.SortFunc(claims, time.Time.Compare)
	for _, at := range append(claims, until) {
		longest = max(longest, at.Sub(from))
		from = at
	}
	return longest
}
