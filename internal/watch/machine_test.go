// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

const forget = time.Second

// newWatcher returns a watcher named a among the others named.
func newWatcher(others ...string) *Machine {
	m := New(Config{Self: "a", Serial: 100, Forget: forget})
	m.SetMembers(others, forget)
	return m
}

// text writes actions as "ping b", "ask c about b", "fence", sorted.
func text(actions []Action) string {
	var out []string
	for _, a := range actions {
		switch a.Op {
		case Ping:
			out = append(out, "ping "+a.To)
		case Fence:
			out = append(out, "fence")
		case Send:
			out = append(out, fmt.Sprintf("%s %s to %s", strings.ToLower(a.Message.Kind.String()), a.Message.Node, a.To))
		}
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

func silent(nodes ...string) []Session {
	var out []Session
	for _, n := range nodes {
		out = append(out, Session{Node: n, Silent: true})
	}
	return out
}

func expect(t *testing.T, what string, got []Action, want string) {
	t.Helper()
	if text(got) != want {
		t.Errorf("%s: %q, want %q", what, text(got), want)
	}
}

func doubted(t *testing.T, m *Machine, want ...string) {
	t.Helper()
	if got := m.Doubted(); !slices.Equal(got, want) {
		t.Errorf("doubts %v, want %v", got, want)
	}
}

// serialOf returns the serial of the inquiry that actions belong to.
func serialOf(t *testing.T, actions []Action) uint64 {
	t.Helper()
	for _, a := range actions {
		if a.Op == Send {
			return a.Message.Serial
		}
	}
	t.Fatalf("no message in %q", text(actions))
	return 0
}

func TestSilenceThatAllConfirmIsDeath(t *testing.T) {
	m := newWatcher("b", "c", "d")
	asked := m.SetSessions(silent("b"), 0)
	expect(t, "silence", asked, "ask b to c, ask b to d, ping b")
	expect(t, "the same again", m.SetSessions(silent("b"), 1), "")
	n := serialOf(t, asked)
	expect(t, "own ping", m.Pinged("b", false, 40*time.Millisecond), "")
	expect(t, "first No", m.Receive(Message{Kind: No, From: "c", Node: "b", Serial: n}, 41*time.Millisecond), "")
	doubted(t, m)
	expect(t, "second No", m.Receive(Message{Kind: No, From: "d", Node: "b", Serial: n}, 42*time.Millisecond),
		"gone b to b, gone b to c, gone b to d")
	doubted(t, m, "b")
	m.SetMembers([]string{"c", "d"}, forget) // the membership knows by now
	doubted(t, m)
}

func TestWhatEndsASuspicion(t *testing.T) {
	for name, end := range map[string]func(m *Machine, serial uint64){
		"an answered ping":   func(m *Machine, _ uint64) { m.Pinged("b", true, 1) },
		"one Yes":            func(m *Machine, n uint64) { m.Receive(Message{Kind: Yes, From: "d", Node: "b", Serial: n}, 1) },
		"its own word":       func(m *Machine, _ uint64) { m.Receive(Message{Kind: Here, From: "b", Node: "b", Serial: 1}, 1) },
		"the membership":     func(m *Machine, _ uint64) { m.SetMembers([]string{"c", "d"}, forget) },
		"another's finding":  func(m *Machine, _ uint64) { m.Receive(Message{Kind: Gone, From: "d", Node: "b", Serial: 1}, 1) },
		"helpers who say no": nil,
	} {
		m := newWatcher("b", "c", "d")
		n := serialOf(t, m.SetSessions(silent("b"), 0))
		if end != nil {
			end(m, n)
		}
		m.Pinged("b", false, 2)
		m.Receive(Message{Kind: No, From: "c", Node: "b", Serial: n}, 3)
		got := m.Tick(inquiryTime)
		if end == nil != strings.Contains(text(got), "gone b") {
			t.Errorf("%s: %q", name, text(got))
		}
	}
}

// A watcher that nobody answers cannot tell its own isolation from another's death.
func TestWatcherThatIsCutOffFindsNothing(t *testing.T) {
	m := newWatcher("b", "c", "d")
	m.SetSessions(silent("b", "c", "d"), 0)
	for _, n := range []string{"b", "c", "d"} {
		expect(t, "own ping", m.Pinged(n, false, 40*time.Millisecond), "")
	}
	m.Tick(askAgain)
	expect(t, "the end", m.Tick(inquiryTime), "")
	doubted(t, m)
	if at, ok := m.Next(); ok {
		t.Errorf("something is due at %s", at)
	}
}

func TestOneAnswerOfThreeHelpersIsEnough(t *testing.T) {
	m := newWatcher("b", "c", "d", "e", "f", "g")
	asked := m.SetSessions(silent("b"), 0)
	if got := strings.Count(text(asked), "ask"); got != helpers {
		t.Errorf("asked %d, want %d", got, helpers)
	}
	var helper string
	for _, a := range asked {
		if a.Op == Send {
			helper = a.To
		}
	}
	n := serialOf(t, asked)
	m.Pinged("b", false, 40*time.Millisecond)
	expect(t, "a No of somebody who was not asked", m.Receive(Message{Kind: No, From: "b", Node: "b", Serial: n}, 41), "")
	m.Receive(Message{Kind: No, From: helper, Node: "b", Serial: n}, 42*time.Millisecond)
	doubted(t, m)
	m.Tick(inquiryTime)
	doubted(t, m, "b")
}

func TestWithoutAThirdNodeTheOwnPingDecides(t *testing.T) {
	m := newWatcher("b")
	expect(t, "silence", m.SetSessions(silent("b"), 0), "ping b")
	expect(t, "no answer", m.Pinged("b", false, 40*time.Millisecond), "gone b to b")
	doubted(t, m, "b")
}

func TestHelpersPingOnceAndAnswerEachAsker(t *testing.T) {
	m := newWatcher("b", "c", "d")
	ask := func(from string) Message { return Message{Kind: Ask, From: from, Node: "b", Serial: 7} }
	expect(t, "c asks", m.Receive(ask("c"), 0), "ping b")
	expect(t, "c asks again", m.Receive(ask("c"), 1), "")
	expect(t, "d asks", m.Receive(ask("d"), 2), "")
	expect(t, "the ping ends", m.Pinged("b", true, 3), "yes b to c, yes b to d")
	expect(t, "asked about itself", m.Receive(Message{Kind: Ask, From: "c", Node: "a", Serial: 8}, 4), "yes a to c")
	expect(t, "asked about a stranger", m.Receive(Message{Kind: Ask, From: "c", Node: "x", Serial: 9}, 4), "no x to c")
	expect(t, "a stranger asks", m.Receive(Message{Kind: Ask, From: "x", Node: "b", Serial: 9}, 4), "")
}

func TestFindingsOfOthersHoldUntilDeniedOrForgotten(t *testing.T) {
	m := newWatcher("b", "c")
	gone := Message{Kind: Gone, From: "c", Node: "b", Serial: 5}
	m.Receive(gone, 0)
	doubted(t, m, "b")
	m.Receive(Message{Kind: Here, From: "b", Node: "b", Serial: 3}, 10)
	doubted(t, m)
	m.Receive(gone, 20) // a late copy
	doubted(t, m)
	gone.Serial++
	m.Receive(gone, 30)
	doubted(t, m, "b")
	m.Receive(Message{Kind: Gone, From: "b", Node: "c", Serial: 9}, 31) // the doubted one cannot retaliate
	doubted(t, m, "b")
	m.Tick(30 + forget)
	doubted(t, m)
}

func TestNodeThatIsDeclaredGoneProvesItsPlaceAndSaysSo(t *testing.T) {
	m := newWatcher("b", "c")
	expect(t, "before", m.Restored(0), "")
	expect(t, "a finding about itself", m.Receive(Message{Kind: Gone, From: "b", Node: "a", Serial: 5}, 1), "fence")
	expect(t, "the same of another", m.Receive(Message{Kind: Gone, From: "c", Node: "a", Serial: 6}, 2), "")
	expect(t, "its place is proved", m.Restored(10), "here a to b, here a to c")
	expect(t, "only once", m.Restored(11), "")
	for i, after := range repeats() {
		at, ok := m.Next()
		if want := 10 + after; !ok || at != want {
			t.Fatalf("repetition %d is due at %s, want %s", i, at, want)
		}
		expect(t, "repetition", m.Tick(at), "here a to b, here a to c")
	}
	if _, ok := m.Next(); ok {
		t.Error("it never ends")
	}
}

// A node that denies again and again is left to the membership, ever longer.
func TestDeniedFindingsPauseTheWatcher(t *testing.T) {
	m := newWatcher("b", "c")
	now, serial := time.Duration(0), uint64(0)
	for _, pause := range []time.Duration{firstPause, 2 * firstPause, 4 * firstPause} {
		n := serialOf(t, m.SetSessions(silent("b"), now))
		m.Pinged("b", false, now+1)
		m.Receive(Message{Kind: No, From: "c", Node: "b", Serial: n}, now+2)
		doubted(t, m, "b")
		serial++
		now += 3
		m.Receive(Message{Kind: Here, From: "b", Node: "b", Serial: serial}, now)
		doubted(t, m)
		m.SetSessions(nil, now)
		expect(t, "silent in the pause", m.SetSessions(silent("b"), now+pause-1), "")
		m.SetSessions(nil, now+pause-1)
		now += pause
	}
}

func TestNodeThatIsUnfitJudgesNobody(t *testing.T) {
	m := newWatcher("b", "c", "d")
	m.SetSessions(silent("b"), 0)
	m.Receive(Message{Kind: Gone, From: "c", Node: "d", Serial: 1}, 1)
	m.SetFit(false)
	m.Pinged("b", false, 2)
	expect(t, "the end of the inquiry", m.Tick(inquiryTime), "")
	expect(t, "another silence", m.SetSessions(silent("b", "c"), inquiryTime), "")
	doubted(t, m, "d") // what others found holds
	m.SetFit(true)
	m.SetSessions(nil, inquiryTime)
	if m.SetSessions(silent("b"), inquiryTime) == nil {
		t.Error("it never judges again")
	}

	two := newWatcher("b")
	two.SetSessions(silent("b"), 0)
	two.Pinged("b", false, 1)
	doubted(t, two, "b")
	two.SetFit(false)
	doubted(t, two)
}

func TestMessagesTravel(t *testing.T) {
	for k := Ask; k <= Here; k++ {
		want := Message{Kind: k, From: "node-1.example.org", Node: strings.Repeat("n", maxName), Serial: 1<<63 + uint64(k)}
		b := want.Append(nil)
		if got, err := Parse(b); err != nil || got != want {
			t.Errorf("%s: got %+v, %v", k, got, err)
		}
		for i := range b {
			if _, err := Parse(b[:i]); err == nil {
				t.Errorf("%s: %d bytes are enough", k, i)
			}
		}
	}
	for _, bad := range [][]byte{nil, {0}, append([]byte{9}, make([]byte, 20)...), append([]byte{1}, make([]byte, 20)...)} {
		if m, err := Parse(bad); err == nil {
			t.Errorf("%v became %+v", bad, m)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(Message{Kind: Gone, From: "a", Node: "b", Serial: 1}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Parse(b)
		if err != nil {
			return
		}
		if again, err := Parse(m.Append(nil)); err != nil || again != m {
			t.Errorf("%+v became %+v, %v", m, again, err)
		}
	})
}
