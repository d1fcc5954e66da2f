// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package l2_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/l2"
	"github.com/clarion-lb/clarion/internal/lb"
)

const (
	garp   = "eth0 gratuitous request 192.0.2.10 is-at 02:00:00:00:00:10 tell 192.0.2.10 at ff:ff:ff:ff:ff:ff"
	garpRe = "eth0 gratuitous reply 192.0.2.10 is-at 02:00:00:00:00:10 tell 192.0.2.10 at ff:ff:ff:ff:ff:ff"
	una    = "eth0 NA[O] 2001:db8::10 is-at 02:00:00:00:00:10 to ff02::1 at 33:33:00:00:00:01"
)

func TestANewAddressIsAnnouncedAtOnceAndInABurst(t *testing.T) {
	m := newMachine(t, l2.Config{RefreshMin: -1}, link0())
	equal(t, text(m.Set(want(vip4), at(0)))[:2], []string{"open eth0 IPv4", garp})
	m = newMachine(t, l2.Config{RefreshMin: -1}, link0())
	first := text(m.Set(want(vip4, vip6), at(0)))
	equal(t, first, []string{"open eth0 IPv4", "open eth0 IPv6", "join eth0 ff02::1:ff00:10", garp, garpRe, una})
	var rest []string
	for _, ms := range []int{100, 300, 700, 1500, 3000} {
		for _, l := range []string{garp, garpRe, una} {
			rest = append(rest, fmt.Sprintf("%d %s", ms, l))
		}
	}
	equal(t, run(t, m, at(3_600_000)), rest)
}

func TestRefreshIsSlowJitteredAndAlternatesItsForm(t *testing.T) {
	m := newMachine(t, l2.Config{Burst: []time.Duration{}, Seed: 7}, link0())
	m.Set(want(vip4), at(0))
	last, seen := at(0), map[string]int{}
	gaps := map[time.Duration]bool{}
	for range 20 {
		due, ok := m.Deadline()
		if !ok {
			t.Fatal("no refresh scheduled")
		}
		gap := due.Sub(last)
		if gap < 60*time.Second || gap > 120*time.Second {
			t.Fatalf("refresh after %s, want 60-120 s", gap)
		}
		gaps[gap], last = true, due
		for _, l := range text(m.Tick(due)) {
			seen[l]++
		}
	}
	if len(gaps) < 15 || seen[garp] != 10 || seen[garpRe] != 10 {
		t.Errorf("%d different gaps, forms %v", len(gaps), seen)
	}
}

func TestRefreshOfManyAddressesStaysUnderItsRate(t *testing.T) {
	m := newMachine(t, l2.Config{Burst: []time.Duration{}, Seed: 7}, link0())
	m.Set(want(many(10_000)...), at(0))
	run(t, m, at(60_000))
	n := len(run(t, m, at(660_000)))
	if n < 600*40 || n > 600*55 {
		t.Errorf("%d refreshes in 600 s, want about 50 a second", n)
	}
}

// many returns IPv4 addresses of link0's subnet widened, distinct and ascending.
func many(n int) []netip.Addr {
	var out []netip.Addr
	a := netip.MustParseAddr("10.0.0.0")
	for range n {
		a = a.Next()
		out = append(out, a)
	}
	return out
}

func TestAMassTakeoverIsPacedAndFirstFramesGoFirst(t *testing.T) {
	m := newMachine(t, l2.Config{}, link0())
	heard := map[netip.Addr]time.Time{}
	frames := 0
	hear := func(actions []l2.Action, now time.Time) {
		for _, a := range actions {
			if a.Op != l2.SendARP {
				continue
			}
			frames++
			if _, ok := heard[a.Addr]; !ok {
				heard[a.Addr] = now
			}
		}
	}
	hear(m.Set(want(many(10_000)...), at(0)), at(0))
	if frames != 512 || len(heard) != 512 {
		t.Errorf("%d frames for %d addresses at once, want 512 for 512", frames, len(heard))
	}
	for len(heard) < 10_000 {
		due, ok := m.Deadline()
		if !ok {
			t.Fatal("the machine forgot addresses")
		}
		if limit := 512 + due.Sub(at(0)).Seconds()*1000; float64(frames) > limit {
			t.Fatalf("%d frames after %s", frames, due.Sub(at(0)))
		}
		hear(m.Tick(due), due)
		if due.After(at(9600)) {
			t.Fatalf("only %d addresses heard after %s", len(heard), due.Sub(at(0)))
		}
	}
	if wait, ok := m.Deadline(); !ok || wait.Before(at(9000)) {
		t.Errorf("deadline %v %v", wait, ok)
	}
}

func TestALateTakeoverOvertakesTheRepeatsOfOthers(t *testing.T) {
	m := newMachine(t, l2.Config{}, link0())
	all := many(3000)
	m.Set(want(all...), at(0))
	run(t, m, at(3000)) // all were heard once; thousands of repeats are overdue
	lines := text(m.Set(want(append(all, vip4)...), at(3001)))
	lines = append(lines, run(t, m, at(3030))...)
	if slices.ContainsFunc(lines, func(l string) bool { return strings.HasSuffix(l, garp) }) {
		return
	}
	t.Error("a new address waits for the repeats of others")
}

func TestWithdrawIsImmediateAndClosesWhatNobodyNeeds(t *testing.T) {
	sharesGroup := netip.MustParseAddr("2001:db8:0:0:1::10")
	m := newMachine(t, quiet(), link0())
	m.Set(want(vip4, vip6, sharesGroup), at(0))
	equal(t, text(m.Set(want(vip4, sharesGroup), at(1))), []string{})
	equal(t, text(m.Handle(solicitation(vip6), at(2))), nil)
	equal(t, text(m.Set(want(vip4), at(3))), []string{"leave eth0 ff02::1:ff00:10", "close eth0 IPv6"})
	equal(t, text(m.Set(nil, at(4))), []string{"close eth0 IPv4"})
	if _, ok := m.Deadline(); ok {
		t.Error("a machine without addresses has nothing to wait for")
	}
}

func TestSeveralAnnouncementsOfOneAddressAreTheirUnion(t *testing.T) {
	announce := func(names ...string) lb.Announcement { return lb.Announcement{Addr: vip4, Interfaces: names} }
	for name, c := range map[string]struct {
		set  []lb.Announcement
		want []string
	}{
		"two names":           {[]lb.Announcement{announce("eth0"), announce("eth1")}, []string{"eth0", "eth1"}},
		"one without a name":  {[]lb.Announcement{announce("eth1"), announce()}, []string{"eth0"}},
		"mapped and plain":    {[]lb.Announcement{{Addr: netip.AddrFrom16(vip4.As16())}, announce()}, []string{"eth0"}},
		"name nobody has":     {[]lb.Announcement{announce("eth7")}, nil},
		"named outside of it": {[]lb.Announcement{announce("eth1")}, []string{"eth1"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, quiet(), link0(), link1())
			m.Set(c.set, at(0))
			got := m.Announced()
			if len(got) != 1 || got[0].Addr != vip4 {
				t.Fatalf("announced %+v", got)
			}
			equal(t, got[0].Links, c.want)
		})
	}
}

func TestAddressesThatNoServiceCanHaveAreIgnored(t *testing.T) {
	m := newMachine(t, quiet(), link0())
	equal(t, text(m.Set(want(netip.Addr{}, netip.IPv4Unspecified(), l2.AllNodes()), at(0))), []string{})
}

func TestReannounceStartsAFreshBurst(t *testing.T) {
	m := newMachine(t, l2.Config{RefreshMin: -1}, link0())
	m.Set(want(vip4, vip6), at(0))
	run(t, m, at(10_000))
	equal(t, text(m.Reannounce([]netip.Addr{vip4, vip4.Next()}, at(20_000))), []string{garp, garpRe})
	equal(t, run(t, m, at(20_100)), []string{"20100 " + garp, "20100 " + garpRe})
	equal(t, text(m.Reannounce(nil, at(30_000))), []string{garp, garpRe, una})
}

func TestAWrongExclusionIsNamed(t *testing.T) {
	if _, err := l2.New(l2.Config{Exclude: []string{"("}}); err == nil {
		t.Error("an exclusion that is no regular expression was accepted")
	}
}
