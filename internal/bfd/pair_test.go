// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"math/rand/v2"
	"testing"
	"time"
)

// wirePair is two sessions on a simulated link in virtual time.
type wirePair struct {
	s     [2]*Session
	now   time.Time
	delay time.Duration
	queue []flight
	lose  func(from int) bool
	downs int
}

type flight struct {
	at time.Time
	to int
	p  Packet
}

func newPair(seed uint64, a, b Params, delay time.Duration) *wirePair {
	r := rand.New(rand.NewPCG(seed, 7))
	w := &wirePair{now: epoch, delay: delay, lose: func(int) bool { return false }}
	w.s[0], w.s[1] = New(a, 1, r.Float64, epoch), New(b, 2, r.Float64, epoch)
	return w
}

func (w *wirePair) send(from int, out Output) {
	if out.Changed && w.s[from].Status().State == Down {
		w.downs++
	}
	for _, p := range out.Packets {
		q, err := Parse(p.Append(nil))
		if err != nil {
			panic(err) // a packet of ours that we would not accept
		}
		if !w.lose(from) {
			w.queue = append(w.queue, flight{w.now.Add(w.delay), 1 - from, q})
		}
	}
}

// run lets virtual time pass.
func (w *wirePair) run(d time.Duration) {
	end := w.now.Add(d)
	for {
		next := earliest(w.s[0].Next(), w.s[1].Next())
		for _, f := range w.queue {
			next = earliest(next, f.at)
		}
		if next.IsZero() || next.After(end) {
			w.now = end
			return
		}
		if next.After(w.now) {
			w.now = next
		}
		var due []flight
		rest := w.queue[:0:0]
		for _, f := range w.queue {
			if f.at.After(w.now) {
				rest = append(rest, f)
			} else {
				due = append(due, f)
			}
		}
		w.queue = rest
		for _, f := range due {
			if f.p.YourDisc == 0 || f.p.YourDisc == w.s[f.to].disc {
				w.send(f.to, w.s[f.to].Receive(f.p, w.now))
			}
		}
		for i, s := range w.s {
			w.send(i, s.Tick(w.now))
		}
	}
}

func (w *wirePair) states() [2]State {
	return [2]State{w.s[0].Status().State, w.s[1].Status().State}
}

func TestTwoSessionsComeUpDetectAndReturn(t *testing.T) {
	slow := Params{TransmitInterval: ms(300), ReceiveInterval: ms(300), Multiplier: 5}
	passive := fast
	passive.Passive = true
	for _, tc := range []struct {
		name   string
		a, b   Params
		detect time.Duration // of session 0
	}{
		{"equal", fast, fast, ms(150)},
		{"different", fast, slow, ms(1500)},
		{"one passive", fast, passive, ms(150)},
	} {
		for seed := range uint64(20) {
			w := newPair(seed, tc.a, tc.b, ms(3))
			w.run(3 * time.Second)
			if w.states() != [2]State{Up, Up} || w.downs != 0 {
				t.Fatalf("%s, seed %d: %v with %d downs after 3 s", tc.name, seed, w.states(), w.downs)
			}
			if got := w.s[0].Status().Detect; got != tc.detect {
				t.Fatalf("%s: negotiated detection %s, want %s", tc.name, got, tc.detect)
			}
			cut := w.now
			w.lose = func(int) bool { return true }
			w.run(5 * time.Second)
			if w.states() != [2]State{Down, Down} {
				t.Fatalf("%s, seed %d: %v after the cut", tc.name, seed, w.states())
			}
			if took := w.s[0].Status().Since.Sub(cut); took > tc.detect+ms(3) {
				t.Errorf("%s, seed %d: detected after %s, want at most %s", tc.name, seed, took, tc.detect)
			}
			w.lose = func(int) bool { return false }
			w.run(4 * time.Second)
			if w.states() != [2]State{Up, Up} {
				t.Fatalf("%s, seed %d: %v after the link came back", tc.name, seed, w.states())
			}
		}
	}
}

func TestNoFalseAlarmInAnHour(t *testing.T) {
	w := newPair(4, fast, fast, ms(1))
	w.run(time.Hour)
	if w.states() != [2]State{Up, Up} || w.downs != 0 {
		t.Errorf("%v with %d downs", w.states(), w.downs)
	}
}

// A path that works in one direction only must go down on both ends.
func TestOneWayLoss(t *testing.T) {
	w := newPair(5, fast, fast, ms(1))
	w.run(3 * time.Second)
	w.lose = func(from int) bool { return from == 0 }
	w.run(time.Second)
	if st := w.s[0].Status(); w.states()[1] == Up || st.State == Up {
		t.Errorf("%v on a path that works in one direction", w.states())
	}
}

// Random loss, parameter changes and administrative downs never stop two sessions from
// finding each other again, and never make a session panic or send an unacceptable packet.
func TestRandomEventsConverge(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 11))
		w := newPair(seed, fast, fast, ms(r.IntN(20)))
		w.lose = func(int) bool { return r.IntN(3) == 0 }
		for range 40 {
			s := w.s[r.IntN(2)]
			switch r.IntN(5) {
			case 0:
				w.send(int(s.disc)-1, s.Disable(w.now))
			case 1:
				w.send(int(s.disc)-1, s.Enable(w.now))
			case 2:
				s.Set(Params{TransmitInterval: ms(10 + r.IntN(300)), ReceiveInterval: ms(10 + r.IntN(300)),
					Multiplier: uint8(1 + r.IntN(5)), EchoTransmit: ms(r.IntN(2) * 50), EchoReceive: ms(r.IntN(2) * 50)}, w.now)
			}
			w.run(ms(r.IntN(500)))
		}
		w.lose = func(int) bool { return false }
		for i, s := range w.s {
			w.send(i, s.Enable(w.now))
			s.Set(fast, w.now)
		}
		w.run(10 * time.Second)
		if w.states() != [2]State{Up, Up} || w.s[0].Status().Detect != ms(150) {
			t.Fatalf("seed %d: %v, detection %s", seed, w.states(), w.s[0].Status().Detect)
		}
	}
}
