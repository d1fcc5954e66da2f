// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

var epoch = time.Unix(1_000_000, 0)

func at(ms int) time.Time { return epoch.Add(time.Duration(ms) * time.Millisecond) }

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

var fast = Params{TransmitInterval: ms(50), ReceiveInterval: ms(50), Multiplier: 3}

// full draws no jitter away: intervals are exact.
func full() float64 { return 1 }

// hello is a packet of a neighbour with the same parameters that knows our session 1.
func hello(state State) Packet {
	return Packet{State: state, Multiplier: 3, MyDisc: 2, YourDisc: 1, DesiredMinTx: ms(50), RequiredRx: ms(50)}
}

// up returns a session that came up at time 0 and has finished its poll.
func up(t *testing.T, p Params) *Session {
	t.Helper()
	s := New(p, 1, full, at(0))
	s.Receive(hello(Init), at(0))
	final := hello(Up)
	final.Final = true
	s.Receive(final, at(0))
	if st := s.Status(); st.State != Up || s.polling {
		t.Fatalf("session is %+v, polling %v", st, s.polling)
	}
	return s
}

// TestTransitions is the state machine of 6.2 and 6.8.6: every state against every received one.
func TestTransitions(t *testing.T) {
	reach := map[State]func() *Session{
		Down: func() *Session { return New(fast, 1, full, at(0)) },
		Init: func() *Session { s := New(fast, 1, full, at(0)); s.Receive(hello(Down), at(0)); return s },
		Up:   func() *Session { s := New(fast, 1, full, at(0)); s.Receive(hello(Init), at(0)); return s },
		AdminDown: func() *Session {
			s := New(fast, 1, full, at(0))
			s.Disable(at(0))
			return s
		},
	}
	for _, tc := range []struct {
		from, received, to State
		diag               Diagnostic
	}{
		{Down, AdminDown, Down, NoDiagnostic},
		{Down, Down, Init, NoDiagnostic},
		{Down, Init, Up, NoDiagnostic},
		{Down, Up, Down, NoDiagnostic},
		{Init, AdminDown, Down, NeighborSignaledDown},
		{Init, Down, Init, NoDiagnostic},
		{Init, Init, Up, NoDiagnostic},
		{Init, Up, Up, NoDiagnostic},
		{Up, AdminDown, Down, NeighborSignaledDown},
		{Up, Down, Down, NeighborSignaledDown},
		{Up, Init, Up, NoDiagnostic},
		{Up, Up, Up, NoDiagnostic},
		{AdminDown, AdminDown, AdminDown, AdministrativelyDown},
		{AdminDown, Down, AdminDown, AdministrativelyDown},
		{AdminDown, Init, AdminDown, AdministrativelyDown},
		{AdminDown, Up, AdminDown, AdministrativelyDown},
	} {
		s := reach[tc.from]()
		if s.Status().State != tc.from {
			t.Fatalf("cannot reach %s", tc.from)
		}
		out := s.Receive(hello(tc.received), at(1))
		st := s.Status()
		if st.State != tc.to || st.Diagnostic != tc.diag {
			t.Errorf("%s + %s = %s (%s), want %s (%s)", tc.from, tc.received, st.State, st.Diagnostic, tc.to, tc.diag)
		}
		if out.Changed != (tc.from != tc.to) {
			t.Errorf("%s + %s: Changed %v", tc.from, tc.received, out.Changed)
		}
		// 6.8.7: a change is told at once, nothing is sent without one.
		if told := len(out.Packets) == 1 && out.Packets[0].State == tc.to; told != (tc.from != tc.to) {
			t.Errorf("%s + %s sends %+v", tc.from, tc.received, out.Packets)
		}
	}
}

// 6.8.4: detection time is the neighbour's multiplier times the larger of our required and
// its desired interval.
func TestDetectionTime(t *testing.T) {
	for _, tc := range []struct {
		name           string
		ours, theirs   int
		mult           uint8
		wantDetectMS   int
		wantIntervalMS int
	}{
		{"equal", 50, 50, 3, 150, 50},
		{"we want fewer", 200, 50, 3, 600, 50},
		{"they send fewer", 50, 300, 5, 1500, 50},
		{"multiplier 1", 50, 50, 1, 50, 50},
	} {
		p := fast
		p.ReceiveInterval = ms(tc.ours)
		s := New(p, 1, full, at(0))
		in := hello(Init)
		in.DesiredMinTx, in.Multiplier = ms(tc.theirs), tc.mult
		s.Receive(in, at(0))
		in.State, in.Final = Up, true
		s.Receive(in, at(0))
		if got := s.Status().Detect; got != ms(tc.wantDetectMS) {
			t.Errorf("%s: detection time %s, want %d ms", tc.name, got, tc.wantDetectMS)
		}
		before, after := at(tc.wantDetectMS-1), at(tc.wantDetectMS)
		s.Tick(before)
		if st := s.Status(); st.State != Up {
			t.Errorf("%s: %s one millisecond before the detection time", tc.name, st.State)
		}
		out := s.Tick(after)
		st := s.Status()
		if st.State != Down || st.Diagnostic != DetectionTimeExpired || !out.Changed || st.RemoteDisc != 0 || !st.EverUp {
			t.Errorf("%s: after the detection time %+v", tc.name, st)
		}
		if len(out.Packets) == 0 || out.Packets[0].Diagnostic != DetectionTimeExpired || out.Packets[0].YourDisc != 0 {
			t.Errorf("%s: the neighbour is told %+v", tc.name, out.Packets)
		}
	}
}

// 6.8.4 names Init and Up; in Down only the memory of the neighbour goes (6.8.1).
func TestExpiryOutsideUp(t *testing.T) {
	s := New(fast, 1, full, at(0))
	s.Receive(hello(Down), at(0))
	if s.Status().State != Init {
		t.Fatal("not Init")
	}
	s.Tick(at(3000))
	if st := s.Status(); st.State != Down || st.Diagnostic != DetectionTimeExpired || st.EverUp {
		t.Errorf("Init expires to %+v", st)
	}
	s = New(fast, 1, full, at(0))
	s.Receive(hello(Up), at(0)) // Down stays Down, but the neighbour is known
	if s.Status().RemoteDisc != 2 {
		t.Fatal("neighbour unknown")
	}
	out := s.Tick(at(3000))
	if st := s.Status(); st.State != Down || st.RemoteDisc != 0 || out.Changed {
		t.Errorf("Down expires to %+v", st)
	}
}

// 6.8.3: at least one second between packets until Up, then the configured interval, with a
// poll sequence that the neighbour's final bit ends.
func TestSlowUntilUpThenPoll(t *testing.T) {
	s := New(fast, 1, full, at(0))
	out := s.Tick(at(0))
	if len(out.Packets) != 1 || out.Packets[0].DesiredMinTx != time.Second || out.Packets[0].Poll {
		t.Fatalf("first packet %+v", out.Packets)
	}
	if got := s.Next(); got != at(1000) {
		t.Errorf("second packet at %s, want one second later", got.Sub(epoch))
	}
	out = s.Receive(hello(Init), at(100))
	if len(out.Packets) != 1 || !out.Packets[0].Poll || out.Packets[0].DesiredMinTx != ms(50) {
		t.Fatalf("on the way up: %+v", out.Packets)
	}
	if got := s.Next(); got != at(150) {
		t.Errorf("next packet at %s, want 150ms", got.Sub(epoch))
	}
	if p := s.Tick(at(150)).Packets; len(p) != 1 || !p[0].Poll {
		t.Errorf("without final the poll goes on: %+v", p)
	}
	f := hello(Up)
	f.Final = true
	s.Receive(f, at(160))
	if p := s.Tick(at(200)).Packets; len(p) != 1 || p[0].Poll {
		t.Errorf("final ends the poll: %+v", p)
	}
}

// 6.5, 6.8.7: a poll is answered at once by one packet with F and without P.
func TestPollIsAnswered(t *testing.T) {
	s := up(t, fast)
	in := hello(Up)
	in.Poll = true
	out := s.Receive(in, at(10))
	if len(out.Packets) != 1 || !out.Packets[0].Final || out.Packets[0].Poll || out.Changed {
		t.Errorf("answer %+v", out)
	}
	s.Set(Params{TransmitInterval: ms(60), ReceiveInterval: ms(60), Multiplier: 3}, at(11))
	out = s.Receive(in, at(12)) // both poll
	if len(out.Packets) != 1 || !out.Packets[0].Final || out.Packets[0].Poll {
		t.Errorf("answer while polling %+v", out)
	}
}

// 6.8.3: a longer transmit interval waits for the final bit, a shorter one does not.
func TestChangeTransmitInterval(t *testing.T) {
	s := up(t, fast)
	slower, faster := fast, fast
	slower.TransmitInterval, faster.TransmitInterval = ms(200), ms(80)
	s.Set(slower, at(0))
	if got := s.Status().Transmit; got != ms(50) {
		t.Errorf("interval %s before the poll ends, want 50ms", got)
	}
	if p := s.packet(); p.DesiredMinTx != ms(200) || !p.Poll {
		t.Errorf("announced %+v", p)
	}
	f := hello(Up)
	f.Final = true
	s.Receive(f, at(1))
	if got := s.Status().Transmit; got != ms(200) {
		t.Errorf("interval %s after the poll, want 200ms", got)
	}
	s.Set(faster, at(2))
	if got := s.Status().Transmit; got != ms(80) {
		t.Errorf("interval %s, want the shorter 80ms at once", got)
	}
}

// 6.8.3: a shorter required interval must not shorten the detection time before the neighbour
// has agreed, a longer one lengthens it at once.
func TestChangeReceiveInterval(t *testing.T) {
	in := hello(Up)
	in.DesiredMinTx = ms(10)
	s := up(t, fast)
	s.Receive(in, at(0))
	shorter, longer := fast, fast
	shorter.ReceiveInterval, longer.ReceiveInterval = ms(20), ms(100)
	s.Set(shorter, at(0))
	if got := s.Status().Detect; got != ms(150) {
		t.Errorf("detection %s before the poll ends, want 150ms", got)
	}
	in.Final = true
	s.Receive(in, at(1))
	if got := s.Status().Detect; got != ms(60) {
		t.Errorf("detection %s after the poll, want 60ms", got)
	}
	s.Set(longer, at(2))
	if got := s.Status().Detect; got != ms(300) {
		t.Errorf("detection %s, want 300ms at once", got)
	}
}

// 6.8.3: a final bit may answer values that have changed since; another poll follows.
func TestChangeDuringPoll(t *testing.T) {
	s := up(t, fast)
	first, second := fast, fast
	first.TransmitInterval, second.TransmitInterval = ms(100), ms(200)
	s.Set(first, at(0))
	s.Set(second, at(1))
	f := hello(Up)
	f.Final = true
	s.Receive(f, at(2))
	if p := s.packet(); !p.Poll || s.Status().Transmit != ms(50) {
		t.Errorf("one final bit ended two polls: %+v", p)
	}
	s.Receive(f, at(3))
	if p := s.packet(); p.Poll || s.Status().Transmit != ms(200) {
		t.Errorf("second final bit: %+v", p)
	}
}

// 6.8.2, 6.8.7: the interval is never below what the neighbour takes, and 0 means none at all.
func TestNeighborLimitsRate(t *testing.T) {
	s := up(t, fast)
	in := hello(Up)
	in.RequiredRx = ms(400)
	s.Receive(in, at(0))
	if got := s.Status().Transmit; got != ms(400) {
		t.Errorf("interval %s, want the neighbour's 400ms", got)
	}
	in.RequiredRx = 0
	s.Receive(in, at(1))
	if !s.nextTx.IsZero() {
		t.Error("still sends to a neighbour that wants nothing")
	}
	in.Poll = true
	if out := s.Receive(in, at(2)); len(out.Packets) != 1 || !out.Packets[0].Final {
		t.Errorf("a poll of such a neighbour is answered by %+v", out.Packets)
	}
	s.Tick(at(1000)) // silence
	if st := s.Status(); st.State != Down || s.nextTx.IsZero() {
		t.Errorf("after its loss a new neighbour must hear of us: %+v", st)
	}
}

// 6.8.6: a neighbour in demand mode gets no periodic packets while both are Up, but polls go on.
func TestDemandMode(t *testing.T) {
	s := up(t, fast)
	in := hello(Up)
	in.Demand = true
	s.Receive(in, at(0))
	if !s.nextTx.IsZero() {
		t.Error("periodic packets to a neighbour in demand mode")
	}
	changed := fast
	changed.TransmitInterval = ms(70)
	s.Set(changed, at(1))
	if s.nextTx.IsZero() {
		t.Error("a poll sequence must be sent")
	}
	in.Demand, in.Final = false, true
	s.Receive(in, at(2))
	if s.nextTx.IsZero() {
		t.Error("periodic packets must come back with the demand bit")
	}
}

// 6.1, 6.8.7: a passive session sends nothing before it has heard its neighbour, and falls
// silent when the neighbour is gone.
func TestPassive(t *testing.T) {
	p := fast
	p.Passive = true
	s := New(p, 1, full, at(0))
	if !s.Next().IsZero() || len(s.Tick(at(5000)).Packets) != 0 {
		t.Error("a passive session speaks first")
	}
	out := s.Receive(hello(Down), at(6000))
	if len(out.Packets) != 1 || out.Packets[0].State != Init {
		t.Errorf("answer to the first packet: %+v", out.Packets)
	}
	out = s.Tick(at(9000))
	if !out.Changed || len(out.Packets) != 0 || !s.Next().IsZero() {
		t.Errorf("after the neighbour is gone: %+v, next %v", out, s.Next())
	}
}

// 6.8.7: 75 to 100 % of the interval, at most 90 % with multiplier 1.
func TestJitter(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, tc := range []struct {
		mult   uint8
		lo, hi float64
	}{{3, 0.75, 1}, {1, 0.75, 0.90}} {
		p := fast
		p.Multiplier = tc.mult
		s := up(t, p)
		s.random = r.Float64
		var seen []float64
		for range 2000 {
			now := s.nextTx
			s.Receive(hello(Up), now)
			if got := len(s.Tick(now).Packets); got != 1 {
				t.Fatalf("%d packets when one is due", got)
			}
			seen = append(seen, float64(s.nextTx.Sub(now))/float64(ms(50)))
		}
		if lo, hi := slices.Min(seen), slices.Max(seen); lo < tc.lo-1e-6 || hi > tc.hi+1e-6 || hi-lo < (tc.hi-tc.lo)*0.9 {
			t.Errorf("multiplier %d: waits %.3f to %.3f of the interval, want %.2f to %.2f", tc.mult, lo, hi, tc.lo, tc.hi)
		}
	}
}

// 6.8.16: AdminDown is told for a detection time, is deaf, and can be left.
func TestAdminDown(t *testing.T) {
	s := up(t, fast)
	out := s.Disable(at(10))
	if len(out.Packets) != 1 || out.Packets[0].State != AdminDown || out.Packets[0].Diagnostic != AdministrativelyDown || !out.Changed {
		t.Fatalf("Disable sends %+v", out.Packets)
	}
	if s.Quiet(at(20)) || !s.Quiet(at(10_000)) {
		t.Error("Quiet must be false at first and true after the neighbour's detection time")
	}
	if out := s.Receive(hello(Up), at(30)); out.Changed || s.Status().State != AdminDown {
		t.Error("a packet changed AdminDown")
	}
	s.Tick(at(5000))
	if s.Status().State != AdminDown || !s.Quiet(at(5000)) {
		t.Error("expiry changed AdminDown")
	}
	if out := s.Disable(at(5001)); out.Changed {
		t.Error("second Disable changes something")
	}
	if out := s.Enable(at(6000)); !out.Changed || s.Status().State != Down {
		t.Error("Enable must go to Down")
	}
	if out := s.Enable(at(6001)); out.Changed {
		t.Error("second Enable changes something")
	}
}

// A neighbour that said AdminDown and then falls silent has still not failed (RFC 5882 3.2).
func TestSilenceAfterRemoteAdminDown(t *testing.T) {
	s := up(t, fast)
	s.Receive(hello(AdminDown), at(10))
	s.Tick(at(5000))
	if st := s.Status(); st.State != Down || st.Remote != AdminDown || st.RemoteDisc != 0 {
		t.Errorf("%+v", st)
	}
	s.Receive(hello(Down), at(6000))
	if st := s.Status(); st.Remote != Down || st.State != Init {
		t.Errorf("back: %+v", st)
	}
}

// 6.8.8, 6.8.9: echo runs only while Up and wanted by both, never faster than the neighbour takes;
// its loss brings the session down with its own diagnostic, once echoes were seen to return.
func TestEcho(t *testing.T) {
	p := fast
	p.EchoTransmit = ms(20)
	s := up(t, p)
	if s.Tick(at(1)).Echo {
		t.Error("echo to a neighbour that returns none")
	}
	in := hello(Up)
	in.RequiredEcho = ms(30)
	s.Receive(in, at(2))
	if !s.Tick(at(2)).Echo || s.Tick(at(31)).Echo || !s.Tick(at(32)).Echo {
		t.Error("echo packets must go every 30ms, as the neighbour wants")
	}
	for now := 40; now < 400; now += 10 {
		s.Receive(in, at(now))
		s.Tick(at(now))
	}
	if st := s.Status(); st.State != Up || st.EchoRunning {
		t.Errorf("echoes that never came back prove nothing: %+v", st)
	}
	s.ReceiveEcho(at(400))
	if st := s.Status(); !st.EchoRunning || s.packet().RequiredRx != time.Second {
		t.Errorf("echo proven: %+v, control may come every %s", st, s.packet().RequiredRx)
	}
	s.Receive(in, at(480))
	s.Tick(at(489))
	if s.Status().State != Up {
		t.Error("down before three echo intervals")
	}
	out := s.Tick(at(490))
	if st := s.Status(); st.State != Down || st.Diagnostic != EchoFailed || !out.Changed {
		t.Errorf("echo lost: %+v", st)
	}
	s.ReceiveEcho(at(491))
	if s.Status().EchoRunning {
		t.Error("a late echo restarts the function")
	}
}

func TestEchoStops(t *testing.T) {
	p := fast
	p.EchoTransmit, p.EchoReceive = ms(20), ms(25)
	s := up(t, p)
	in := hello(Up)
	in.RequiredEcho = ms(20)
	start := func() {
		s.Receive(in, at(0))
		s.Tick(at(0))
		s.ReceiveEcho(at(1))
	}
	start()
	if s.packet().RequiredEcho != ms(25) {
		t.Error("our own echo interval is not announced")
	}
	none := in
	none.RequiredEcho = 0 // 6.8.6: cease
	s.Receive(none, at(2))
	if s.Tick(at(100)).Echo || s.Status().EchoRunning {
		t.Error("echo goes on after the neighbour stopped returning it")
	}
	start()
	s.Set(fast, at(3))
	if s.Tick(at(50)).Echo || s.Status().EchoRunning {
		t.Error("echo goes on after it was switched off")
	}
}
