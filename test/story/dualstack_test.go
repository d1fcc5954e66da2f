// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package story

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/clarion-lb/clarion/internal/labctl"
)

// pair is a dual-stack Service of three pods that answer by UDP. A story that asks both of its
// addresses sees IPv4, IPv6 and dual stack at once.
type pair struct {
	pool  string
	addrs [2]string // IPv4, IPv6
}

// echo puts a pair in place, with addresses that end in the given number and the nine after it.
// One of its three pods may be on the node that dies; questions for that one are lost until
// Kubernetes gives the node up, between others that are answered.
func echo(t *testing.T, from int) pair {
	t.Helper()
	return echoIn(t, fmt.Sprintf("192.168.101.%d-192.168.101.%d", from, from+9),
		fmt.Sprintf("fd00:100::5:%d-fd00:100::5:%d", from, from+9))
}

// echoIn is echo with ranges of addresses. The pool has the story's own name: just after an
// outage of the API server, the controller may still know a pool that another story deleted.
func echoIn(t *testing.T, v4, v6 string) pair {
	t.Helper()
	ns := namespace(t)
	apply(t, pool(ns, v4, v6))
	create(t, webServer(ns, "echo", 3)+dualStack(serviceFor(ns, "echo", "echo", ns)))
	a, b := addresses(t, ns, "echo")
	for addr, within := range map[netip.Addr]string{a.Addr(): v4, b.Addr(): v6} {
		first, last, _ := strings.Cut(within, "-")
		if addr.Less(netip.MustParseAddr(first)) || netip.MustParseAddr(last).Less(addr) {
			t.Fatalf("the Service got %s, want an address of %s", addr, within)
		}
	}
	p := pair{ns, [2]string{a.Addr().String(), b.Addr().String()}}
	for _, addr := range p.addrs {
		if _, err := lab.Watch(t.Context(), net.JoinHostPort(addr, "8090"), 0, func() error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// owner returns the node that answers for both addresses.
func (p pair) owner(t *testing.T) string {
	t.Helper()
	node := owner(t, p.addrs[0])
	if other := owner(t, p.addrs[1]); other != node {
		t.Errorf("%s answers for %s and %s for %s", node, p.addrs[0], other, p.addrs[1])
	}
	return node
}

// outage lets something happen while the client asks both addresses, and tells what it saw of
// each. Each of the two knows what was claimed on the wire meanwhile.
func (p pair) outage(t *testing.T, event func() error) (out [2]labctl.Outage) {
	t.Helper()
	target := func(i int) string { return net.JoinHostPort(p.addrs[i], "8090") }
	var err error
	out[0], err = lab.Watch(t.Context(), target(0), 0, func() (err error) {
		out[1], err = lab.Watch(t.Context(), target(1), settle, event)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range out {
		logOutage(t, p.addrs[i], o)
	}
	return out
}

// lossless lets something happen in which the client must lose nothing.
func (p pair) lossless(t *testing.T, what string, event func() error) {
	t.Helper()
	for i, o := range p.outage(t, event) {
		if o.Lost > 0 {
			t.Errorf("%d questions to %s were lost while %s", o.Lost, p.addrs[i], what)
		}
		if o.Answered < 100 {
			t.Errorf("only %d answers of %s: nothing was measured", o.Answered, p.addrs[i])
		}
	}
}

// waited fails the test if the client was without answers of one address for too long.
func (p pair) waited(t *testing.T, out [2]labctl.Outage) {
	t.Helper()
	for i, o := range out {
		waited(t, p.addrs[i], o)
	}
}

// recovered fails the test unless both addresses answer again, from another node than before.
func (p pair) recovered(t *testing.T, out [2]labctl.Outage, before string) {
	t.Helper()
	for i, o := range out {
		recovered(t, o, p.addrs[i], before)
	}
	p.owner(t)
}

// returned waits until both addresses are back at the node that the election prefers.
func (p pair) returned(t *testing.T, node string) {
	t.Helper()
	for _, addr := range p.addrs {
		returned(t, addr, node)
	}
}

// moved waits until another node than before answers for both addresses.
func (p pair) moved(t *testing.T, before string) {
	t.Helper()
	for _, addr := range p.addrs {
		moved(t, addr, before)
	}
}
