// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package l2_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/l2"
	"github.com/clarion-lb/clarion/internal/lb"
)

// speakers says that the rival is the speaker of node n2.
func speakers() map[l2.MAC]string { return map[l2.MAC]string{rival: "n2"} }

func withheld(addrs ...netip.Addr) []lb.Announcement {
	out := want(addrs...)
	for i := range out {
		out[i].Withhold = true
	}
	return out
}

// claimOf is what a rival says unasked about an address, and the conflict that follows.
func claimOf(a netip.Addr) (l2.Query, string) {
	if a.Is4() {
		return claim4(a), "conflict eth0 192.0.2.10 with 02:00:00:00:00:99"
	}
	return claim6(a), "conflict eth0 2001:db8::10 with 02:00:00:00:00:99"
}

func both(t *testing.T, test func(t *testing.T, addr netip.Addr, probe, announced string)) {
	t.Run("IPv4", func(t *testing.T) { test(t, vip4, probe4, garp) })
	t.Run("IPv6", func(t *testing.T) { test(t, vip6, probe6, una) })
}

func TestAnAddressThatAForeignHostUsesIsWithheldWhenAskedFor(t *testing.T) {
	both(t, func(t *testing.T, addr netip.Addr, probe, announced string) {
		claim, conflict := claimOf(addr)
		m := newMachine(t, l2.Config{RefreshMin: -1, Verify: true}, link0())
		first := sends(m.Set(withheld(addr), at(0)))
		if !slices.Contains(first, announced) || !slices.Contains(first, probe) {
			t.Errorf("first %q: a taker must not wait, and must ask at once", first)
		}
		equal(t, text(m.Handle(claim, at(1000))), []string{conflict})
		ask, solicit := request(addr), solicitation(addr)
		if got := append(text(m.Handle(ask, at(1001))), text(m.Handle(solicit, at(1001)))...); len(got) != 0 {
			t.Errorf("answered for what was given up: %q", got)
		}
		if got := m.Conflicts(at(300_000)); len(got) != 1 || !got[0].Withheld || got[0].Node != "" {
			t.Errorf("conflicts %+v: it must be told as long as it lasts", got)
		}
		down := link0()
		down.Carrier = false
		m.SetLinks([]lb.Link{down}, at(2000))
		equal(t, sends(m.SetLinks([]lb.Link{link0()}, at(2001))), []string{probe}) // not an announcement
		m.Handle(claim, at(2100))
		lines := run(t, m, at(12_750))
		if i := slices.Index(lines, "12700 free "+addr.String()); i < 0 || lines[i-1] != "12500 "+probe || lines[i+1] != "12700 "+announced {
			t.Errorf("after the stranger left: %q", lines)
		}
		if got := m.Conflicts(at(12_800)); len(got) != 0 {
			t.Errorf("conflicts %+v after it was found to be free", got)
		}
	})
}

func TestAnAddressThatNobodyAnnouncedBeforeIsAskedForWithTheFirstAnnouncement(t *testing.T) {
	both(t, func(t *testing.T, addr netip.Addr, probe, announced string) {
		for _, fresh := range []bool{true, false} {
			m := newMachine(t, l2.Config{RefreshMin: -1, Verify: true}, link0())
			first := sends(m.Set([]lb.Announcement{{Addr: addr, Fresh: fresh}}, at(0)))
			if !slices.Contains(first, announced) || slices.Contains(first, probe) != fresh {
				t.Errorf("fresh %v: first %q", fresh, first)
			}
		}
	})
}

func TestAForeignHostIsAskedForLessOftenAfterTenConflicts(t *testing.T) {
	m := newMachine(t, quiet(), link0())
	m.Set(withheld(vip4), at(0))
	m.Handle(claim4(vip4), at(0))
	var asked []time.Duration
	for range 13 {
		due, ok := m.Deadline()
		if !ok {
			t.Fatal("a withheld address is never asked for again")
		}
		m.Tick(due)
		m.Handle(claim4(vip4), due)
		asked = append(asked, due.Sub(at(0)))
	}
	if asked[9]-asked[8] != 10*time.Second || asked[12]-asked[11] != time.Minute {
		t.Errorf("asked after %v, want each 10 s, then each minute (RFC 5227 2.1.1)", asked)
	}
}

func TestChangingThePolicyAnnouncesWhatWasWithheld(t *testing.T) {
	m := newMachine(t, quiet(), link0())
	m.Set(withheld(vip4), at(0))
	m.Handle(claim4(vip4), at(10))
	equal(t, text(m.Set(want(vip4), at(20))), []string{garp, garpRe})
	equal(t, text(m.Set(want(vip4), at(30))), []string{})
}

func TestASpeakerIsNoForeignHost(t *testing.T) {
	both(t, func(t *testing.T, addr netip.Addr, probe, announced string) {
		claim, conflict := claimOf(addr)
		m := newMachine(t, quiet(), link0())
		m.Know(speakers(), at(0))
		m.Set(withheld(addr), at(0))
		equal(t, text(m.Handle(claim, at(10))), []string{conflict}) // neither withheld nor defended here
		if got := m.Conflicts(at(11)); len(got) != 1 || got[0].Withheld || got[0].Node != "n2" {
			t.Errorf("conflicts %+v", got)
		}
		// An address that a speaker has is the cluster's: whoever probes may take it at once.
		m = newMachine(t, quiet(), link0())
		m.Know(speakers(), at(0))
		m.Probe([]netip.Addr{addr})
		m.Set(withheld(addr), at(0))
		m.Handle(claim, at(10))
		if got := run(t, m, at(10)); !slices.Contains(got, "10 "+announced) {
			t.Errorf("sent %q, want the announcement", got)
		}
		// The same when it turns out only later that the rival is a speaker.
		m = newMachine(t, quiet(), link0())
		m.Set(withheld(addr), at(0))
		m.Handle(claim, at(10))
		if got := sends(m.Know(speakers(), at(20))); !slices.Contains(got, announced) {
			t.Errorf("sent %q, want the announcement", got)
		}
	})
}

func TestYieldingStepsBackUntilTheOtherIsGone(t *testing.T) {
	both(t, func(t *testing.T, addr netip.Addr, probe, announced string) {
		claim, _ := claimOf(addr)
		m := newMachine(t, quiet(), link0())
		m.Know(speakers(), at(0))
		m.Set(want(addr), at(0))
		m.Handle(claim, at(10))
		equal(t, text(m.Yield([]netip.Addr{addr}, at(20))), []string{})
		if got := append(text(m.Handle(request(addr), at(21))), text(m.Handle(solicitation(addr), at(21)))...); len(got) != 0 {
			t.Errorf("answered for what was yielded: %q", got)
		}
		equal(t, text(m.Yield([]netip.Addr{addr}, at(30))), []string{}) // the same again, I6
		equal(t, run(t, m, at(1100)), []string{"1020 " + probe})
		m.Handle(claim, at(1101)) // it answers
		equal(t, run(t, m, at(2150)), []string{"2101 " + probe})
		lines := run(t, m, at(3000)) // it does not: it died, and no gossip tells
		if len(lines) < 4 || lines[2] != "2701 free "+addr.String() || lines[3] != "2701 "+announced {
			t.Errorf("after the other died: %q", lines)
		}
		equal(t, text(m.Yield(nil, at(3001))), []string{})
	})
}

func TestWhatIsNoLongerYieldedIsAnnouncedAtOnce(t *testing.T) {
	m := newMachine(t, quiet(), link0())
	m.Set(want(vip4), at(0))
	m.Yield([]netip.Addr{vip4}, at(10))
	equal(t, text(m.Yield(nil, at(20))), []string{garp, garpRe})
	m.Yield([]netip.Addr{vip4}, at(30))
	equal(t, text(m.Release(nil, at(40))), []string{"close eth0 IPv4", "released 192.0.2.10"}) // it did not answer anyway
}

func TestTheEndOfABurstAndEachRefreshAskWhoElseHasTheAddress(t *testing.T) {
	both(t, func(t *testing.T, addr netip.Addr, probe, _ string) {
		m := newMachine(t, l2.Config{Verify: true, Seed: 3}, link0())
		m.Set(want(addr), at(0))
		lines := run(t, m, at(3000))
		if n := count(lines, probe); n != 1 || lines[len(lines)-1] != "3000 "+probe {
			t.Errorf("%d probes in the burst: %q", n, lines)
		}
		if lines = run(t, m, at(123_000)); count(lines, probe) < 1 || count(lines, probe)*2 != len(lines) {
			t.Errorf("refreshes: %q", lines)
		}
	})
}

// count counts lines of a frame, whatever the time in front.
func count(lines []string, frame string) int {
	n := 0
	for _, l := range lines {
		if len(l) > len(frame) && l[len(l)-len(frame):] == frame {
			n++
		}
	}
	return n
}

// When a partition heals, the loser asks before it waits for the winner to speak, and the
// winner, asked by a speaker, tells the whole segment anew, though not again and again.
func TestAHealedPartitionEndsAtOnceAndTheSegmentIsToldAnew(t *testing.T) {
	both(t, func(t *testing.T, addr netip.Addr, probe, announced string) {
		claim, _ := claimOf(addr)
		loser := newMachine(t, quiet(), link0())
		loser.Set(want(addr), at(0))
		equal(t, text(loser.Release([]netip.Addr{addr}, at(10))), []string{probe})
		if got := text(loser.Handle(claim, at(11))); !slices.Contains(got, "released "+addr.String()) {
			t.Errorf("got %q, want the release to end", got)
		}

		winner := newMachine(t, l2.Config{RefreshMin: -1}, link0())
		winner.Know(speakers(), at(0))
		winner.Set(want(addr), at(0))
		run(t, winner, at(5000))
		ask := func(ms int, by l2.MAC) []string {
			q := request(addr)
			q.Sender = netip.IPv4Unspecified()
			if addr.Is6() {
				q = solicitation(addr)
				q.Sender, q.HasOption = netip.IPv6Unspecified(), false
			}
			q.EthSrc, q.SenderMAC = by, by
			winner.Handle(q, at(ms))
			return run(t, winner, at(ms+5000))
		}
		if n := count(ask(10_000, asker), announced); n != 0 {
			t.Errorf("%d announcements because a stranger asks, want none", n)
		}
		if n := count(ask(20_000, rival), announced); n != 6 {
			t.Errorf("%d announcements because a speaker asks, want a burst", n)
		}
		if n := count(ask(30_000, rival), announced); n != 0 {
			t.Errorf("%d announcements because it asks again, want none", n)
		}
	})
}
