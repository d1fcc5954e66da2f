// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package l2_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/l2"
	"github.com/clarion-lb/clarion/internal/lb"
)

// Two links of the node, two foreign machines, and addresses inside the first link's subnets.
const (
	eth0 = 2
	eth1 = 3
)

var (
	mac0  = l2.MAC{0x02, 0, 0, 0, 0, 0x10}
	mac1  = l2.MAC{0x02, 0, 0, 0, 0, 0x11}
	asker = l2.MAC{0x02, 0, 0, 0, 0, 0x77}
	rival = l2.MAC{0x02, 0, 0, 0, 0, 0x99}

	vip4   = netip.MustParseAddr("192.0.2.10")
	vip6   = netip.MustParseAddr("2001:db8::10")
	asker4 = netip.MustParseAddr("192.0.2.77")
	asker6 = netip.MustParseAddr("fe80::77")
)

// at is the virtual clock: so many milliseconds after the start.
func at(ms int) time.Time {
	return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(ms) * time.Millisecond)
}

func link0() lb.Link {
	return lb.Link{
		Index: eth0, Name: "eth0", HardwareAddr: mac0, Carrier: true, Broadcast: true, ARP: true,
		Prefixes: prefixes("192.0.2.1/24", "2001:db8::1/64", "fe80::1/64"),
	}
}

func link1() lb.Link {
	return lb.Link{
		Index: eth1, Name: "eth1", HardwareAddr: mac1, Carrier: true, Broadcast: true, ARP: true,
		Prefixes: prefixes("198.51.100.1/24", "2001:db8:1::1/64", "fe80::1/64"),
	}
}

func prefixes(s ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range s {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

func want(addrs ...netip.Addr) []lb.Announcement {
	var out []lb.Announcement
	for _, a := range addrs {
		out = append(out, lb.Announcement{Addr: a})
	}
	return out
}

// quiet is a config without repeats, for tests of everything else.
func quiet() l2.Config { return l2.Config{Burst: []time.Duration{}, RefreshMin: -1} }

func newMachine(t testing.TB, cfg l2.Config, links ...lb.Link) *l2.Machine {
	t.Helper()
	m, err := l2.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	m.SetLinks(links, at(0))
	return m
}

// text writes actions one a line, the way a capture would show them.
func text(actions []l2.Action) []string {
	out := []string{}
	for _, a := range actions {
		out = append(out, line(a))
	}
	return out
}

func line(a l2.Action) string {
	switch a.Op {
	case l2.Open, l2.Close:
		return fmt.Sprintf("%s %s %s", a.Op, a.Name, a.Family)
	case l2.Join, l2.Leave:
		return fmt.Sprintf("%s %s %s", a.Op, a.Name, a.Group)
	case l2.SendARP:
		form := "reply"
		if a.Request {
			form = "request"
		}
		if a.Gratuitous {
			form = "gratuitous " + form
		}
		return fmt.Sprintf("%s %s %s is-at %s tell %s at %s", a.Name, form, a.Addr, a.MAC, a.Dst, a.DstMAC)
	case l2.SendNA:
		flags := ""
		if a.Solicited {
			flags += "S"
		}
		if a.Override {
			flags += "O"
		}
		return fmt.Sprintf("%s NA[%s] %s is-at %s to %s at %s", a.Name, flags, a.Addr, a.MAC, a.Dst, a.DstMAC)
	case l2.SendNS:
		return fmt.Sprintf("%s NS %s to %s at %s", a.Name, a.Addr, a.Dst, a.DstMAC)
	case l2.Conflict:
		return fmt.Sprintf("conflict %s %s with %s", a.Name, a.Addr, a.MAC)
	default:
		return fmt.Sprintf("%s %s", a.Op, a.Addr)
	}
}

// sends keeps the lines of frames only.
func sends(actions []l2.Action) []string {
	out := []string{}
	for _, a := range actions {
		if a.Op == l2.SendARP || a.Op == l2.SendNA || a.Op == l2.SendNS {
			out = append(out, line(a))
		}
	}
	return out
}

func equal(t testing.TB, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n  %q\nwant\n  %q", got, want)
	}
}

// run ticks the machine at its own deadlines until the time given and returns every action
// with its time in front.
func run(t testing.TB, m *l2.Machine, until time.Time) []string {
	t.Helper()
	out := []string{}
	for range 1_000_000 {
		due, ok := m.Deadline()
		if !ok || due.After(until) {
			return out
		}
		for _, a := range m.Tick(due) {
			out = append(out, fmt.Sprintf("%d %s", due.Sub(at(0)).Milliseconds(), line(a)))
		}
	}
	t.Fatal("the machine never comes to rest")
	return nil
}

func request(target netip.Addr) l2.Query {
	return l2.Query{
		Kind: l2.ARPRequest, Link: eth0, EthSrc: asker, EthDst: l2.BroadcastMAC(),
		Sender: asker4, SenderMAC: asker, Target: target,
	}
}

func solicitation(target netip.Addr) l2.Query {
	return l2.Query{
		Kind: l2.NeighborSolicitation, Link: eth0, EthSrc: asker, EthDst: l2.MulticastMAC(l2.SolicitedNode(target)),
		Sender: asker6, SenderMAC: asker, HasOption: true, Target: target, Dst: l2.SolicitedNode(target),
	}
}

// claim4 is a rival's gratuitous ARP, claim6 its unsolicited advertisement.
func claim4(a netip.Addr) l2.Query {
	return l2.Query{
		Kind: l2.ARPRequest, Link: eth0, EthSrc: rival, EthDst: l2.BroadcastMAC(),
		Sender: a, SenderMAC: rival, Target: a,
	}
}

func claim6(a netip.Addr) l2.Query {
	return l2.Query{
		Kind: l2.NeighborAdvertisement, Link: eth0, EthSrc: rival, EthDst: l2.MulticastMAC(l2.AllNodes()),
		Sender: a, SenderMAC: rival, HasOption: true, Target: a, Dst: l2.AllNodes(),
	}
}
