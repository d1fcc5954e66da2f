// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"net/netip"
	"slices"
	"time"

	"github.com/clarion-lb/clarion/internal/l2"
	"github.com/clarion-lb/clarion/internal/lb"
	"github.com/clarion-lb/clarion/internal/plan"
)

// wire is the layer 2 of a speaker: the real machine on a made-up segment, and what the speaker
// does with what the machine sees.
type wire struct {
	s       *speaker
	machine *l2.Machine
	// confirmed is when there was evidence last that this node may answer, 0 if it was doubted since.
	confirmed  time.Duration
	confirming bool          // it will be soon
	armed      time.Duration // when the machine is woken, 0 for never
	waiting    []l2.Query    // in the sockets of a process that is stopped
	noted      []netip.Addr  // answered for, as booked last

	hardware, known bitmap // nodes whose hardware address was heard, and the machine was told
	yielded         []netip.Addr
	kept            plan.Kept
	insisted        map[netip.Addr]time.Time
}

// confirmPeriod is how often the speaker confirms that it may answer.
const confirmPeriod = 25 * time.Millisecond

// fresh is the least time in which others can find a node gone that stands still, if nothing of
// what it said before was lost.
func (c config) fresh() time.Duration {
	if c.watch {
		return guardSilence - guardInterval
	}
	return c.deadAfter() - c.interval
}

func newWire(s *speaker) wire {
	m, err := l2.New(l2.Config{Seed: uint64(s.id), Fresh: s.w.cfg.fresh(), Verify: true})
	if err != nil {
		s.w.fatalf("make machine: %v", err)
	}
	m.SetLinks([]lb.Link{{Index: 1, Name: "eth0", HardwareAddr: mac(s.id), Carrier: true, Broadcast: true, ARP: true,
		Prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")}}}, s.w.clock())
	return wire{s: s, machine: m, insisted: map[netip.Addr]time.Time{}}
}

func mac(id int) l2.MAC { return l2.MAC{2, 0, 0, 0, byte(id >> 8), byte(id)} }

// client is a host that asks and has nothing itself.
func client() l2.MAC { return l2.MAC{2, 9, 9, 9, 9, 9} }

func question(addr netip.Addr) l2.Query {
	return l2.Query{
		Kind: l2.ARPRequest, Link: 1, EthSrc: client(), EthDst: l2.BroadcastMAC(),
		Sender: netip.MustParseAddr("10.0.255.1"), SenderMAC: client(), Target: addr,
	}
}

// ask lets the client ask everybody who has an address.
func (w *world) ask(addr netip.Addr) {
	for _, s := range w.speakers {
		s.wire.arrive(question(addr))
	}
}

// mayAnswer is what the speaker's wire asks before each frame.
func (s *speaker) mayAnswer() bool {
	return (s.joined || s.w.now-s.started >= s.w.cfg.grace) && s.fences == s.planned
}

// gate tells the machine that this node may not answer; that it may is confirmed every moment.
func (x *wire) gate() {
	switch {
	case !x.s.mayAnswer():
		x.confirmed = 0
		x.machine.Doubt(x.s.w.clock())
	case x.confirmed != 0 && x.s.w.now-x.confirmed >= confirmPeriod:
		x.confirm()
	case x.confirmed == 0 && !x.confirming:
		x.confirming = true
		x.s.later(x.s.w.upTo(confirmPeriod), func() {
			x := &x.s.wire
			x.confirming = false
			if x.confirm(); x.confirmed != 0 {
				x.book()
			}
		})
	}
}

func (x *wire) confirm() {
	if w := x.s.w; x.s.mayAnswer() {
		x.confirmed = w.now
		x.perform(x.machine.Confirm(w.clock(), w.clock()))
	}
}

// do lets the machine do one step.
func (x *wire) do(step func(now time.Time) []l2.Action) {
	x.gate()
	x.perform(step(x.s.w.clock()))
}

// perform carries out what the machine says, and wakes it when it has more to do.
func (x *wire) perform(actions []l2.Action) {
	s := x.s
	news := false
	for i := range actions {
		switch a := &actions[i]; a.Op {
		case l2.SendARP:
			x.send(a)
		case l2.Conflict, l2.Free:
			news = true
		}
	}
	if news {
		s.later(0, s.kick)
	}
	at, due := x.machine.Deadline()
	if !due {
		return
	}
	wake := max(at.Sub(s.w.clock()), time.Millisecond)
	if x.armed != 0 && x.armed <= s.w.now+wake {
		return
	}
	x.armed = s.w.now + wake
	mine := x.armed
	s.later(wake, func() {
		if x := &s.wire; x.armed == mine {
			x.armed = 0
			x.do(x.machine.Tick)
			if len(x.yielded) > 0 {
				x.book() // nobody may have objected
			}
		}
	})
}

// send puts a frame on the segment, where it reaches all at the same moment.
func (x *wire) send(a *l2.Action) {
	w, from := x.s.w, x.s.id
	q := l2.Query{Kind: l2.ARPReply, Link: 1, EthSrc: a.MAC, EthDst: a.DstMAC, Sender: a.Addr, SenderMAC: a.MAC, Target: a.Dst}
	if a.Request {
		q.Kind = l2.ARPRequest
	}
	w.after(w.upTo(w.wire.delay), func() {
		for to, peer := range w.speakers {
			if to != from && !w.wire.cut[[2]int{from, to}] && (q.EthDst.Multicast() || q.EthDst == mac(to)) {
				peer.wire.arrive(q)
			}
		}
	})
}

// arrive takes a frame, which waits in the socket while the process is stopped.
func (x *wire) arrive(q l2.Query) {
	switch s := x.s; {
	case s == nil || !s.up: // never started, or gone
	case s.frozen:
		x.waiting = append(x.waiting, q)
	default:
		x.do(func(now time.Time) []l2.Action { return x.machine.Handle(q, now) })
	}
}

// freeze leaves the machine with the evidence of the last time the process ran, and lets the
// client ask for all that is announced here while it stands still.
func (x *wire) freeze(d time.Duration) {
	w := x.s.w
	if x.confirmed != 0 {
		x.perform(x.machine.Confirm(w.clock().Add(-w.upTo(confirmPeriod)), w.clock()))
	}
	for _, a := range x.noted {
		w.after(w.upTo(d), func() { w.ask(a) })
	}
}

// thaw lets the machine judge some of the frames that waited before anybody has noticed that
// the process stood still, and the rest as soon as somebody has. After a standstill in which
// others can have taken over, none of them is answered.
func (x *wire) thaw(stood time.Duration) {
	w := x.s.w
	waiting := x.waiting
	x.waiting = nil
	unnoticed := int(w.upTo(time.Duration(len(waiting))))
	for _, q := range waiting[:unnoticed] {
		actions := x.machine.Handle(q, w.clock())
		asked := q == question(q.Target)
		replies := slices.ContainsFunc(actions, func(a l2.Action) bool { return a.Op == l2.SendARP })
		switch long := stood > w.cfg.fresh(); {
		case long && replies:
			w.fatalf("node %d stood still for %s and answers %+v", x.s.id, stood, q)
		case long && asked:
			w.ignored++
		case asked && replies:
			w.late++
		}
		x.perform(actions)
	}
	x.s.later(0, func() {
		for _, q := range waiting[unnoticed:] {
			x.arrive(q)
		}
	})
}

// replies asks this node who has an address.
func (s *speaker) replies(addr netip.Addr) bool {
	if !s.up || s.frozen {
		return false
	}
	s.wire.gate()
	return slices.ContainsFunc(s.wire.machine.Handle(question(addr), s.w.clock()), func(a l2.Action) bool {
		return a.Op == l2.SendARP && a.Addr == addr && a.DstMAC == client()
	})
}

// set does with a plan what the speaker does.
func (x *wire) set(prev, next plan.Desired) {
	x.settle()
	if moved := plan.Handovers(prev, next); len(moved) > 0 {
		x.do(func(now time.Time) []l2.Action { return x.machine.Release(moved, now) })
	}
	x.do(func(now time.Time) []l2.Action { return x.machine.Set(next.L2, now) })
}

// book tells the world for what this node answers now.
func (x *wire) book() {
	s := x.s
	var now []netip.Addr
	if x.gate(); s.up && !s.frozen && x.confirmed != 0 {
		for _, a := range x.machine.Announced() {
			if !a.Leaving && !a.Probing {
				now = append(now, a.Addr)
			}
		}
	}
	before := x.noted
	x.noted = now
	s.w.noteAnswers(s.id, without(now, before), without(before, now))
}

func without(a, b []netip.Addr) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(a), func(x netip.Addr) bool {
		_, found := slices.BinarySearchFunc(b, x, netip.Addr.Compare)
		return found
	})
}
