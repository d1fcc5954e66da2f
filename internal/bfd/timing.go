// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package bfd

import "time"

// slow is the fastest that a session which is not Up may send (RFC 5880 6.8.3).
const slow = time.Second

// desiredTx is bfd.DesiredMinTxInterval.
func (s *Session) desiredTx() time.Duration {
	d := max(s.params.TransmitInterval, time.Microsecond)
	if s.state != Up {
		d = max(d, slow)
	}
	return d
}

// requiredRx is bfd.RequiredMinRxInterval. While echo packets watch the path, control packets
// may come slowly (6.8.9).
func (s *Session) requiredRx() time.Duration {
	if s.echo.proven {
		return max(s.params.ReceiveInterval, slow)
	}
	return s.params.ReceiveInterval
}

// retime compares what we want with what the neighbour was told, and starts a poll sequence
// for a difference (6.8.3). A longer transmit interval and a shorter detection time
// wait for the end of the poll while the session is Up: until then the neighbour still counts
// with the old values.
func (s *Session) retime() {
	tx, rx := s.desiredTx(), s.requiredRx()
	changed := tx != s.advTx || rx != s.advRx
	s.advTx, s.advRx = tx, rx
	if changed && s.remote.MyDisc != 0 {
		s.pollAgain = s.polling
		s.polling = true
	}
	wait := s.state == Up && s.polling
	if !wait || tx < s.txInUse {
		s.txInUse = tx
	}
	if !wait || rx > s.rxInUse {
		s.rxInUse = rx
	}
}

// endPoll accepts a final bit. It may answer a packet sent before the last change, in which
// case another poll follows.
func (s *Session) endPoll() {
	if s.pollAgain {
		s.pollAgain = false
		return
	}
	s.polling = false
	s.txInUse, s.rxInUse = s.advTx, s.advRx
}

// interval is the time between our packets before jitter (6.8.2).
func (s *Session) interval() time.Duration {
	return max(s.txInUse, s.remote.RequiredRx)
}

// drawJitter returns the fraction of the interval to wait: 75 to 100 %, and at most 90 % when
// one lost packet is enough for the neighbour to give up (6.8.7).
func (s *Session) drawJitter() float64 {
	if s.params.Multiplier <= 1 {
		return 0.75 + 0.15*s.random()
	}
	return 0.75 + 0.25*s.random()
}

// mayTransmit says whether packets may go out on their own (6.8.7).
func (s *Session) mayTransmit() bool {
	switch {
	case s.params.Passive && s.remote.MyDisc == 0:
		return false
	case s.remote.RequiredRx == 0:
		return false
	case s.remote.Demand && s.state == Up && s.remote.State == Up && !s.polling:
		return false
	}
	return true
}

// schedule computes nextTx from the last transmission, so that a shortened interval takes
// effect at once (6.8.3).
func (s *Session) schedule(now time.Time) {
	if !s.mayTransmit() {
		s.nextTx = time.Time{}
		return
	}
	if s.lastTx.IsZero() {
		s.nextTx = now
		return
	}
	s.nextTx = s.lastTx.Add(time.Duration(float64(s.interval()) * s.jitter))
}

// detectionTime is how long the neighbour may be silent (6.8.4); 0 before its first packet.
func (s *Session) detectionTime() time.Duration {
	return time.Duration(s.remote.Multiplier) * max(s.rxInUse, s.remote.DesiredMinTx)
}

// detectAt is when the silence has lasted too long, zero when the neighbour is unknown.
func (s *Session) detectAt() time.Time {
	if s.remote.MyDisc == 0 || s.lastRx.IsZero() {
		return time.Time{}
	}
	return s.lastRx.Add(s.detectionTime())
}

// echoState is the echo function of one Up period (6.8.8).
type echoState struct {
	nextTx   time.Time // zero: not running
	interval time.Duration
	lastRx   time.Time
	// proven is set by the first echo that comes back. Before, missing echoes prove nothing: many
	// systems announce an echo interval and return no packets.
	proven bool
}

// deadline is when missing echoes mean that the path is broken.
func (e *echoState) deadline(multiplier uint8) time.Time {
	if !e.proven {
		return time.Time{}
	}
	return e.lastRx.Add(time.Duration(max(multiplier, 1)) * e.interval)
}

// tickEcho sends an echo packet when one is due (6.8.9): only while Up, only when the
// neighbour returns them, and not faster than it wants.
func (s *Session) tickEcho(now time.Time, out *Output) {
	if s.params.EchoTransmit == 0 || s.state != Up || s.remote.RequiredEcho == 0 {
		return
	}
	s.echo.interval = max(s.params.EchoTransmit, s.remote.RequiredEcho)
	if s.echo.nextTx.IsZero() || !now.Before(s.echo.nextTx) {
		out.Echo = true
		s.echo.nextTx = now.Add(time.Duration(float64(s.echo.interval) * s.drawJitter()))
	}
}

// ReceiveEcho notes that one of our own echo packets came back.
func (s *Session) ReceiveEcho(now time.Time) {
	if s.echo.nextTx.IsZero() {
		return // late: the function has been switched off since
	}
	s.echo.lastRx = now
	if !s.echo.proven {
		s.echo.proven = true
		s.retime()
		s.schedule(now)
	}
}

func earliest(times ...time.Time) time.Time {
	var first time.Time
	for _, t := range times {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}
