// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package l2_test

import (
	"net/netip"
	"testing"

	"github.com/clarion-lb/clarion/internal/l2"
)

type handleCase struct {
	name  string
	query func() l2.Query
	want  []string
}

func runHandle(t *testing.T, cases []handleCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m := newMachine(t, quiet(), link0(), link1())
			m.Set(want(vip4, vip6), at(0))
			equal(t, text(m.Handle(c.query(), at(10))), c.want)
		})
	}
}

// with changes a query.
func with(q l2.Query, change func(*l2.Query)) func() l2.Query {
	return func() l2.Query { change(&q); return q }
}

func TestARPIsAnsweredAsRFC826And5227Say(t *testing.T) {
	reply := "eth0 reply 192.0.2.10 is-at 02:00:00:00:00:10 tell 192.0.2.77 at 02:00:00:00:00:77"
	conflict := []string{"conflict eth0 192.0.2.10 with 02:00:00:00:00:99", garp} // and a defence
	runHandle(t, []handleCase{
		{"broadcast request", with(request(vip4), func(*l2.Query) {}), []string{reply}},
		{"unicast request to us, the kernel's way to confirm an entry (RFC 1122 2.3.2.1)",
			with(request(vip4), func(q *l2.Query) { q.EthDst = mac0 }), []string{reply}},
		{"unicast request to somebody else, seen in promiscuous mode",
			with(request(vip4), func(q *l2.Query) { q.EthDst = rival }), nil},
		{"request on a link that does not carry the address",
			with(request(vip4), func(q *l2.Query) { q.Link = eth1 }), nil},
		{"request for another address", with(request(vip4.Next()), func(*l2.Query) {}), nil},
		{"probe, RFC 5227 2.4: the address is in use, say so",
			with(request(vip4), func(q *l2.Query) { q.Sender = netip.IPv4Unspecified() }),
			[]string{"eth0 reply 192.0.2.10 is-at 02:00:00:00:00:10 tell 0.0.0.0 at 02:00:00:00:00:77"}},
		{"reply addressed to us asks nothing",
			with(request(vip4), func(q *l2.Query) { q.Kind, q.EthDst = l2.ARPReply, mac0 }), nil},
		{"our own frame, returned by a bridge", with(request(vip4), func(q *l2.Query) { q.EthSrc = mac0 }), nil},
		{"our other interface asks", with(request(vip4), func(q *l2.Query) { q.EthSrc, q.SenderMAC = mac1, mac1 }), nil},
		{"a group address as the sender would make us broadcast",
			with(request(vip4), func(q *l2.Query) { q.SenderMAC = l2.BroadcastMAC() }), nil},
		{"gratuitous request of a rival, RFC 5227 2.4", with(claim4(vip4), func(*l2.Query) {}), conflict},
		{"gratuitous reply of a rival", with(claim4(vip4), func(q *l2.Query) { q.Kind = l2.ARPReply }), conflict},
		{"reply of a rival to our kernel",
			with(claim4(vip4), func(q *l2.Query) { q.Kind, q.EthDst, q.Target = l2.ARPReply, mac0, asker4 }), conflict},
		{"request of a rival that uses the address as its own",
			with(claim4(vip4), func(q *l2.Query) { q.Target = asker4 }), conflict},
		{"rival on another link than ours", with(claim4(vip4), func(q *l2.Query) { q.Link = eth1 }), nil},
		{"a claim of our other interface is no rival",
			with(claim4(vip4), func(q *l2.Query) { q.SenderMAC = mac1 }), nil},
	})
}

func TestNDPIsAnsweredAsRFC4861And4862Say(t *testing.T) {
	reply := "eth0 NA[SO] 2001:db8::10 is-at 02:00:00:00:00:10 to fe80::77 at 02:00:00:00:00:77"
	toAll := "eth0 NA[O] 2001:db8::10 is-at 02:00:00:00:00:10 to ff02::1 at 33:33:00:00:00:01"
	conflict := []string{"conflict eth0 2001:db8::10 with 02:00:00:00:00:99", una}
	dad := func(change func(*l2.Query)) func() l2.Query {
		return with(solicitation(vip6), func(q *l2.Query) {
			q.Sender, q.HasOption, q.SenderMAC = netip.IPv6Unspecified(), false, l2.MAC{}
			change(q)
		})
	}
	runHandle(t, []handleCase{
		{"solicitation to the group, 7.2.4", with(solicitation(vip6), func(*l2.Query) {}), []string{reply}},
		{"unicast probe, 7.3.3", with(solicitation(vip6), func(q *l2.Query) { q.Dst, q.EthDst = vip6, mac0 }), []string{reply}},
		{"unicast probe without the option, 4.3",
			with(solicitation(vip6), func(q *l2.Query) { q.Dst, q.EthDst, q.HasOption, q.SenderMAC = vip6, mac0, false, l2.MAC{} }),
			[]string{reply}},
		{"multicast without the option: the frame says who asks",
			with(solicitation(vip6), func(q *l2.Query) { q.HasOption, q.SenderMAC = false, l2.MAC{} }), []string{reply}},
		{"the option wins over the frame", with(solicitation(vip6), func(q *l2.Query) { q.EthSrc = l2.MAC{2, 9} }), []string{reply}},
		{"duplicate detection of another host, 7.2.4 and RFC 4862 5.4.3", dad(func(*l2.Query) {}), []string{toAll}},
		{"from :: with the option, 7.1.1", dad(func(q *l2.Query) { q.HasOption, q.SenderMAC = true, asker }), nil},
		{"from :: to a unicast address, 7.1.1", dad(func(q *l2.Query) { q.Dst, q.EthDst = vip6, mac0 }), nil},
		{"from :: to another group, 7.1.1", dad(func(q *l2.Query) { q.Dst = l2.AllNodes() }), nil},
		{"multicast target, 7.1.1", with(solicitation(vip6), func(q *l2.Query) { q.Target = l2.AllNodes() }), nil},
		{"multicast sender", with(solicitation(vip6), func(q *l2.Query) { q.Sender = l2.AllNodes() }), nil},
		{"another target in the same group",
			with(solicitation(vip6), func(q *l2.Query) { q.Target = netip.MustParseAddr("2001:db8:ffff::10") }), nil},
		{"frame for another host", with(solicitation(vip6), func(q *l2.Query) { q.EthDst, q.Dst = rival, vip6 }), nil},
		{"addressed to another unicast address", with(solicitation(vip6), func(q *l2.Query) { q.EthDst, q.Dst = mac0, asker6 }), nil},
		{"on a link that does not carry the address", with(solicitation(vip6), func(q *l2.Query) { q.Link = eth1 }), nil},
		{"our own frame", with(solicitation(vip6), func(q *l2.Query) { q.EthSrc = mac0 }), nil},
		{"advertisement of a rival, RFC 4862 5.4.4", with(claim6(vip6), func(*l2.Query) {}), conflict},
		{"advertisement without the option", with(claim6(vip6), func(q *l2.Query) { q.HasOption, q.SenderMAC = false, l2.MAC{} }),
			conflict},
		{"multicast and solicited at once is invalid, 7.1.2", with(claim6(vip6), func(q *l2.Query) { q.SolicitedFlag = true }), nil},
		{"unicast solicited advertisement of a rival",
			with(claim6(vip6), func(q *l2.Query) { q.SolicitedFlag, q.Dst, q.EthDst = true, asker6, mac0 }), conflict},
		{"solicitation of a rival from the address itself",
			with(solicitation(vip6.Next()), func(q *l2.Query) { q.Sender, q.SenderMAC, q.EthSrc = vip6, rival, rival }), conflict},
		{"advertisement of an address that is not ours", with(claim6(vip6.Next()), func(*l2.Query) {}), nil},
	})
}

func TestAnUnknownKindDoesNothing(t *testing.T) {
	m := newMachine(t, quiet(), link0())
	m.Set(want(vip4), at(0))
	equal(t, text(m.Handle(l2.Query{Link: eth0, Sender: vip4, Target: vip4}, at(1))), nil)
}

func TestCountersFollowTheWire(t *testing.T) {
	m := newMachine(t, quiet(), link0())
	m.Set(want(vip4, vip6), at(0))
	m.Handle(request(vip4), at(1))
	m.Handle(request(vip4.Next()), at(2))
	m.Handle(solicitation(vip6), at(3))
	m.Set(nil, at(4))
	got := m.Counters()
	if c := got[vip4]; c != (l2.Counters{Requests: 1, Responses: 1, Gratuitous: 2}) {
		t.Errorf("IPv4: %+v", c)
	}
	if c := got[vip6]; c != (l2.Counters{Requests: 1, Responses: 1, Gratuitous: 1}) {
		t.Errorf("IPv6: %+v", c)
	}
	if len(got) != 2 {
		t.Errorf("counters for %d addresses, want the two that were announced", len(got))
	}
}
