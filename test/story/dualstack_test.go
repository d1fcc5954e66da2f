// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package story

import (
	"net"
	"testing"

	"github.com/clarion-lb/clarion/internal/labctl"
)

// TestBothFamiliesOfAServiceMoveTogether: a dual-stack Service has one owner for both of its
// addresses. It dies, and the client finds both at one other node; it returns, and gets both back.
func TestBothFamiliesOfAServiceMoveTogether(t *testing.T) {
	ns := namespace(t)
	apply(t, pool("both", "192.168.101.160-192.168.101.169", "fd00:100::9:10-fd00:100::9:20"))
	create(t, webServer(ns, "echo", 3)+dualStack(serviceFor(ns, "echo", "echo", "both")))
	p4, p6 := addresses(t, ns, "echo")
	v4, v6 := p4.Addr().String(), p6.Addr().String()
	if !p4.Addr().Is4() || !p6.Addr().Is6() {
		t.Fatalf("the addresses are %s and %s, want one of each family", v4, v6)
	}
	together := func() string {
		t.Helper()
		node := owner(t, v4)
		if other := owner(t, v6); other != node {
			t.Errorf("%s answers for %s and %s for %s", node, v4, other, v6)
		}
		return node
	}
	// asked lets something happen while the client asks both addresses.
	asked := func(event func() error) (o4, o6 labctl.Outage) {
		t.Helper()
		o4 = outage(t, net.JoinHostPort(v4, "8090"), func() error {
			var err error
			o6, err = lab.Watch(t.Context(), net.JoinHostPort(v6, "8090"), settle, event)
			return err
		})
		t.Logf("the same of %s: %.0f ms (%d of %d questions lost)", v6, o6.LongestGapMS, o6.Lost, o6.Sent)
		return o4, o6
	}
	before := together()
	for _, f := range []struct{ name, undo string }{{"power-off", "power-on"}, {"link-down", "link-up"}} {
		t.Logf("%s %s, the owner of %s and %s", f.name, before, v4, v6)
		o4, o6 := asked(func() error { return lab.Fault(t.Context(), f.name, before) })
		recovered(t, o4, v4, before)
		recovered(t, o6, v6, before)
		together()
		fault(t, f.undo, before)
		returned(t, v4, before)
		returned(t, v6, before)
	}
	speakersReady(t)
	o4, o6 := asked(func() error {
		_, err := lab.Kubectl(t.Context(), "-n", labctl.Namespace, "delete", "pod", "-l", "component=speaker",
			"--field-selector", "spec.nodeName="+before, "--wait=true")
		return err
	})
	if o4.Lost+o6.Lost > 0 {
		t.Errorf("%d and %d questions were lost while the speaker of %s was replaced", o4.Lost, o6.Lost, before)
	}
	returned(t, v4, before)
	returned(t, v6, before)
}
