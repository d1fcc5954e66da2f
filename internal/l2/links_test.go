// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package l2_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/l2"
	"github.com/clarion-lb/clarion/internal/lb"
)

// announcedOn returns the links of the only announced address.
func announcedOn(t *testing.T, m *l2.Machine) []string {
	t.Helper()
	got := m.Announced()
	if len(got) != 1 {
		t.Fatalf("announced %+v, want one address", got)
	}
	return got[0].Links
}

func TestOnlySuitableLinksCarryAddresses(t *testing.T) {
	change := func(f func(*lb.Link)) lb.Link { l := link0(); f(&l); return l }
	for name, c := range map[string]struct {
		link       lb.Link
		ipv4, ipv6 bool
	}{
		"plain":           {link0(), true, true},
		"no carrier":      {change(func(l *lb.Link) { l.Carrier = false }), false, false},
		"not broadcast":   {change(func(l *lb.Link) { l.Broadcast = false }), false, false},
		"no ARP":          {change(func(l *lb.Link) { l.ARP = false }), false, false},
		"enslaved":        {change(func(l *lb.Link) { l.Master = 9 }), false, false},
		"not Ethernet":    {change(func(l *lb.Link) { l.HardwareAddr = [6]byte{} }), false, false},
		"no link-local":   {change(func(l *lb.Link) { l.Prefixes = l.Prefixes[:2] }), true, false},
		"no address":      {change(func(l *lb.Link) { l.Prefixes = nil }), true, false},
		"docker0":         {change(func(l *lb.Link) { l.Name = "docker0" }), false, false},
		"cali12":          {change(func(l *lb.Link) { l.Name = "cali12" }), false, false},
		"kube-ipvs0":      {change(func(l *lb.Link) { l.Name = "kube-ipvs0" }), false, false},
		"lo":              {change(func(l *lb.Link) { l.Name = "lo" }), false, false},
		"lo1 is not lo":   {change(func(l *lb.Link) { l.Name = "lo1" }), true, true},
		"lxc on the left": {change(func(l *lb.Link) { l.Name = "lxcbr0" }), false, false},
	} {
		t.Run(name, func(t *testing.T) {
			for a, suitable := range map[netip.Addr]bool{vip4: c.ipv4, vip6: c.ipv6} {
				m := newMachine(t, quiet(), c.link)
				m.Set(want(a), at(0))
				if got := len(announcedOn(t, m)) == 1; got != suitable {
					t.Errorf("%s announced: %v, want %v", a, got, suitable)
				}
			}
		})
	}
}

func TestAnEmptyExclusionListExcludesNothing(t *testing.T) {
	cfg := quiet()
	cfg.Exclude = []string{}
	l := link0()
	l.Name = "veth0"
	m := newMachine(t, cfg, l)
	m.Set(want(vip4), at(0))
	equal(t, announcedOn(t, m), []string{"veth0"})
}

func TestTheLinkThatOwnsTheSubnetAnswers(t *testing.T) {
	with := func(l lb.Link, p ...string) lb.Link { l.Prefixes = prefixes(append(p, "fe80::1/64")...); return l }
	down := func(l lb.Link) lb.Link { l.Carrier = false; return l }
	for name, c := range map[string]struct {
		links []lb.Link
		want  []string
	}{
		"one owns it":                              {[]lb.Link{link0(), link1()}, []string{"eth0"}},
		"none owns it":                             {[]lb.Link{with(link0(), "10.0.0.1/8"), link1()}, []string{"eth0", "eth1"}},
		"two in one subnet: lowest index":          {[]lb.Link{with(link1(), "192.0.2.2/24"), link0()}, []string{"eth0"}},
		"longest prefix":                           {[]lb.Link{with(link0(), "192.0.0.1/16"), with(link1(), "192.0.2.2/24")}, []string{"eth1"}},
		"two in one subnet: carrier":               {[]lb.Link{down(link0()), with(link1(), "192.0.2.2/24")}, []string{"eth1"}},
		"carrier before prefix":                    {[]lb.Link{with(link0(), "192.0.0.1/16"), down(with(link1(), "192.0.2.2/24"))}, []string{"eth0"}},
		"a host address owns nothing":              {[]lb.Link{with(link0(), "192.0.2.10/32"), with(link1(), "192.0.2.2/24")}, []string{"eth1"}},
		"the owner is down, others do not step in": {[]lb.Link{down(link0()), link1()}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, quiet(), c.links...)
			m.Set(want(vip4), at(0))
			equal(t, announcedOn(t, m), c.want)
		})
	}
}

func TestNamedInterfacesOfOneSubnetGiveTheAddressOneHardwareAddress(t *testing.T) {
	second, third := link1(), link1()
	second.Prefixes = link0().Prefixes
	third.Index, third.Name = 9, "eth2"
	a := lb.Announcement{Addr: want(vip4)[0].Addr, Interfaces: []string{"eth0", "eth1", "eth2"}}
	m := newMachine(t, quiet(), link0(), second, third)
	m.Set([]lb.Announcement{a}, at(0))
	equal(t, announcedOn(t, m), []string{"eth0", "eth2"}) // eth2 is in a segment of its own
	a.Interfaces = []string{"eth1", "eth2"}
	m.Set([]lb.Announcement{a}, at(1))
	equal(t, announcedOn(t, m), []string{"eth1", "eth2"})
}

func TestAnAddressMovesToTheSecondInterfaceAndStays(t *testing.T) {
	second := link1()
	second.Prefixes = link0().Prefixes
	down := link0()
	down.Carrier = false
	m := newMachine(t, quiet(), link0(), second)
	m.Set(want(vip4), at(0))
	moved := text(m.SetLinks([]lb.Link{down, second}, at(1)))
	equal(t, moved, []string{
		"open eth1 IPv4", "close eth0 IPv4",
		"eth1 gratuitous request 192.0.2.10 is-at 02:00:00:00:00:11 tell 192.0.2.10 at ff:ff:ff:ff:ff:ff",
		"eth1 gratuitous reply 192.0.2.10 is-at 02:00:00:00:00:11 tell 192.0.2.10 at ff:ff:ff:ff:ff:ff",
	})
	equal(t, text(m.SetLinks([]lb.Link{link0(), second}, at(2))), []string{})
	equal(t, announcedOn(t, m), []string{"eth1"})
}

func TestLinkChangesReannounce(t *testing.T) {
	down, other, renamed, recreated := link0(), link0(), link0(), link0()
	down.Carrier = false
	down.Prefixes = nil // the kernel may drop them with the carrier
	other.HardwareAddr = l2.MAC{2, 0, 0, 0, 0, 0x12}
	renamed.Name = "veth9"
	recreated.Index = 8
	burst := []string{garp, garpRe, una}
	for name, c := range map[string]struct {
		before, after []lb.Link
		want          []string
	}{
		"came up": {[]lb.Link{down}, []lb.Link{link0()}, burst},
		"new address": {nil, []lb.Link{other}, []string{
			"eth0 gratuitous request 192.0.2.10 is-at 02:00:00:00:00:12 tell 192.0.2.10 at ff:ff:ff:ff:ff:ff",
			"eth0 gratuitous reply 192.0.2.10 is-at 02:00:00:00:00:12 tell 192.0.2.10 at ff:ff:ff:ff:ff:ff",
			"eth0 NA[O] 2001:db8::10 is-at 02:00:00:00:00:12 to ff02::1 at 33:33:00:00:00:01",
		}},
		"went down":            {nil, []lb.Link{down}, nil},
		"stays down":           {[]lb.Link{down}, []lb.Link{down}, nil},
		"re-created":           {[]lb.Link{}, []lb.Link{recreated}, burst},
		"replaced in one step": {nil, []lb.Link{recreated}, burst},
		"renamed to excluded":  {nil, []lb.Link{renamed}, nil},
		"same again":           {nil, []lb.Link{link0()}, nil},
		"another one appeared": {nil, []lb.Link{link0(), link1()}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, l2.Config{}, link0())
			m.Set(want(vip4, vip6), at(0))
			run(t, m, at(4000))
			if c.before != nil {
				m.SetLinks(c.before, at(5000))
			}
			equal(t, sends(m.SetLinks(c.after, at(6000))), c.want)
		})
	}
}

func TestALinkThatIsDownKeepsItsSocketsAndGroups(t *testing.T) {
	down := link0()
	down.Carrier, down.Prefixes = false, nil
	m := newMachine(t, l2.Config{}, link0())
	m.Set(want(vip4, vip6), at(0))
	equal(t, text(m.SetLinks([]lb.Link{down}, at(1))), []string{})
	equal(t, run(t, m, at(3_600_000)), []string{})
	if got := m.Announced(); len(got[0].Links)+len(got[1].Links) != 0 {
		t.Errorf("announced on a dead link: %+v", got)
	}
}

func TestAVanishedLinkIsClosed(t *testing.T) {
	m := newMachine(t, quiet(), link0())
	m.Set(want(vip4, vip6), at(0))
	equal(t, text(m.SetLinks(nil, at(1))), []string{"close eth0 IPv4", "leave eth0 ff02::1:ff00:10", "close eth0 IPv6"})
	if got := m.Announced(); len(got) != 2 {
		t.Errorf("forgot what is wanted: %+v", got)
	}
}

func TestAFailedPortIsOpenedAgainWithGrowingPauses(t *testing.T) {
	m := newMachine(t, l2.Config{RefreshMin: -1}, link0())
	m.Set(want(vip4, vip6), at(0))
	run(t, m, at(4000))
	now := at(5000)
	for _, pause := range []time.Duration{1, 2, 4, 8, 16, 30, 30} {
		equal(t, text(m.Failed(eth0, lb.IPv6, now)), []string{"close eth0 IPv6"})
		equal(t, text(m.Failed(eth0, lb.IPv6, now)), []string{}) // told twice
		due, ok := m.Deadline()
		if !ok || due.Sub(now) != pause*time.Second {
			t.Fatalf("retry after %s, want %d s", due.Sub(now), pause)
		}
		now = due
		equal(t, text(m.Tick(now)), []string{"open eth0 IPv6", "join eth0 ff02::1:ff00:10", una})
	}
	now = now.Add(5 * time.Minute)
	m.Failed(eth0, lb.IPv6, now)
	if due, _ := m.Deadline(); due.Sub(now) != time.Second {
		t.Errorf("after minutes of peace the pause is %s, want 1 s", due.Sub(now))
	}
	equal(t, text(m.Failed(9, lb.IPv4, now)), []string{})
}
