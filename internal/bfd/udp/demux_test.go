// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package udp

import (
	"encoding/binary"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clarion-lb/clarion/internal/bfd"
)

var epoch = time.Unix(1_000_000, 0)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// loopWith is a loop that runs sessions for targets, without sockets: nothing can be sent.
func loopWith(targets ...bfd.Target) *loop {
	l := newLoop(&Manager{log: slog.New(slog.DiscardHandler)})
	for _, t := range targets {
		l.add(t, epoch)
		l.byName[t.Name].tx = &sender{fd: -1, since: time.Now().Add(time.Hour)}
	}
	return l
}

func TestPacketsFindTheirSession(t *testing.T) {
	peer, one, two := addr("192.0.2.2"), addr("192.0.2.1"), addr("192.0.2.11")
	from := func(to netip.Addr, edit func(*arrival)) arrival {
		a := arrival{from: peer, to: to, ttl: 255, index: 7}
		if edit != nil {
			edit(&a)
		}
		return a
	}
	red := func(a *arrival) { a.vrf = "red" }
	for name, c := range map[string]struct {
		targets []bfd.Target
		packet  arrival
		want    string
	}{
		"the only one":         {[]bfd.Target{{Name: "a", Peer: peer}}, from(one, nil), "a"},
		"of another peer":      {[]bfd.Target{{Name: "a", Peer: two}}, from(one, nil), ""},
		"of the other kind":    {[]bfd.Target{{Name: "a", Peer: peer, MultiHop: true}}, from(one, nil), ""},
		"by source address, 1": {[]bfd.Target{{Name: "a", Peer: peer, Local: one}, {Name: "b", Peer: peer, Local: two}}, from(one, nil), "a"},
		"by source address, 2": {[]bfd.Target{{Name: "a", Peer: peer, Local: one}, {Name: "b", Peer: peer, Local: two}}, from(two, nil), "b"},
		"by source address, 3": {[]bfd.Target{{Name: "a", Peer: peer, Local: one}, {Name: "b", Peer: peer, Local: two}}, from(addr("192.0.2.12"), nil), ""},
		"to the address that one names": {
			[]bfd.Target{{Name: "a", Peer: peer}, {Name: "b", Peer: peer, Local: two}}, from(two, nil), "b"},
		"to an address that none names": {
			[]bfd.Target{{Name: "a", Peer: peer}, {Name: "b", Peer: peer, Local: two}}, from(one, nil), "a"},
		"in the VRF": {
			[]bfd.Target{{Name: "a", Peer: peer}, {Name: "b", Peer: peer, VRF: "red"}}, from(one, red), "b"},
		"in the default domain": {
			[]bfd.Target{{Name: "a", Peer: peer, VRF: "red"}, {Name: "b", Peer: peer}}, from(one, nil), "b"},
		"in a VRF that no session is in": {
			[]bfd.Target{{Name: "a", Peer: peer}}, from(one, red), ""},
		"of the default domain, by a device that another session is bound to": {
			[]bfd.Target{{Name: "a", Peer: peer}, {Name: "b", Peer: addr("192.0.2.3"), VRF: "eth0"}},
			from(one, func(a *arrival) { a.vrf, a.plain = "eth0", true }), "a"},
		"of the session that is bound to its device": {
			[]bfd.Target{{Name: "a", Peer: peer}, {Name: "b", Peer: peer, VRF: "eth0"}},
			from(one, func(a *arrival) { a.vrf, a.plain = "eth0", true }), "b"},
		"the first by name where nothing tells": {
			[]bfd.Target{{Name: "b", Peer: peer}, {Name: "a", Peer: peer}, {Name: "c", Peer: peer}}, from(one, nil), "a"},
		"of a link-local peer": {
			[]bfd.Target{{Name: "a", Peer: addr("fe80::1%lo"), Local: addr("fe80::2%lo")}},
			arrival{from: addr("fe80::1"), to: addr("fe80::2")}, "a"},
	} {
		for range 20 { // the order of a map must not matter
			got := ""
			if e := loopWith(c.targets...).find(0, &c.packet); e != nil {
				got = e.target.Name
			}
			if got != c.want {
				t.Fatalf("%s: found %q, want %q", name, got, c.want)
			}
		}
	}
}

func TestTheDiscriminatorIsBelievedFromTheNeighbourOnly(t *testing.T) {
	peer, one := addr("192.0.2.2"), addr("192.0.2.1")
	l := loopWith(bfd.Target{Name: "a", Peer: peer, Local: one, VRF: "red"}, bfd.Target{Name: "b", Peer: peer, Local: one})
	e := l.byName["a"]
	good := arrival{from: peer, to: one, vrf: "red"}
	if l.find(e.disc, &good) != e {
		t.Error("not found by its discriminator")
	}
	for name, a := range map[string]arrival{
		"stranger":      {from: addr("192.0.2.3"), to: one, vrf: "red"},
		"other address": {from: peer, to: addr("192.0.2.9"), vrf: "red"},
		"other domain":  {from: peer, to: one},
		"across hops":   {from: peer, to: one, vrf: "red", multiHop: true},
	} {
		if l.find(e.disc, &a) != nil {
			t.Errorf("%s: the packet was taken", name)
		}
	}
}

// Two peers can share a session, which goes on under the name of the one that stays.
func TestSessionsOutliveTheirName(t *testing.T) {
	peer := addr("192.0.2.2")
	l := loopWith(bfd.Target{Name: "a", Peer: peer}, bfd.Target{Name: "c", Peer: addr("192.0.2.3")})
	a, c := l.byName["a"], l.byName["c"]
	kept := l.claim([]bfd.Target{{Name: "b", Peer: peer}, {Name: "c", Peer: addr("192.0.2.4")}})
	if len(kept) != 1 || kept["b"] != a {
		t.Errorf("renamed: kept %v", kept)
	}
	kept = l.claim([]bfd.Target{{Name: "a", Peer: addr("192.0.2.3")}, {Name: "c", Peer: peer}})
	if len(kept) != 2 || kept["a"] != c || kept["c"] != a {
		t.Errorf("exchanged: kept %v", kept)
	}
	kept = l.claim([]bfd.Target{{Name: "0", Peer: peer}, {Name: "a", Peer: peer}})
	if len(kept) != 1 || kept["a"] != a {
		t.Errorf("wanted twice: kept %v", kept)
	}
}

func TestOnlyTheGoodbyeToTheSameNeighbourIsCutShort(t *testing.T) {
	peer, one, two := addr("192.0.2.2"), addr("192.0.2.1"), addr("192.0.2.11")
	for name, c := range map[string]struct {
		old, next bfd.Target
		remains   bool
	}{
		"the same":             {bfd.Target{Peer: peer}, bfd.Target{Peer: peer}, false},
		"a source address now": {bfd.Target{Peer: peer}, bfd.Target{Peer: peer, Local: one}, false},
		"another source":       {bfd.Target{Peer: peer, Local: two}, bfd.Target{Peer: peer, Local: one}, true},
		"another VRF":          {bfd.Target{Peer: peer, VRF: "red"}, bfd.Target{Peer: peer}, true},
		"another kind":         {bfd.Target{Peer: peer, MultiHop: true}, bfd.Target{Peer: peer}, true},
	} {
		c.old.Name, c.next.Name = "old", "next"
		l := loopWith(c.old)
		old := l.byName["old"]
		l.leave(old, epoch)
		l.add(c.next, epoch)
		if remains := l.byDisc[old.disc] == old; remains != c.remains {
			t.Errorf("%s: the old session remains: %v", name, remains)
		}
	}
}

// oobOf lays control messages out as the kernel does.
func oobOf(ttl, index uint32, to netip.Addr) []byte {
	var b [4]byte
	binary.NativeEndian.PutUint32(b[:], ttl)
	if to.Is4() {
		return append(controlMessage(unix.IPPROTO_IP, unix.IP_TTL, b[:]), unix.PktInfo4(&unix.Inet4Pktinfo{Ifindex: int32(index), Addr: to.As4()})...)
	}
	return append(controlMessage(unix.IPPROTO_IPV6, unix.IPV6_HOPLIMIT, b[:]), unix.PktInfo6(&unix.Inet6Pktinfo{Ifindex: index, Addr: to.As16()})...)
}

func TestControlMessagesAreRead(t *testing.T) {
	for _, to := range []string{"192.0.2.1", "2001:db8::1"} {
		want := control{ttl: 254, index: 7, to: addr(to)}
		if got := controlOf(oobOf(254, 7, addr(to))); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	if got := controlOf(nil); got != (control{}) {
		t.Errorf("nothing reads as %+v", got)
	}
}

// Whatever arrives with whatever control messages must not stop the thread, and counts only when
// all that was told of it is right.
func FuzzControl(f *testing.F) {
	peer, one := addr("192.0.2.2"), addr("192.0.2.1")
	packet := bfd.Packet{State: bfd.Down, Multiplier: 3, MyDisc: 9, DesiredMinTx: time.Second, RequiredRx: time.Second, Poll: true}.Append(nil)
	f.Add(oobOf(255, 7, one), packet, uint8(0))
	f.Add(oobOf(254, 7, one), packet, uint8(1))
	f.Add(oobOf(255, 7, one), []byte{1 << 5, 48, 0, 0, 0, 0, 0, 1}, uint8(2))
	f.Add(oobOf(254, 7, one), make([]byte, echoLen), uint8(2))
	f.Add(oobOf(255, 7, addr("2001:db8::1")), packet, uint8(0))
	f.Add(oobOf(255, 7, one)[:20], packet[:7], uint8(2))
	f.Fuzz(func(t *testing.T, oob, b []byte, port uint8) {
		params := bfd.Params{TransmitInterval: time.Second, ReceiveInterval: time.Second, Multiplier: 3, EchoReceive: time.Second, EchoTransmit: time.Second}
		l := loopWith(
			bfd.Target{Name: "near", Peer: peer, Local: one, Params: params},
			bfd.Target{Name: "far", Peer: peer, Local: one, MultiHop: true, MinimumTTL: 250, Params: params})
		near, far := l.byName["near"], l.byName["far"]
		near.index = 7
		r := &receiver{rxKey: rxKey{port: []int{controlPort, multiHopPort, echoPort}[port%3]}, fd: -1}
		c := controlOf(oob)
		a := arrivalOf(r, peer, c)
		if r.port == echoPort {
			l.receiveEcho(r, &unix.SockaddrInet4{Addr: peer.As4()}, a, b)
		} else {
			l.receive(a, b)
		}
		if n := near.counters; n.ControlIn+n.EchoIn > 0 && (c.to != one || c.index != 7 || n.ControlIn > 0 && c.ttl < 255) {
			t.Errorf("near took %+v", c)
		}
		if n := far.counters; n.ControlIn > 0 && (c.to != one || c.ttl < 250) || n.EchoIn > 0 {
			t.Errorf("far took %+v", c)
		}
		for _, e := range []*entry{near, far} {
			if e.session.Status().State == bfd.Up {
				t.Error("one packet made a session Up")
			}
		}
	})
}
