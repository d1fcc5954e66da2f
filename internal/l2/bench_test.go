// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package l2_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/l2"
)

const benchAddrs = 10_000

func benchMachine(b *testing.B) (*l2.Machine, []netip.Addr) {
	b.Helper()
	addrs := many(benchAddrs)
	m := newMachine(b, l2.Config{RefreshMin: -1, Burst: []time.Duration{}}, link0(), link1())
	m.Set(want(addrs...), at(0))
	return m, addrs
}

func BenchmarkHandleAnswer(b *testing.B) {
	m, addrs := benchMachine(b)
	q := request(addrs[0])
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		q.Target = addrs[i%benchAddrs]
		i += 7919
		if len(m.Handle(q, at(1))) != 1 {
			b.Fatal("not answered")
		}
	}
}

func BenchmarkHandleForeign(b *testing.B) {
	m, _ := benchMachine(b)
	q := request(netip.MustParseAddr("203.0.113.9"))
	b.ReportAllocs()
	for b.Loop() {
		if len(m.Handle(q, at(1))) != 0 {
			b.Fatal("answered")
		}
	}
}

func BenchmarkSetUnchanged(b *testing.B) {
	m, addrs := benchMachine(b)
	set := want(addrs...)
	b.ReportAllocs()
	for b.Loop() {
		m.Set(set, at(1))
	}
}

func BenchmarkSetTakeover(b *testing.B) {
	set := want(many(benchAddrs)...)
	b.ReportAllocs()
	for b.Loop() {
		m := newMachine(b, l2.Config{}, link0(), link1())
		m.Set(set, at(1))
	}
}

func TestHandlingAFrameAllocatesNothing(t *testing.T) {
	m := newMachine(t, quiet(), link0())
	m.Set(want(many(1000)...), at(0))
	ours, foreign := request(many(1)[0]), request(netip.MustParseAddr("203.0.113.9"))
	if n := testing.AllocsPerRun(100, func() { m.Handle(ours, at(1)); m.Handle(foreign, at(1)) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
