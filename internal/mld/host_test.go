// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package mld_test

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/mld"
)

func start() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }

// group returns the n-th solicited-node group.
func group(n int) netip.Addr {
	return netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 11: 1, 12: 0xff, 13: byte(n >> 16), 14: byte(n >> 8), 15: byte(n)})
}

func querier() netip.Addr { return netip.MustParseAddr("fe80::1") }

// host runs a Listener in virtual time and notes what it sends.
type host struct {
	*mld.Listener
	now  time.Time
	sent []sending
}

type sending struct {
	at time.Duration // since the start
	mld.Message
}

func newHost() *host {
	return &host{Listener: mld.New(rand.New(rand.NewPCG(1, 2)).Float64), now: start()}
}

// newMember returns a host that joined group 1 and has told it.
func newMember(t testing.TB) *host {
	t.Helper()
	h := newHost()
	h.Join(group(1))
	h.run(t, time.Minute)
	return h
}

func (h *host) ask(q mld.Query) { h.Query(q, h.now) }

// run lets time pass and returns what was sent meanwhile.
func (h *host) run(t testing.TB, d time.Duration) []sending {
	t.Helper()
	from, end := len(h.sent), h.now.Add(d)
	for range 1_000_000 {
		for _, m := range h.Tick(h.now) {
			h.sent = append(h.sent, sending{h.now.Sub(start()), m})
		}
		at, ok := h.Deadline()
		if !ok || at.After(end) {
			h.now = end
			return h.sent[from:]
		}
		if !at.After(h.now) {
			t.Fatalf("the deadline does not move on at %s", h.now.Sub(start()))
		}
		h.now = at
	}
	t.Fatal("the listener never rests")
	return nil
}

// told counts the records of a type for each group.
func told(sent []sending, typ mld.RecordType) map[netip.Addr]int {
	out := make(map[netip.Addr]int)
	for _, s := range sent {
		for _, r := range s.Records {
			if r.Type == typ {
				out[r.Group]++
			}
		}
	}
	return out
}

// kinds counts the messages of a kind of version 1 for each group.
func kinds(sent []sending, kind mld.Kind) map[netip.Addr]int {
	out := make(map[netip.Addr]int)
	for _, s := range sent {
		if s.Kind == kind {
			out[s.Group]++
		}
	}
	return out
}

func records(sent []sending) (n int) {
	for _, s := range sent {
		n += len(s.Records)
	}
	return n
}

func general(delay time.Duration) mld.Query {
	return mld.Query{Version: 2, Group: netip.IPv6Unspecified(), Delay: delay, Robustness: 2, Interval: 125 * time.Second}
}

func specific(g netip.Addr, sources ...netip.Addr) mld.Query {
	q := general(time.Second)
	q.Group, q.Sources = g, sources
	return q
}

func generalV1(delay time.Duration) mld.Query {
	return mld.Query{Version: 1, Group: netip.IPv6Unspecified(), Delay: delay}
}

// queryPacket is a query as it is on the wire, version 2 unless v1.
func queryPacket(g netip.Addr, v1 bool, sources ...netip.Addr) []byte {
	body := []byte{130, 0, 0, 0, 0x03, 0xe8, 0, 0} // 1,000 ms
	body = append(body, g.AsSlice()...)
	if !v1 {
		body = append(body, 3, 125, 0, byte(len(sources)))
		for _, s := range sources {
			body = append(body, s.AsSlice()...)
		}
	}
	return packet(body)
}

func packet(body []byte) []byte {
	b := []byte{0x60, 0, 0, 0, 0, byte(8 + len(body)), 0, 1}
	b = append(b, querier().AsSlice()...)
	b = append(b, netip.MustParseAddr("ff02::1").AsSlice()...)
	b = append(b, 58, 0, 5, 2, 0, 0, 1, 0)
	return seal(append(b, body...))
}

// seal puts the right checksum into a packet with a hop-by-hop header of 8 octets.
func seal(b []byte) []byte {
	b[50], b[51] = 0, 0
	binary.BigEndian.PutUint16(b[50:], mld.Checksum(b[8:40], b[48:]))
	return b
}

func sorted(m map[netip.Addr]int) []netip.Addr {
	var out []netip.Addr
	for g := range m {
		out = append(out, g)
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return out
}
