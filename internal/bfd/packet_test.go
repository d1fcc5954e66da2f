// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"
)

// wire is a packet as FRR 8.4.4 sends it: Up, multiplier 3, 300 ms, echo 50 ms.
const wire = "20c00318" + "6b8b4567" + "00000001" + "000493e0" + "000493e0" + "0000c350"

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParseReadsWhatAppendWrites(t *testing.T) {
	want := Packet{
		State: Up, Multiplier: 3, MyDisc: 0x6b8b4567, YourDisc: 1,
		DesiredMinTx: 300 * time.Millisecond, RequiredRx: 300 * time.Millisecond, RequiredEcho: 50 * time.Millisecond,
	}
	got, err := Parse(unhex(t, wire))
	if err != nil || got != want {
		t.Fatalf("Parse = %+v, %v; want %+v", got, err, want)
	}
	if b := want.Append(nil); !bytes.Equal(b, unhex(t, wire)) {
		t.Fatalf("Append = %x, want %s", b, wire)
	}
	for _, p := range []Packet{{Poll: true}, {Final: true}, {Independent: true}, {Demand: true}, {Diagnostic: 31}, {State: Init}} {
		p.Multiplier, p.MyDisc, p.YourDisc = 255, 1<<32-1, 7
		if got, err := Parse(p.Append(nil)); err != nil || got != p {
			t.Errorf("Parse(Append(%+v)) = %+v, %v", p, got, err)
		}
	}
}

func TestIntervalsSaturate(t *testing.T) {
	p := Packet{Multiplier: 1, MyDisc: 1, DesiredMinTx: 48 * time.Hour, RequiredRx: -time.Second}
	got, err := Parse(p.Append(nil))
	if err != nil || got.DesiredMinTx != (1<<32-1)*time.Microsecond || got.RequiredRx != 0 {
		t.Errorf("got %+v, %v", got, err)
	}
}

// RFC 5880 6.8.6: every reason to drop a packet before a session is looked up.
func TestParseDrops(t *testing.T) {
	for _, tc := range []struct {
		name string
		edit func([]byte) []byte
		want error
	}{
		{"short", func(b []byte) []byte { return b[:23] }, ErrShort},
		{"empty", func(b []byte) []byte { return nil }, ErrShort},
		{"version 0", func(b []byte) []byte { b[0] = 0; return b }, ErrVersion},
		{"version 2", func(b []byte) []byte { b[0] = 0x40; return b }, ErrVersion},
		{"length below minimum", func(b []byte) []byte { b[3] = 23; return b }, ErrLength},
		{"length above payload", func(b []byte) []byte { b[3] = 25; return b }, ErrLength},
		{"authentication", func(b []byte) []byte { b[1] |= 0x04; return b }, ErrAuth},
		{"multiplier 0", func(b []byte) []byte { b[2] = 0; return b }, ErrMultiplier},
		{"multipoint", func(b []byte) []byte { b[1] |= 0x01; return b }, ErrMultipoint},
		{"my discriminator 0", func(b []byte) []byte { copy(b[4:8], []byte{0, 0, 0, 0}); return b }, ErrDiscriminator},
		{"your discriminator 0 while Up", func(b []byte) []byte { copy(b[8:12], []byte{0, 0, 0, 0}); return b }, ErrUnbound},
		{"your discriminator 0 while Init", func(b []byte) []byte { b[1] = 0x80; copy(b[8:12], []byte{0, 0, 0, 0}); return b }, ErrUnbound},
	} {
		if _, err := Parse(tc.edit(unhex(t, wire))); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
	}
	ok := unhex(t, wire)
	ok[1] = 0x40 // Down may have your discriminator 0
	copy(ok[8:12], []byte{0, 0, 0, 0})
	if _, err := Parse(append(ok, 1, 2, 3)); err != nil {
		t.Errorf("Down with unknown neighbour and padding: %v", err)
	}
}

func TestNames(t *testing.T) {
	if Up.String() != "Up" || AdminDown.String() != "AdminDown" || State(5).String() != "Down" {
		t.Error("state names")
	}
	if DetectionTimeExpired.String() != "detection time expired" || Diagnostic(30).String() != "unassigned" {
		t.Error("diagnostic names")
	}
	for d := Diagnostic(0); d <= 31; d++ {
		if strings.TrimSpace(d.String()) == "" {
			t.Errorf("diagnostic %d has no name", d)
		}
	}
}

func FuzzParse(f *testing.F) {
	b, _ := hex.DecodeString(wire)
	f.Add(b)
	f.Add(b[:10])
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Parse(b)
		if err != nil {
			return
		}
		if p.Multiplier == 0 || p.MyDisc == 0 || p.YourDisc == 0 && p.State > Down {
			t.Fatalf("accepted %+v", p)
		}
		again := p.Append(nil)
		again[3] = b[3] // the length may cover bytes that we do not know
		if !bytes.Equal(again, b[:PacketLen]) {
			t.Fatalf("%x reads as %+v and writes as %x", b, p, again)
		}
	})
}
