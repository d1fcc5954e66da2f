// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// State is a session state as it goes over the wire (RFC 5880 4.1).
type State uint8

// The states of a session.
const (
	AdminDown State = iota
	Down
	Init
	Up
)

// String returns the name that RFC 5880 uses.
func (s State) String() string {
	return [...]string{"AdminDown", "Down", "Init", "Up"}[s&3]
}

// Diagnostic is why the session last left the Up state (RFC 5880 4.1).
type Diagnostic uint8

// The diagnostics that this implementation sends.
const (
	NoDiagnostic          Diagnostic = 0
	DetectionTimeExpired  Diagnostic = 1
	EchoFailed            Diagnostic = 2
	NeighborSignaledDown  Diagnostic = 3
	AdministrativelyDown  Diagnostic = 7
	maxDiagnostic         Diagnostic = 31
	lastNamedDiagnostic   Diagnostic = 8
	unassignedDiagnostics            = "unassigned"
)

// String returns the words of RFC 5880 4.1 in short.
func (d Diagnostic) String() string {
	if d > lastNamedDiagnostic {
		return unassignedDiagnostics
	}
	return [...]string{
		"none", "detection time expired", "echo failed", "neighbor signaled down",
		"forwarding plane reset", "path down", "concatenated path down",
		"administratively down", "reverse concatenated path down",
	}[d]
}

// Packet is a BFD control packet without authentication section. Intervals are whole
// microseconds on the wire.
type Packet struct {
	Diagnostic   Diagnostic
	State        State
	Poll, Final  bool
	Independent  bool // C: BFD does not share the fate of the control plane
	Demand       bool
	Multiplier   uint8
	MyDisc       uint32
	YourDisc     uint32
	DesiredMinTx time.Duration
	RequiredRx   time.Duration
	RequiredEcho time.Duration // 0: echo packets are not returned
}

// PacketLen is the length of a control packet without authentication section.
const PacketLen = 24

const version = 1

// Reasons for which a packet is dropped before any session sees it (RFC 5880 6.8.6).
var (
	ErrShort         = errors.New("shorter than a control packet")
	ErrVersion       = errors.New("unknown version")
	ErrLength        = errors.New("length field disagrees with the packet")
	ErrMultiplier    = errors.New("detect multiplier is 0")
	ErrMultipoint    = errors.New("multipoint bit is set")
	ErrDiscriminator = errors.New("my discriminator is 0")
	ErrUnbound       = errors.New("your discriminator is 0 in a session that is not down")
	ErrAuth          = errors.New("authenticated, but no authentication is configured")
)

// Parse reads a control packet and makes the checks of RFC 5880 6.8.6 that need no session.
// Bytes beyond the length field are ignored.
func Parse(b []byte) (Packet, error) {
	switch {
	case len(b) < PacketLen:
		return Packet{}, fmt.Errorf("parse %d bytes: %w", len(b), ErrShort)
	case b[0]>>5 != version:
		return Packet{}, fmt.Errorf("parse version %d: %w", b[0]>>5, ErrVersion)
	case int(b[3]) < PacketLen || int(b[3]) > len(b):
		return Packet{}, fmt.Errorf("parse length %d of %d bytes: %w", b[3], len(b), ErrLength)
	case b[1]&0x04 != 0:
		return Packet{}, fmt.Errorf("parse packet: %w", ErrAuth)
	case b[2] == 0:
		return Packet{}, fmt.Errorf("parse packet: %w", ErrMultiplier)
	case b[1]&0x01 != 0:
		return Packet{}, fmt.Errorf("parse packet: %w", ErrMultipoint)
	}
	p := Packet{
		Diagnostic:   Diagnostic(b[0] & 0x1f),
		State:        State(b[1] >> 6),
		Poll:         b[1]&0x20 != 0,
		Final:        b[1]&0x10 != 0,
		Independent:  b[1]&0x08 != 0,
		Demand:       b[1]&0x02 != 0,
		Multiplier:   b[2],
		MyDisc:       binary.BigEndian.Uint32(b[4:]),
		YourDisc:     binary.BigEndian.Uint32(b[8:]),
		DesiredMinTx: micros(b[12:]),
		RequiredRx:   micros(b[16:]),
		RequiredEcho: micros(b[20:]),
	}
	if p.MyDisc == 0 {
		return Packet{}, fmt.Errorf("parse packet: %w", ErrDiscriminator)
	}
	if p.YourDisc == 0 && p.State > Down {
		return Packet{}, fmt.Errorf("parse packet in state %s: %w", p.State, ErrUnbound)
	}
	return p, nil
}

// Append appends the wire form of the packet.
func (p Packet) Append(b []byte) []byte {
	flags := byte(p.State) << 6
	for _, f := range []struct {
		set bool
		bit byte
	}{{p.Poll, 0x20}, {p.Final, 0x10}, {p.Independent, 0x08}, {p.Demand, 0x02}} {
		if f.set {
			flags |= f.bit
		}
	}
	b = append(b, version<<5|byte(p.Diagnostic&maxDiagnostic), flags, p.Multiplier, PacketLen)
	for _, v := range []uint32{
		p.MyDisc, p.YourDisc, toMicros(p.DesiredMinTx), toMicros(p.RequiredRx), toMicros(p.RequiredEcho),
	} {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return b
}

func micros(b []byte) time.Duration {
	return time.Duration(binary.BigEndian.Uint32(b)) * time.Microsecond
}

func toMicros(d time.Duration) uint32 {
	return uint32(min(max(d/time.Microsecond, 0), 1<<32-1))
}
