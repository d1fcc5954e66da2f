// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"encoding/hex"
	"math/rand/v2"
	"testing"
	"time"
)

// script drives a session with bytes: each step is a letter and what it needs.
type script struct {
	t   *testing.T
	s   *Session
	now time.Time
	b   []byte
}

func (c *script) next() byte {
	if len(c.b) == 0 {
		return 0
	}
	v := c.b[0]
	c.b = c.b[1:]
	return v
}

func (c *script) duration() time.Duration { return ms(int(c.next())) }

func (c *script) run() {
	for len(c.b) > 0 {
		switch c.next() {
		case 'p': // a packet from anywhere
			n := min(PacketLen, len(c.b))
			p, err := Parse(c.b[:n])
			c.b = c.b[n:]
			if err == nil {
				c.check(c.s.Receive(p, c.now))
			}
		case 'w': // time passes, and Tick is called whenever it is due
			c.wait(c.duration())
		case 'W':
			c.wait(time.Duration(c.next()) * 100 * time.Millisecond)
		case 't': // Tick is called although nothing is due
			c.check(c.s.Tick(c.now))
		case 'd':
			c.check(c.s.Disable(c.now))
		case 'e':
			c.check(c.s.Enable(c.now))
		case 's':
			c.s.Set(Params{
				TransmitInterval: ms(1) + c.duration(), ReceiveInterval: c.duration(), Multiplier: c.next(),
				Passive: c.next()%2 == 1, EchoReceive: c.duration(), EchoTransmit: c.duration(),
			}, c.now)
		case 'r':
			c.s.ReceiveEcho(c.now)
		}
		_ = c.s.Quiet(c.now)
	}
}

// wait lets time pass. A deadline that Tick does not move would keep the thread busy for ever.
func (c *script) wait(d time.Duration) {
	end := c.now.Add(d)
	for range 1000 { // more than a few echo intervals of 1 µs are not worth the time
		next := c.s.Next()
		if next.IsZero() || next.After(end) {
			break
		}
		if next.After(c.now) {
			c.now = next
		}
		c.check(c.s.Tick(c.now))
		if n := c.s.Next(); !n.IsZero() && !n.After(c.now) {
			c.t.Fatalf("still due after Tick: %+v", c.s.Status())
		}
	}
	if end.After(c.now) {
		c.now = end
	}
}

// check fails on a packet that no neighbour would accept.
func (c *script) check(out Output) {
	for _, p := range out.Packets {
		if _, err := Parse(p.Append(nil)); err != nil {
			c.t.Fatalf("sent %+v: %v", p, err)
		}
		if p.Poll && p.Final {
			c.t.Fatalf("sent %+v with both bits (RFC 5880 6.5)", p)
		}
	}
}

// FuzzSession gives a session packets, times and orders in any sequence. It never panics, never
// hangs, sends nothing unacceptable, and comes up with a sound neighbour afterwards.
func FuzzSession(f *testing.F) {
	packet, _ := hex.DecodeString(wire)
	down := Packet{State: Down, Multiplier: 3, MyDisc: 7, DesiredMinTx: time.Second, RequiredRx: time.Second, RequiredEcho: ms(50)}
	to := func(s State, edit func(*Packet)) string {
		p := down
		p.State, p.YourDisc = s, 1
		if edit != nil {
			edit(&p)
		}
		return "p" + string(p.Append(nil))
	}
	up := "p" + string(down.Append(nil)) + "W\x0a" + to(Up, nil)
	for _, seed := range []string{
		"p" + string(packet), up, up + "W\x64", up + "d" + "W\x64" + "e", up + to(Up, func(p *Packet) { p.Poll = true }),
		up + "s\x14\x14\x02\x00\x32\x32" + "w\x32r" + "W\x05" + to(Up, func(p *Packet) { p.Final = true }),
		up + to(Up, func(p *Packet) { p.Demand = true }) + "W\x64",
		up + to(AdminDown, nil) + "W\x64" + up,
		up + to(Up, func(p *Packet) { p.RequiredRx = 0 }) + "W\x64",
		up + to(Up, func(p *Packet) {
			p.RequiredRx, p.DesiredMinTx, p.Multiplier = 1<<32*time.Microsecond, 1<<32*time.Microsecond, 255
		}),
		"s\x00\x00\x00\x01\x00\x00" + to(Init, func(p *Packet) { p.DesiredMinTx, p.RequiredRx = 0, 0 }) + "w\xff",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		w := newPair(1, fast, fast, ms(3))
		c := &script{t: t, s: w.s[0], now: w.now, b: b}
		c.run()
		w.now = c.now
		w.s[1] = New(fast, 2, rand.New(rand.NewPCG(2, 7)).Float64, w.now)
		w.send(0, c.s.Enable(w.now))
		c.s.Set(fast, w.now)
		w.run(10 * time.Second)
		if w.states() != [2]State{Up, Up} || w.s[0].Status().Detect != ms(150) {
			t.Fatalf("%v, detection %s", w.states(), w.s[0].Status().Detect)
		}
	})
}
