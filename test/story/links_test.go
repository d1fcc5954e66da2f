// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"
)

// secondLink is a second interface of every node on the same LAN, in a part of its subnet.
type secondLink struct {
	nodes []string
	addrs []string // of node 1; the last digit is replaced by the node's number
}

func (s secondLink) mac(node string) string { return "02:c1:00:00:01:1" + node[1:] }

func on(t *testing.T, host string, command ...string) {
	t.Helper()
	if _, err := lab.Exec(context.WithoutCancel(t.Context()), host, command...); err != nil {
		t.Fatal(err)
	}
}

// plug gives a node its second interface.
func (s secondLink) plug(t *testing.T, node string) {
	t.Helper()
	port := node + "b"
	on(t, "lan", "ip", "link", "add", port, "type", "veth", "peer", "name", "eth1", "netns", lab.Netns(node))
	on(t, "lan", "ip", "link", "set", port, "master", "br0", "up")
	on(t, node, "ip", "link", "set", "eth1", "address", s.mac(node), "up")
	for _, a := range s.addrs {
		on(t, node, "ip", "addr", "add", fmt.Sprintf(a, node[1:]), "dev", "eth1", "nodad")
	}
}

func newSecondLink(t *testing.T) secondLink {
	s := secondLink{nodes: []string{"n1", "n2", "n3"}, addrs: []string{"192.168.103.1%s/24", "fd00:100::9:1%s/112"}}
	for _, n := range s.nodes {
		s.plug(t, n)
		t.Cleanup(func() { // the one that is already gone is gone
			_, _ = lab.Exec(context.WithoutCancel(t.Context()), "lan", "ip", "link", "del", n+"b")
		})
	}
	return s
}

// behind waits until the client finds one of the hardware addresses behind an address, and
// returns which.
func behind(t *testing.T, addr string, macs map[string]string) string {
	t.Helper()
	var found string
	eventually(t, func(ctx context.Context) error {
		mac, err := seenBy(ctx, addr)
		if err != nil {
			return err
		}
		var ok bool
		if found, ok = macs[mac]; !ok {
			return fmt.Errorf("%s is behind %s", mac, addr)
		}
		return nil
	})
	return found
}

// TestTwoInterfacesInOneSubnet: both of a node's interfaces hold the address's subnet. One of
// them answers, the one with the longer prefix; the other one takes over when it loses its
// cable, and it answers again when it is made anew.
func TestTwoInterfacesInOneSubnet(t *testing.T) {
	second := newSecondLink(t)
	macs := map[string]string{}
	for _, n := range second.nodes {
		macs[second.mac(n)] = n
	}
	p := echoIn(t, "192.168.103.100-192.168.103.110", "fd00:100::9:100-fd00:100::9:110")
	node := behind(t, p.addrs[0], macs)
	if other := behind(t, p.addrs[1], macs); other != node {
		t.Errorf("%s answers for %s and %s for %s", node, p.addrs[0], other, p.addrs[1])
	}
	stop := curious(t, p.addrs[:]...)
	var cut time.Time
	o := p.outage(t, func() error {
		time.Sleep(lead)
		cut = time.Now()
		_, err := lab.Exec(t.Context(), "lan", "ip", "link", "set", node+"b", "down")
		return err
	})
	stop()
	for i, addr := range p.addrs {
		before, after := map[string]bool{}, map[string]bool{}
		for _, c := range o[i].MACs(addr, time.Time{}, cut) {
			before[c] = true
		}
		for _, c := range o[i].MACs(addr, cut.Add(time.Second), time.Now()) {
			after[c] = true
		}
		if len(before) != 1 || !before[second.mac(node)] {
			t.Errorf("before the cut %v answer for %s, want %s alone", before, addr, second.mac(node))
		}
		if len(after) != 1 || after[second.mac(node)] {
			t.Errorf("after the cut %v answer for %s, want one, and not %s", after, addr, second.mac(node))
		}
	}
	p.waited(t, o)
	on(t, "lan", "ip", "link", "del", node+"b")
	second.plug(t, node)
	for _, addr := range p.addrs {
		if again := behind(t, addr, macs); again != node {
			t.Errorf("%s answers for %s on its second interface, want %s, whose interface is new", again, addr, node)
		}
		if _, err := get(t.Context(), "client", net.JoinHostPort(addr, "8090")); err != nil {
			t.Error(err)
		}
	}
}
