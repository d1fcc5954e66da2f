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

func TestAReleasedAddressAnswersUntilTheNewOwnerSpeaks(t *testing.T) {
	m := newMachine(t, l2.Config{}, link0())
	m.Set(want(vip4, vip6), at(0))
	equal(t, text(m.Release(nil, at(50))), []string{})
	equal(t, text(m.Set(nil, at(51))), []string{}) // the plan no longer holds them
	if m.Leaving() != 2 {
		t.Errorf("%d leaving, want 2", m.Leaving())
	}
	equal(t, sends(m.Handle(request(vip4), at(100))),
		[]string{"eth0 reply 192.0.2.10 is-at 02:00:00:00:00:10 tell 192.0.2.77 at 02:00:00:00:00:77"})
	equal(t, text(m.Tick(at(120))), []string{}) // the rest of the burst is not sent
	equal(t, text(m.Handle(claim4(vip4), at(200))), []string{"close eth0 IPv4", "released 192.0.2.10"})
	equal(t, text(m.Handle(request(vip4), at(201))), []string{})
	equal(t, text(m.Handle(claim6(vip6), at(202))),
		[]string{"leave eth0 ff02::1:ff00:10", "close eth0 IPv6", "released 2001:db8::10"})
	if m.Leaving() != 0 || len(m.Conflicts(at(203))) != 0 {
		t.Errorf("leaving %d, conflicts %v", m.Leaving(), m.Conflicts(at(203)))
	}
}

func TestAReleasedAddressFallsSilentAfterItsLinger(t *testing.T) {
	m := newMachine(t, l2.Config{Linger: 700 * time.Millisecond}, link0())
	m.Set(want(vip4), at(0))
	m.Release([]netip.Addr{vip4, vip4.Next()}, at(10))
	m.Release([]netip.Addr{vip4}, at(400)) // again: the first deadline stands
	equal(t, run(t, m, at(5000)), []string{"710 close eth0 IPv4", "710 released 192.0.2.10"})
}

func TestAnAddressWithoutALinkIsReleasedAtOnce(t *testing.T) {
	m := newMachine(t, l2.Config{})
	m.Set(want(vip4), at(0))
	equal(t, text(m.Release(nil, at(1))), []string{"released 192.0.2.10"})
}

func TestAReleasedAddressOnALostLinkIsReleased(t *testing.T) {
	m := newMachine(t, l2.Config{}, link0())
	m.Set(want(vip4), at(0))
	m.Release(nil, at(1))
	equal(t, text(m.SetLinks(nil, at(2))), []string{"close eth0 IPv4", "released 192.0.2.10"})
}

func TestSetTakesAReleasedAddressBack(t *testing.T) {
	m := newMachine(t, l2.Config{RefreshMin: -1}, link0())
	m.Set(want(vip4), at(0))
	run(t, m, at(5000))
	m.Release(nil, at(6000))
	equal(t, text(m.Set(want(vip4), at(6100))), []string{})
	m.Release(nil, at(6300)) // the old deadline of 6500 must not count
	equal(t, run(t, m, at(9000)), []string{"6800 close eth0 IPv4", "6800 released 192.0.2.10"})
}

func TestABurstCutByReleaseGoesOnWhenTakenBack(t *testing.T) {
	m := newMachine(t, l2.Config{RefreshMin: -1, Burst: []time.Duration{100 * time.Millisecond}}, link0())
	m.Set(want(vip4), at(0))
	m.Release(nil, at(50))
	equal(t, text(m.Set(want(vip4), at(200))), []string{garp, garpRe})
}

func TestARivalIsReportedOnceASecondAndForgottenAfterThreeMinutes(t *testing.T) {
	m := newMachine(t, quiet(), link0())
	m.Set(want(vip4), at(0))
	told := 0
	for ms := 0; ms < 3000; ms += 100 {
		got := text(m.Handle(claim4(vip4), at(ms)))
		if i := slices.Index(got, garp); ms == 0 && i != 1 || ms > 0 && i >= 0 {
			t.Errorf("after %d ms: %q, want one defence (RFC 5227 2.4 c)", ms, got)
		}
		told += len(slices.DeleteFunc(got, func(l string) bool { return l == garp }))
	}
	if told != 3 {
		t.Errorf("%d reports in three seconds, want 3", told)
	}
	got := m.Conflicts(at(3000))
	if len(got) != 1 || got[0].MAC != rival || got[0].Count != 30 || got[0].Link != "eth0" ||
		!got[0].First.Equal(at(0)) || !got[0].Last.Equal(at(2900)) {
		t.Errorf("conflicts %+v", got)
	}
	other := claim4(vip4)
	other.SenderMAC = asker
	if len(m.Handle(other, at(3001))) != 1 {
		t.Error("another rival is not reported at once")
	}
	if got := m.Conflicts(at(184_000)); len(got) != 0 {
		t.Errorf("still there after three minutes: %+v", got)
	}
	m.Handle(claim4(vip4), at(185_000))
	m.Set(nil, at(185_001))
	if got := m.Conflicts(at(185_002)); len(got) != 0 {
		t.Errorf("conflict about an address that is not announced: %+v", got)
	}
}

const (
	probe4 = "eth0 request 0.0.0.0 is-at 02:00:00:00:00:10 tell 192.0.2.10 at ff:ff:ff:ff:ff:ff"
	probe6 = "eth0 NS 2001:db8::10 to ff02::1:ff00:10 at 33:33:ff:00:00:10"
)

func TestAnUnprovenAddressIsProbedBeforeItIsAnnounced(t *testing.T) {
	m := newMachine(t, quiet(), link0())
	m.Probe([]netip.Addr{vip4, vip6})
	taken := netip.MustParseAddr("192.0.2.11") // over from another speaker: no delay
	got := sends(m.Set(want(vip4, vip6, taken), at(0)))
	if len(got) != 4 || got[1] != probe4 || got[3] != probe6 {
		t.Errorf("sent %q", got)
	}
	equal(t, text(m.Handle(request(vip4), at(100))), []string{})
	equal(t, text(m.Handle(solicitation(vip6), at(100))), []string{})
	equal(t, run(t, m, at(10_000)), []string{
		"200 " + probe4, "200 " + probe6, "400 " + probe4, "400 " + probe6, "600 " + garp, "600 " + garpRe, "600 " + una,
	})
	if len(m.Handle(request(vip4), at(700))) != 1 {
		t.Error("not answered after the probes")
	}
	// Shown to be free once, it is not probed again when the link comes back.
	down := link0()
	down.Carrier = false
	m.SetLinks([]lb.Link{down}, at(800))
	again := sends(m.SetLinks([]lb.Link{link0()}, at(900)))
	if !slices.Contains(again, garp) || !slices.Contains(again, una) || slices.Contains(again, probe4) {
		t.Errorf("after the link came back: %q", again)
	}
}

func TestAnAddressInUseIsHeldAndProbedAgainLater(t *testing.T) {
	dad := solicitation(vip6)
	dad.Sender, dad.SenderMAC, dad.HasOption, dad.EthSrc = netip.IPv6Unspecified(), l2.MAC{}, false, rival
	arpProbe := request(vip4)
	arpProbe.Sender, arpProbe.SenderMAC, arpProbe.EthSrc = netip.IPv4Unspecified(), rival, rival
	objection := claim4(vip4)
	objection.Kind, objection.EthDst, objection.Target = l2.ARPReply, mac0, netip.IPv4Unspecified()
	for name, c := range map[string]struct {
		addr  netip.Addr
		query l2.Query
		retry string
	}{
		"reply, RFC 5227 2.1.1":         {vip4, objection, probe4},
		"gratuitous, RFC 5227 2.1.1":    {vip4, claim4(vip4), probe4},
		"both probe, RFC 5227 2.1.1":    {vip4, arpProbe, probe4},
		"advertisement, RFC 4862 5.4.4": {vip6, claim6(vip6), probe6},
		"both solicit, RFC 4862 5.4.3":  {vip6, dad, probe6},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, quiet(), link0())
			m.Probe([]netip.Addr{c.addr})
			m.Set(want(c.addr), at(0))
			equal(t, text(m.Handle(c.query, at(100))),
				[]string{"conflict eth0 " + c.addr.String() + " with 02:00:00:00:00:99"})
			if got := m.Announced(); !got[0].Probing || got[0].Links != nil {
				t.Errorf("announced %+v", got)
			}
			equal(t, run(t, m, at(10_200)), []string{"10100 " + c.retry})
			if last := run(t, m, at(20_000)); len(last) != 4 && len(last) != 5 || last[2] != "10700 free "+c.addr.String() {
				t.Errorf("after the rival left: %q", last)
			}
			if got := m.Announced(); got[0].Probing || len(got[0].Links) != 1 {
				t.Errorf("announced %+v", got)
			}
		})
	}
}

func TestWithoutFreshEvidenceTheMachineIsSilent(t *testing.T) {
	m := newMachine(t, l2.Config{Fresh: time.Second, RefreshMin: -1}, link0())
	equal(t, sends(m.Set(want(vip4), at(0))), []string{}) // no evidence yet
	equal(t, text(m.Confirm(at(0), at(10))), []string{garp, garpRe})
	if len(m.Handle(request(vip4), at(1000))) != 1 {
		t.Error("not answered with fresh evidence")
	}
	// The process was stopped here. Whatever it does first when it resumes, it is silent.
	equal(t, text(m.Handle(request(vip4), at(30_000))), nil)
	equal(t, text(m.Tick(at(30_000))), []string{})
	if due, ok := m.Deadline(); ok {
		t.Errorf("waits for %s, but only evidence can end this", due)
	}
	equal(t, text(m.Confirm(at(900), at(30_001))), []string{}) // a confirmation from before the stop
	equal(t, text(m.Handle(request(vip4), at(30_002))), nil)
	equal(t, text(m.Confirm(at(30_003), at(30_003))), []string{garp, garpRe})
}

func TestDoubtVoidsTheEvidenceOfBefore(t *testing.T) {
	m := newMachine(t, l2.Config{Fresh: time.Second, RefreshMin: -1}, link0())
	m.Set(want(vip4), at(0))
	m.Confirm(at(0), at(0))
	m.Doubt(at(10))
	equal(t, text(m.Handle(request(vip4), at(11))), nil)
	equal(t, text(m.Confirm(at(9), at(12))), []string{}) // seen before the doubt, said after it
	if due, ok := m.Deadline(); ok {
		t.Errorf("waits for %s, but only evidence can end this", due)
	}
	m.Confirm(at(13), at(13))
	if len(m.Handle(request(vip4), at(14))) != 1 {
		t.Error("not answered with new evidence")
	}
}
