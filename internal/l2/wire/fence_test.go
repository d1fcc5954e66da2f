// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clarion-lb/clarion/internal/l2"
	"github.com/clarion-lb/clarion/internal/lb"
)

// fenced is a Wire whose loop does not run, so that the test decides what it looks at first.
func (s *segment) fenced(may func() bool) *Wire {
	s.t.Helper()
	w, err := New(Options{
		Machine: l2.Config{Fresh: time.Hour, Burst: []time.Duration{}, RefreshMin: -1},
		Log:     slog.New(slog.NewTextHandler(s.t.Output(), nil)), MayAnswer: may,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(w.closeAll)
	w.deliver(letter{links: s.links(), hasLinks: true})
	return w
}

// asks is a question for an address of the Wire that was received before the loop looks.
func (s *segment) asks(a netip.Addr) l2.Query {
	return l2.Query{
		Kind: l2.ARPRequest, Link: s.link().Index, EthSrc: neighbour(), EthDst: l2.BroadcastMAC(),
		Sender: netip.MustParseAddr("10.99.0.2"), SenderMAC: neighbour(), Target: a,
	}
}

func responses(w *Wire, a netip.Addr) uint64 { return w.machine.Counters()[a].Responses }

func TestQuestionsThatWaitedThroughAStandstillAreNotAnswered(t *testing.T) {
	s := newSegment(t)
	may := true
	w := s.fenced(func() bool { return may })
	w.deliver(letter{want: announcements(vip4()), hasWant: true, confirm: w.Now()})
	w.handle(s.asks(vip4()))
	if got := responses(w, vip4()); got != 1 {
		t.Fatalf("%d answers of a member in good standing, want 1", got)
	}
	late := w.Now() // taken before the standstill, said after it
	may = false
	frames := w.sent.Frames
	w.handle(s.asks(vip4()))
	w.deliver(letter{confirm: late})
	w.do(w.machine.Reannounce(nil, w.Now()))
	may = true // but nobody has looked at the new view yet
	w.handle(s.asks(vip4()))
	w.deliver(letter{confirm: late})
	w.handle(s.asks(vip4()))
	if w.sent.Frames != frames || responses(w, vip4()) != 1 {
		t.Errorf("%d frames were sent before the next evidence", w.sent.Frames-frames)
	}
	w.deliver(letter{confirm: w.Now()})
	w.handle(s.asks(vip4()))
	if got := responses(w, vip4()); got != 2 {
		t.Errorf("%d answers after new evidence, want 2", got)
	}
}

func TestABatchIsWithheldWhenTheNodeMayNoLongerSpeak(t *testing.T) {
	s := newSegment(t)
	may := true
	w := s.fenced(func() bool { return may })
	w.deliver(letter{want: announcements(vip4()), hasWant: true, confirm: w.Now()})
	frames := w.sent.Frames
	batch := w.machine.Handle(s.asks(vip4()), w.Now())
	may = false // between the decision and the first frame
	w.do(batch)
	if w.sent.Frames != frames || w.sent.Withheld != 1 {
		t.Errorf("sent %d frames, withheld %d", w.sent.Frames-frames, w.sent.Withheld)
	}
}

// What was announced before the evidence was lost is not said again by the evidence for the set
// that replaces it.
func TestTheSetComesBeforeTheConfirmationThatItIsFor(t *testing.T) {
	s := newSegment(t)
	w := s.fenced(nil)
	before, after := vip4(), vip4().Next()
	w.deliver(letter{want: announcements(before), hasWant: true}) // no evidence: nothing is said
	seen := s.claims(unix.ETH_P_ARP, before, 1, 200*time.Millisecond, func() {
		w.deliver(letter{want: announcements(after), hasWant: true, confirm: w.Now()})
	})
	if seen != 0 || w.machine.Counters()[after].Gratuitous == 0 {
		t.Errorf("said %d times what is no longer wanted, %+v of what is", seen, w.machine.Counters()[after])
	}
	w.handle(s.asks(before))
	if got := responses(w, before); got != 0 {
		t.Error("answered for what is no longer wanted")
	}
	if n := len(w.machine.Addresses(lb.IPv4)); n != 1 {
		t.Errorf("%d addresses, want 1", n)
	}
}
