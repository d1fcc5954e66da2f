// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package members

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarion-lb/clarion/internal/lb"
)

func peer(i int) Peer {
	return Peer{Node: fmt.Sprintf("n%d", i), Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), DefaultPort)}
}

func nobody(string) bool { return false }

// pinged returns the nodes that the tries ping, in order.
func pinged(tries []try) (nodes []string) {
	for _, t := range tries {
		if !t.join {
			nodes = append(nodes, t.peer.Node)
		}
	}
	return nodes
}

func TestStaleness(t *testing.T) {
	for _, c := range []struct {
		last, now, limit time.Duration
		want             bool
	}{
		{0, 0, time.Second, false},
		{time.Second, 2 * time.Second, time.Second, false},
		{time.Second, 2*time.Second + 1, time.Second, true},
		{2 * time.Second, time.Second, time.Second, false},
	} {
		if got := stale(c.last, c.now, c.limit); got != c.want {
			t.Errorf("stale(%s, %s, %s) = %v", c.last, c.now, c.limit, got)
		}
	}
}

func TestProofRules(t *testing.T) {
	answer := func(b *book, i int) { b.done(try{peer: peer(i)}, b.since, true) }
	fail := func(b *book, i int) { b.done(try{peer: peer(i)}, b.since, false) }
	for name, c := range map[string]struct {
		peers  int // listed; -1 for no list
		happen func(*book)
		after  time.Duration
		want   bool
	}{
		"no list proves nothing":             {-1, func(*book) {}, time.Hour, false},
		"an empty list does":                 {0, func(*book) {}, 0, true},
		"untried peers prevent it":           {2, func(b *book) { answer(b, 1) }, time.Hour, false},
		"one answer, the other tried":        {2, func(b *book) { answer(b, 1); fail(b, 2) }, 0, true},
		"three answers need no more":         {9, func(b *book) { answer(b, 1); answer(b, 2); answer(b, 3) }, 0, true},
		"two of nine do":                     {9, func(b *book) { answer(b, 1); answer(b, 2) }, time.Hour, false},
		"all failed, before the grace time":  {2, func(b *book) { fail(b, 1); fail(b, 2) }, grace - 1, false},
		"all failed, after the grace time":   {2, func(b *book) { fail(b, 1); fail(b, 2) }, grace, true},
		"learned and failed, but no list":    {-1, func(b *book) { b.learn(peer(1)); fail(b, 1) }, time.Hour, false},
		"learned and answered, without list": {-1, func(b *book) { b.learn(peer(1)); answer(b, 1) }, 0, true},
		"an answer from before does not count": {1, func(b *book) {
			b.reset(time.Minute, false)
			b.done(try{peer: peer(1)}, time.Second, true)
		}, time.Hour, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook("n0", 0)
			if c.peers >= 0 {
				var list []Peer
				for i := range c.peers {
					list = append(list, peer(i+1))
				}
				b.list(list, nobody)
			}
			c.happen(b)
			if got := b.proven(b.since + c.after); got != c.want {
				t.Errorf("proven is %v, want %v", got, c.want)
			}
		})
	}
}

func TestTwoAddressesOfANodeAreOneAnswer(t *testing.T) {
	b := newBook("n0", 0)
	list := []Peer{peer(1), peer(2), peer(3)}
	other := peer(1)
	other.Addr = netip.MustParseAddrPort("[fd00::1]:7946")
	b.list(append(list, other), nobody)
	b.done(try{peer: peer(1)}, 0, true)
	b.done(try{peer: other}, 0, true)
	b.done(try{peer: peer(2)}, 0, true)
	if b.proven(time.Hour) {
		t.Error("two nodes count as three")
	}
	if got := b.size(); got != 4 {
		t.Errorf("size is %d, want 4", got)
	}
}

func TestMissingPeersArePingedInTurn(t *testing.T) {
	b := newBook("n0", 0)
	var list []Peer
	for i := range 20 {
		list = append(list, peer(i+1))
	}
	b.list(list, nobody)
	counts := map[string]int{}
	for now := time.Second; now < 11*time.Second; now += tickPeriod {
		for _, node := range pinged(b.due(now, false, nobody)) {
			counts[node]++
			b.done(try{peer: list[slices.IndexFunc(list, func(p Peer) bool { return p.Node == node })]}, now, false)
		}
	}
	// 10 s at one ping per 25 ms and a burst, over 20 peers.
	for _, p := range list {
		if n := counts[p.Node]; n < 20 || n > 21 {
			t.Errorf("%s was pinged %d times, want 20 or 21", p.Node, n)
		}
	}
}

func TestLivePeersAreLeftAlone(t *testing.T) {
	b := newBook("n0", 0)
	b.list([]Peer{peer(1), peer(2), {Node: "n0"}}, nobody)
	alive := func(node string) bool { return node == "n1" }
	if got := pinged(b.due(time.Second, false, alive)); !slices.Equal(got, []string{"n2"}) {
		t.Errorf("pings %v, want n2", got)
	}
	if got := b.missing(alive); got != 1 {
		t.Errorf("%d missing, want 1", got)
	}
}

func TestUnprovenNodeAsksLivePeersUntilTheyAnswer(t *testing.T) {
	b := newBook("n0", 0)
	b.list([]Peer{peer(1), peer(2)}, nobody)
	alive := func(string) bool { return true }
	ask := func(at time.Duration, want ...string) {
		t.Helper()
		if got := pinged(b.due(at, true, alive)); !slices.Equal(got, want) {
			t.Fatalf("at %s pings %v, want %v", at, got, want)
		}
	}
	ask(0, "n1", "n2")
	ask(50 * time.Millisecond) // both under way
	b.done(try{peer: peer(1)}, 0, true)
	b.done(try{peer: peer(2)}, 0, false)
	ask(100 * time.Millisecond) // too early
	ask(pingPeriod, "n2")
}

func TestPeersAreAskedOneByOneAfterALinkCameUp(t *testing.T) {
	s := newStanding("n0", 0)
	s.book.list([]Peer{peer(1), peer(2), peer(3), peer(4)}, nobody)
	s.setLink(false, time.Second)
	s.setLink(true, 2*time.Second)
	for i := range 4 {
		now := 2*time.Second + time.Duration(i)*pingGap
		if got := pinged(s.book.due(now, true, nobody)); len(got) != 1 {
			t.Fatalf("ask %v at once", got)
		}
	}
}

func TestJoinWithoutPingComesAfterASecondAndRarelyLater(t *testing.T) {
	b := newBook("n0", 0)
	b.list([]Peer{peer(1)}, nobody)
	joins := func(from, to time.Duration, unproven bool) (n int) {
		for now := from; now < to; now += tickPeriod {
			for _, t := range b.due(now, unproven, nobody) {
				if t.join {
					n++
				}
				b.done(t, now, false)
			}
		}
		return n
	}
	if got := joins(0, 3*time.Second, true); got != 2 {
		t.Errorf("%d joins within the grace time, want 2", got)
	}
	if got := joins(3*time.Second, 13*time.Second, false); got != 2 {
		t.Errorf("%d joins in 10 s, want 2", got)
	}
}

func TestPeerThatAnswersInVainIsAskedLessAndLess(t *testing.T) {
	b := newBook("n0", 0)
	b.list([]Peer{peer(1)}, nobody)
	var asked []time.Duration
	ask := func(from, to time.Duration) {
		for now := from; now < to; now += tickPeriod {
			for _, t := range b.due(now, false, nobody) {
				if !t.join {
					asked = append(asked, now)
				}
				b.done(t, now, !t.join)
			}
		}
	}
	ask(0, 3500*time.Millisecond)
	ms := time.Millisecond
	if want := []time.Duration{0, 200 * ms, 600 * ms, 1400 * ms, 3000 * ms}; !slices.Equal(asked, want) {
		t.Fatalf("asked at %v, want %v", asked, want)
	}
	b.due(4*time.Second, false, func(string) bool { return true })
	asked = nil
	ask(10*time.Second, 10*time.Second+500*ms)
	if want := []time.Duration{10 * time.Second, 10*time.Second + 200*ms}; !slices.Equal(asked, want) {
		t.Errorf("after it was alive asked at %v, want %v", asked, want)
	}
}

func TestDeadPeerThatIsNoLongerListedIsForgotten(t *testing.T) {
	b := newBook("n0", 0)
	b.list([]Peer{peer(1), peer(2)}, nobody)
	b.learn(peer(3))
	b.list([]Peer{peer(1)}, func(node string) bool { return node == "n3" })
	if got := b.size(); got != 3 {
		t.Errorf("%d nodes are known, want n0, n1 and n3", got)
	}
}

func TestViewFollowsTheStanding(t *testing.T) {
	alone := func() *standing {
		s := newStanding("n1", 0)
		s.begin(0)
		s.book.list(nil, nobody)
		s.prove(0)
		s.join(peer(2))
		return s
	}
	for name, c := range map[string]struct {
		happen func(*standing)
		want   lb.View
	}{
		"proven":              {func(*standing) {}, lb.View{Known: true, Members: []string{"n1", "n2"}}},
		"itself is no peer":   {func(s *standing) { s.join(peer(1)) }, lb.View{Known: true, Members: []string{"n1", "n2"}}},
		"a member gone":       {func(s *standing) { s.leave("n2") }, lb.View{Known: true, Members: []string{"n1"}}},
		"no link":             {func(s *standing) { s.setLink(false, 1) }, lb.View{Known: true, Members: []string{"n2"}}},
		"link back, unproven": {func(s *standing) { s.setLink(false, 1); s.setLink(true, 2); s.prove(3) }, lb.View{Known: true, Members: []string{"n2"}}},
		"link back, proven": {func(s *standing) {
			s.setLink(false, 1)
			s.setLink(true, 2)
			s.book.done(try{peer: peer(2)}, 2, true)
			s.prove(3)
		}, lb.View{Known: true, Members: []string{"n1", "n2"}}},
		"no proof without link": {func(s *standing) {
			s.setLink(false, 1)
			s.book.done(try{peer: peer(2)}, 1, true)
			s.prove(3)
		}, lb.View{Known: true, Members: []string{"n2"}}},
		"stood still":  {func(s *standing) { s.fence(1) }, lb.View{Known: true, Members: []string{"n2"}}},
		"left":         {func(s *standing) { s.left = true }, lb.View{Known: true, Members: []string{"n2"}}},
		"being set up": {func(s *standing) { s.end(1); s.begin(2); s.prove(3) }, lb.View{Known: true, Members: []string{"n1", "n2"}}},
		"set up again": {func(s *standing) {
			s.end(1)
			s.begin(2)
			s.join(peer(3))
			s.book.done(try{peer: peer(2)}, 2, false)
			s.book.done(try{peer: peer(3)}, 2, true)
			s.prove(3)
		}, lb.View{Known: true, Members: []string{"n1", "n3"}}},
		"not set up again": {func(s *standing) { s.end(1); s.fence(2) }, lb.View{Known: true, Members: []string{"n2"}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := alone()
			c.happen(s)
			if d := cmp.Diff(c.want, s.view(true)); d != "" {
				t.Error(d)
			}
			if slices.Contains(s.view(false).Members, "n1") {
				t.Error("counts itself although it stood still")
			}
		})
	}
}

func TestFencedNodeProvesNothingBeforeItsProbationIsOver(t *testing.T) {
	const probation = 100 * time.Millisecond
	for name, c := range map[string]struct {
		happen func(*standing)
		at     time.Duration
		want   bool
	}{
		"a normal start waits for nothing": {func(s *standing) { s.proof = starting; s.fence(0) }, 1, true},
		"stood still, too early":           {func(s *standing) { s.fence(1000) }, 1000 + probation - 1, false},
		"stood still, late enough":         {func(s *standing) { s.fence(1000) }, 1000 + probation, true},
		"stood still twice":                {func(s *standing) { s.fence(1000); s.fence(2000) }, 1000 + probation, false},
		"link back, too early":             {func(s *standing) { s.setLink(false, 1); s.setLink(true, 1000) }, 1000 + probation - 1, false},
		"denied its death":                 {func(s *standing) { s.accuse(1000) }, 1000, true},
		"denied its death on probation":    {func(s *standing) { s.fence(1000); s.accuse(2000) }, 1000 + probation - 1, false},
		"set up again":                     {func(s *standing) { s.end(1000); s.begin(1000) }, 1000, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStanding("n1", 0)
			s.probation = probation
			s.begin(0)
			s.book.list([]Peer{peer(2)}, nobody)
			s.book.done(try{peer: peer(2)}, 0, true)
			if !s.prove(0) {
				t.Fatal("no proof to begin with")
			}
			c.happen(s)
			if s.prove(c.at) {
				t.Error("proven before a peer has answered since")
			}
			s.book.done(try{peer: peer(2)}, c.at, true)
			if got := s.prove(c.at); got != c.want {
				t.Errorf("proven is %v, want %v", got, c.want)
			}
		})
	}
}

func TestEachWayOutOfTheViewCountsAsFence(t *testing.T) {
	for name, c := range map[string]struct {
		happen func(*standing)
		want   uint64
	}{
		"nothing":               {func(*standing) {}, 0},
		"a member came":         {func(s *standing) { s.join(peer(3)) }, 0},
		"set up again":          {func(s *standing) { s.end(1); s.begin(2) }, 0},
		"said goodbye":          {func(s *standing) { s.left = true }, 0},
		"stood still":           {func(s *standing) { s.fence(1) }, 1},
		"link down":             {func(s *standing) { s.setLink(false, 1) }, 1},
		"link down and up":      {func(s *standing) { s.setLink(false, 1); s.setLink(true, 2) }, 2},
		"link up as it was":     {func(s *standing) { s.setLink(true, 1) }, 0},
		"denied its death":      {func(s *standing) { s.accuse(1) }, 1},
		"denied it after leave": {func(s *standing) { s.left = true; s.accuse(1) }, 0},
	} {
		s := newStanding("n1", 0)
		s.begin(0)
		s.book.list(nil, nobody)
		s.prove(0)
		c.happen(s)
		if s.fences != c.want {
			t.Errorf("%s: %d fences, want %d", name, s.fences, c.want)
		}
	}
}

func TestStartingViewIsUnknownWhateverHappens(t *testing.T) {
	for name, happen := range map[string]func(*standing){
		"nothing":           func(*standing) {},
		"a member appeared": func(s *standing) { s.join(peer(2)) },
		"stood still":       func(s *standing) { s.fence(1) },
		"link down":         func(s *standing) { s.setLink(false, 1) },
		"no gossip yet":     func(s *standing) { s.book.list(nil, nobody); s.prove(1) },
		"set up again":      func(s *standing) { s.begin(1); s.end(2); s.begin(3) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStanding("n1", 0)
			happen(s)
			if s.view(true).Known || s.claims() {
				t.Errorf("view is %+v, claims %v", s.view(true), s.claims())
			}
		})
	}
}

func TestLinkUpNeedsCarrierOnTheLinkWithTheAddress(t *testing.T) {
	bind, anywhere := netip.MustParseAddr("10.0.0.1"), netip.IPv4Unspecified()
	link := func(prefix string, carrier bool) lb.Link {
		return lb.Link{Carrier: carrier, Prefixes: []netip.Prefix{netip.MustParsePrefix(prefix)}}
	}
	for name, c := range map[string]struct {
		bind  netip.Addr
		links []lb.Link
		want  bool
	}{
		"up":                 {bind, []lb.Link{link("10.0.1.1/24", false), link("10.0.0.1/24", true)}, true},
		"down":               {bind, []lb.Link{link("10.0.1.1/24", true), link("10.0.0.1/24", false)}, false},
		"nowhere":            {bind, []lb.Link{link("10.0.0.2/24", true)}, false},
		"anywhere, one up":   {anywhere, []lb.Link{link("10.0.1.1/24", true), link("10.0.0.1/24", false)}, true},
		"anywhere, all down": {anywhere, []lb.Link{link("10.0.1.1/24", false), link("10.0.0.1/24", false)}, false},
		"anywhere, loopback": {anywhere, []lb.Link{link("127.0.0.1/8", true), link("fe80::1/64", true)}, false},
	} {
		if got := LinkUp(c.links, c.bind); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
