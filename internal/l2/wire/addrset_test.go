// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/net/bpf"

	"github.com/clarion-lb/clarion/internal/l2"
	"github.com/clarion-lb/clarion/internal/lb"
)

func machineOf(t testing.TB, f lb.Family, set addrSet) *bpf.VM {
	t.Helper()
	vm, err := bpf.NewVM(withoutPacketType(filterOf(f, set)))
	if err != nil {
		t.Fatal(err)
	}
	return vm
}

// passes says whether a frame that asks for target, or comes from source, gets through.
func passes(t testing.TB, vm *bpf.VM, source, target netip.Addr) bool {
	t.Helper()
	var frame []byte
	var err error
	if target.Is4() {
		frame, err = encode(&l2.Action{Op: l2.SendARP, Addr: source, Dst: target, MAC: neighbour(), DstMAC: l2.BroadcastMAC(), Request: true})
	} else {
		frame, err = encode(&l2.Action{Op: l2.SendNS, Addr: target, Dst: l2.SolicitedNode(target), MAC: neighbour()})
		if err == nil {
			src := source.As16()
			copy(frame[ipv6Source:], src[:])
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	n, err := vm.Run(frame)
	if err != nil {
		t.Fatal(err)
	}
	return n > 0
}

// scattered returns n addresses, some following each other, some far apart, edges included.
func scattered(rng *rand.Rand, six bool, n int) []netip.Addr {
	var out []netip.Addr
	for len(out) < n {
		var b [16]byte
		binary.BigEndian.PutUint32(b[:], []uint32{0xfd000100, 0x20010db8}[rng.IntN(2)])
		start := []uint32{0, math.MaxUint32 - 20, 0x0a000000 + rng.Uint32N(1000), rng.Uint32()}[rng.IntN(4)]
		for i := range rng.Uint32N(20) {
			binary.BigEndian.PutUint32(b[12:], start+i)
			if six {
				out = append(out, netip.AddrFrom16(b))
			} else {
				out = append(out, netip.AddrFrom4([4]byte(b[12:])))
			}
		}
	}
	return out
}

func TestTheFilterPassesEachAddressAndFewOthers(t *testing.T) {
	outside4, outside6 := netip.MustParseAddr("203.0.113.9"), netip.MustParseAddr("2a02::1:2:3")
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 1))
		six := seed%2 == 1
		f, outside := lb.IPv4, outside4
		if six {
			f, outside = lb.IPv6, outside6
		}
		addrs := scattered(rng, six, 1+rng.IntN(600))
		set := newAddrSet(addrs)
		vm := machineOf(t, f, set)
		for _, a := range addrs {
			if !passes(t, vm, outside, a) || !passes(t, vm, a, outside) {
				t.Fatalf("seed %d: a frame for or from %s does not pass", seed, a)
			}
		}
		// What does not pass is exactly what the ranges do not hold.
		for range 300 {
			a := scattered(rng, six, 1)[0]
			in := slices.ContainsFunc(set.spans, func(s keySpan) bool { return s.first <= key(a) && key(a) <= s.last })
			if passes(t, vm, outside, a) != in {
				t.Fatalf("seed %d: %s passes %v, the set holds it %v", seed, a, !in, in)
			}
		}
	}
}

func TestTheFilterIsExactForPoolsAndBoundedForAnything(t *testing.T) {
	pool := addrsFrom("10.99.16.0", 10_000)
	set := newAddrSet(slices.Concat(pool[:5000], pool[5001:]))
	vm := machineOf(t, lb.IPv4, set)
	outside := netip.MustParseAddr("10.99.0.2")
	for _, a := range []netip.Addr{pool[0].Prev(), pool[5000], pool[9999].Next()} {
		if passes(t, vm, outside, a) {
			t.Errorf("%s passes and is not announced", a)
		}
	}
	for _, f := range []lb.Family{lb.IPv4, lb.IPv6} {
		var all []netip.Addr
		for i, a := range addrsFrom(map[lb.Family]string{lb.IPv4: "10.0.0.0", lb.IPv6: "fd99::"}[f], 30_000) {
			if i%3 == 0 {
				all = append(all, a)
			}
		}
		code, err := assemble(filterOf(f, newAddrSet(all)))
		if err != nil || len(code) > 1300 {
			t.Errorf("%s: %d instructions (%v), the kernel allows 4,096 and bounds their memory", f, len(code), err)
		}
	}
	if passes(t, machineOf(t, lb.IPv4, addrSet{}), outside, pool[0]) || !passes(t, machineOf(t, lb.IPv4, everything()), outside, pool[0]) {
		t.Error("the empty set passes, or the full one does not")
	}
}

func TestTheClosestRangesAreJoinedFirst(t *testing.T) {
	spans := []keySpan{{1, 2}, {10, 12}, {14, 20}, {100, 100}, {102, 110}, {4000, 4001}}
	want := []keySpan{{1, 2}, {10, 20}, {100, 110}, {4000, 4001}}
	if got := joinClosest(spans, 4); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := joinClosest(spans, 1); !slices.Equal(got, []keySpan{{1, 4001}}) {
		t.Errorf("got %v, want all in one", got)
	}
}
