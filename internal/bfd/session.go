// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package bfd

import "time"

// Params are what the operator chooses for a session.
type Params struct {
	TransmitInterval time.Duration // desired minimum between our packets, at least 1 µs
	ReceiveInterval  time.Duration // required minimum between the peer's packets
	Multiplier       uint8         // missed packets until the peer declares us down, at least 1
	Passive          bool          // send nothing before the peer has
	// EchoReceive is the shortest interval at which we return the peer's echo packets, 0
	// when we return none.
	EchoReceive time.Duration
	// EchoTransmit is the interval of our own echo packets, 0 for none.
	EchoTransmit time.Duration
}

// Output is what the host must do after a call.
type Output struct {
	Packets []Packet // send these control packets now, in this order
	Echo    bool     // send an echo packet now
	Changed bool     // the local state is another one than before
}

// Session is the state of RFC 5880 6.8.1 for one neighbour. It is not safe for concurrent
// use. Times given to it must not run backwards.
type Session struct {
	params Params
	disc   uint32
	random func() float64 // 0 <= x < 1, for the jitter

	state  State
	diag   Diagnostic
	since  time.Time
	everUp bool
	remote Packet // the last accepted packet; MyDisc 0 when the neighbour is unknown

	txInUse, rxInUse time.Duration // what 6.8.3 lets us calculate with until a poll ends
	advTx, advRx     time.Duration // what the last change told the neighbour
	polling          bool
	pollAgain        bool // values changed during a poll, whose final bit may answer the old ones

	lastTx, nextTx time.Time // nextTx zero: no periodic transmission
	jitter         float64   // of the running interval, so that a changed interval keeps its draw
	lastRx         time.Time
	echo           echoState
}

// New returns a session in state Down (RFC 5880 6.8.1). The discriminator must be unique
// on this host and not 0; random returns numbers in [0,1).
func New(p Params, disc uint32, random func() float64, now time.Time) *Session {
	s := &Session{params: p, disc: disc, random: random, state: Down, since: now, jitter: 1}
	s.remote = unknownRemote()
	s.advTx, s.advRx = s.desiredTx(), s.requiredRx()
	s.txInUse, s.rxInUse = s.advTx, s.advRx
	s.schedule(now)
	return s
}

// unknownRemote are the initial values of 6.8.1: the neighbour is down and takes any rate.
func unknownRemote() Packet { return Packet{State: Down, RequiredRx: time.Microsecond} }

// Status is what users and metrics see of a session.
type Status struct {
	State       State
	Remote      State
	Diagnostic  Diagnostic // why the local state left Up
	Since       time.Time  // when the local state was entered
	EverUp      bool
	RemoteDisc  uint32        // 0: nothing heard within a detection time
	Transmit    time.Duration // interval of our packets before jitter
	Detect      time.Duration // silence after which the neighbour counts as down
	EchoRunning bool          // echo packets come back and watch the path
}

// Status returns the present state.
func (s *Session) Status() Status {
	return Status{
		State: s.state, Remote: s.remote.State, Diagnostic: s.diag, Since: s.since, EverUp: s.everUp,
		RemoteDisc: s.remote.MyDisc, Transmit: s.interval(), Detect: s.detectionTime(),
		EchoRunning: s.echo.proven,
	}
}

// Receive takes a packet that Parse accepted and that belongs to this session.
// RFC 5880 6.8.6, in its order.
func (s *Session) Receive(p Packet, now time.Time) Output {
	var out Output
	s.remote = p
	if p.RequiredEcho == 0 {
		s.echo = echoState{}
	}
	if s.polling && p.Final {
		s.endPoll()
	}
	s.lastRx = now
	if s.state == AdminDown {
		s.schedule(now)
		return out
	}
	next, diag := s.state, s.diag
	switch {
	case p.State == AdminDown:
		if s.state != Down {
			next, diag = Down, NeighborSignaledDown
		}
	case s.state == Down && p.State == Down:
		next = Init
	case s.state == Down && p.State == Init, s.state == Init && p.State >= Init:
		next = Up
	case s.state == Up && p.State == Down:
		next, diag = Down, NeighborSignaledDown
	}
	s.enter(next, diag, now, &out)
	if p.Poll {
		// The answer must not wait for the transmission timer (6.8.7); it carries F, so never P.
		f := s.packet()
		f.Poll, f.Final = false, true
		out.Packets = append(out.Packets, f)
	}
	s.schedule(now)
	return out
}

// Tick does what is due: periodic packets, echo packets and expiry. Call it at Next.
func (s *Session) Tick(now time.Time) Output {
	var out Output
	if d := s.detectAt(); !d.IsZero() && !now.Before(d) {
		s.expire(DetectionTimeExpired, now, &out)
	} else if d := s.echo.deadline(s.params.Multiplier); !d.IsZero() && !now.Before(d) {
		s.enter(Down, EchoFailed, now, &out)
	}
	s.schedule(now)
	if !s.nextTx.IsZero() && !now.Before(s.nextTx) {
		s.transmit(now, &out)
	}
	s.tickEcho(now, &out)
	s.schedule(now)
	return out
}

// expire handles a detection time without a packet (6.8.4). What the neighbour said is
// forgotten in every state (6.8.1): a passive session falls silent again, and a neighbour that
// wanted no packets hears of its replacement.
func (s *Session) expire(d Diagnostic, now time.Time, out *Output) {
	last := s.remote.State
	s.remote = unknownRemote()
	if last == AdminDown {
		s.remote.State = AdminDown // its silence is the end of what it announced, no failure
	}
	if s.state == Init || s.state == Up {
		s.enter(Down, d, now, out)
	}
}

// Next returns when Tick has something to do; the zero time means never.
func (s *Session) Next() time.Time {
	return earliest(s.nextTx, s.detectAt(), s.echo.nextTx, s.echo.deadline(s.params.Multiplier))
}

// Set changes the parameters of a running session without leaving its state (6.8.3).
func (s *Session) Set(p Params, now time.Time) {
	s.params = p
	if p.EchoTransmit == 0 {
		s.echo = echoState{}
	}
	s.retime()
	s.schedule(now)
}

// Disable takes the session down administratively (6.8.16). Packets that say so go out for
// a detection time; Quiet tells when that is over.
func (s *Session) Disable(now time.Time) Output {
	var out Output
	s.enter(AdminDown, AdministrativelyDown, now, &out)
	s.schedule(now)
	return out
}

// Enable leaves AdminDown.
func (s *Session) Enable(now time.Time) Output {
	var out Output
	if s.state == AdminDown {
		s.enter(Down, NoDiagnostic, now, &out)
		s.schedule(now)
	}
	return out
}

// Quiet says whether a disabled session has told its neighbour for long enough (6.8.16).
func (s *Session) Quiet(now time.Time) bool {
	return s.state == AdminDown && (s.remote.MyDisc == 0 || !now.Before(s.since.Add(s.neighborDetection())))
}

// neighborDetection is how long the neighbour waits for our packets.
func (s *Session) neighborDetection() time.Duration {
	return time.Duration(max(s.params.Multiplier, 1)) * s.interval()
}

// enter changes the state, restarts what depends on it and tells the neighbour at once.
func (s *Session) enter(next State, diag Diagnostic, now time.Time, out *Output) {
	if next == s.state {
		return
	}
	s.state, s.diag, s.since = next, diag, now
	if next == Up {
		s.diag, s.everUp = NoDiagnostic, true
	}
	s.echo = echoState{}
	s.retime()
	out.Changed = true
	if s.mayTransmit() {
		s.transmit(now, out)
	}
}

// transmit appends a periodic packet and draws the jitter of the interval that follows.
func (s *Session) transmit(now time.Time, out *Output) {
	out.Packets = append(out.Packets, s.packet())
	s.lastTx = now
	s.jitter = s.drawJitter()
}

// packet fills in a control packet (6.8.7).
func (s *Session) packet() Packet {
	return Packet{
		Diagnostic: s.diag, State: s.state, Poll: s.polling, Multiplier: max(s.params.Multiplier, 1),
		MyDisc: s.disc, YourDisc: s.remote.MyDisc,
		DesiredMinTx: s.advTx, RequiredRx: s.advRx, RequiredEcho: s.params.EchoReceive,
	}
}
