// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package l2_test

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/l2"
	"github.com/clarion-lb/clarion/internal/lb"
)

type portID struct {
	link   int
	family lb.Family
}

// host plays the shell: it obeys actions and fails the test when they make no sense, such
// as sending through a socket that is not open.
type host struct {
	t      testing.TB
	seed   uint64
	groups map[portID]map[netip.Addr]bool // by open port
	frames map[portID]int
}

func (h *host) obey(actions []l2.Action) {
	for _, a := range actions {
		id := portID{a.Link, a.Family}
		groups, open := h.groups[id]
		ok := true
		switch a.Op {
		case l2.Open:
			ok = !open
			h.groups[id] = map[netip.Addr]bool{}
		case l2.Close:
			ok = open
			delete(h.groups, id)
		case l2.Join:
			ok = open && !groups[a.Group]
			if open {
				groups[a.Group] = true
			}
		case l2.Leave:
			ok = open && groups[a.Group]
			delete(groups, a.Group)
		case l2.SendARP, l2.SendNA, l2.SendNS:
			ok = open
			h.frames[id]++
		}
		if !ok {
			h.t.Fatalf("seed %d: the host cannot %s", h.seed, line(a))
		}
	}
}

// world is a random node in virtual time beside a machine.
type world struct {
	*host
	rng      *rand.Rand
	m        *l2.Machine
	now      time.Time
	links    []lb.Link
	want     []lb.Announcement
	released map[netip.Addr]time.Time
	pool     []netip.Addr
}

func newWorld(t testing.TB, seed uint64) *world {
	h := &host{t: t, seed: seed, groups: map[portID]map[netip.Addr]bool{}, frames: map[portID]int{}}
	w := &world{
		host: h, rng: rand.New(rand.NewPCG(seed, 1)), now: at(0), released: map[netip.Addr]time.Time{},
		m: newMachine(t, l2.Config{Seed: seed, Rate: 200, Depth: 20}),
	}
	for _, base := range []string{"192.0.2.10", "198.51.100.10", "10.9.9.9", "2001:db8::10", "2001:db8:1::10", "2001:db8::1:0:10"} {
		a := netip.MustParseAddr(base)
		for range 6 {
			w.pool = append(w.pool, a)
			a = a.Next()
		}
	}
	return w
}

// step does one random thing.
func (w *world) step() {
	w.now = w.now.Add(time.Duration(w.rng.IntN(400)) * time.Millisecond)
	switch w.rng.IntN(8) {
	case 0, 1:
		w.changeWant()
		w.obey(w.m.Set(w.want, w.now))
	case 2:
		w.changeLinks()
		w.obey(w.m.SetLinks(w.links, w.now))
	case 3:
		w.release()
	case 4:
		w.obey(w.m.Failed(2+w.rng.IntN(2), []lb.Family{lb.IPv4, lb.IPv6}[w.rng.IntN(2)], w.now))
	case 5:
		a := w.pool[w.rng.IntN(len(w.pool))]
		q := claim4(a)
		if a.Is6() {
			q = claim6(a)
		}
		q.Link = 2 + w.rng.IntN(2)
		w.obey(w.m.Handle(q, w.now))
	case 6:
		w.obey(w.m.Reannounce(w.pool[:w.rng.IntN(len(w.pool))], w.now))
	default:
		w.obey(w.m.Tick(w.now))
	}
}

func (w *world) changeWant() {
	w.want = nil
	for _, a := range w.pool {
		if w.rng.IntN(2) == 0 {
			continue
		}
		var names []string
		if w.rng.IntN(4) == 0 {
			names = []string{[]string{"eth0", "eth1", "eth9"}[w.rng.IntN(3)]}
		}
		w.want = append(w.want, lb.Announcement{Addr: a, Interfaces: names})
		delete(w.released, a)
	}
	w.rng.Shuffle(len(w.want), func(i, j int) { w.want[i], w.want[j] = w.want[j], w.want[i] })
}

func (w *world) changeLinks() {
	w.links = nil
	for _, l := range []lb.Link{link0(), link1()} {
		if w.rng.IntN(6) == 0 {
			continue
		}
		l.Carrier = w.rng.IntN(3) > 0
		l.HardwareAddr[5] += byte(0x20 * w.rng.IntN(2))
		if w.rng.IntN(8) == 0 {
			l.Master = 7
		}
		if w.rng.IntN(3) == 0 {
			l.Prefixes = link0().Prefixes
		}
		w.links = append(w.links, l)
	}
}

func (w *world) release() {
	var addrs []netip.Addr
	for _, a := range w.want {
		if w.rng.IntN(3) == 0 {
			addrs = append(addrs, a.Addr)
			if _, already := w.released[a.Addr]; !already {
				w.released[a.Addr] = w.now.Add(500 * time.Millisecond)
			}
		}
	}
	if addrs == nil {
		return // nil would mean all
	}
	w.obey(w.m.Release(addrs, w.now))
	w.want = slices.DeleteFunc(w.want, func(a lb.Announcement) bool { return slices.Contains(addrs, a.Addr) })
}

// answers asks for an address on a link and says whether somebody answers.
func (w *world) answers(a netip.Addr, link int) bool {
	q := request(a)
	if a.Is6() {
		q = solicitation(a)
	}
	q.Link = link
	got := w.m.Handle(q, w.now)
	w.obey(got)
	return len(got) == 1
}

// TestI5OnlyWantedAddressesAreAnswered is I5 in the machine's terms: whatever happened before,
// an address that is neither wanted nor being handed over is never answered for.
func TestI5OnlyWantedAddressesAreAnswered(t *testing.T) {
	for seed := range uint64(300) {
		w := newWorld(t, seed)
		for range 60 {
			w.step()
			w.obey(w.m.Tick(w.now))
			for _, a := range w.pool {
				wanted := slices.ContainsFunc(w.want, func(x lb.Announcement) bool { return x.Addr == a })
				until, leaving := w.released[a]
				if !wanted && (!leaving || !until.After(w.now)) && (w.answers(a, eth0) || w.answers(a, eth1)) {
					t.Fatalf("seed %d: %s is answered for without being wanted", seed, a)
				}
			}
		}
	}
}

// TestI6TheSameSetAgainDoesNothing is I6, for Set and SetLinks, also in another order.
func TestI6TheSameSetAgainDoesNothing(t *testing.T) {
	for seed := range uint64(300) {
		w := newWorld(t, seed)
		for range 60 {
			w.step()
			w.obey(w.m.Set(w.want, w.now))
			w.obey(w.m.Tick(w.now))
			before, had := w.m.Deadline()
			w.rng.Shuffle(len(w.want), func(i, j int) { w.want[i], w.want[j] = w.want[j], w.want[i] })
			if got := w.m.Set(w.want, w.now); len(got) != 0 {
				t.Fatalf("seed %d: the same set again does %q", seed, text(got))
			}
			if got := w.m.SetLinks(slices.Clone(w.links), w.now); len(got) != 0 {
				t.Fatalf("seed %d: the same links again do %q", seed, text(got))
			}
			if after, has := w.m.Deadline(); has != had || !after.Equal(before) {
				t.Fatalf("seed %d: the deadline moved from %v to %v", seed, before, after)
			}
		}
	}
}

// TestTheResultDoesNotDependOnHistory gives a machine with a past and a fresh one the same
// input: after the failed ports are back they listen and answer alike.
func TestTheResultDoesNotDependOnHistory(t *testing.T) {
	for seed := range uint64(300) {
		w := newWorld(t, seed)
		for range 40 {
			w.step()
		}
		w.now = w.now.Add(time.Minute) // releases and pauses are over
		w.obey(w.m.Set(w.want, w.now))
		w.obey(w.m.Tick(w.now))
		f := newWorld(t, seed)
		f.now = w.now
		f.obey(f.m.SetLinks(w.links, f.now))
		f.obey(f.m.Set(w.want, f.now))
		if len(w.groups) != len(f.groups) && !twins(w.links) {
			t.Fatalf("seed %d: %d ports open, a fresh machine has %d", seed, len(w.groups), len(f.groups))
		}
		for _, a := range w.pool {
			here := w.answers(a, eth0) || w.answers(a, eth1)
			fresh := f.answers(a, eth0) || f.answers(a, eth1)
			if here != fresh {
				t.Fatalf("seed %d: %s answered %v, by a fresh machine %v", seed, a, here, fresh)
			}
		}
	}
}

// twins says whether two links share a subnet; which of them carries an address is the one
// thing that may depend on history.
func twins(links []lb.Link) bool {
	return len(links) == 2 && links[0].Prefixes[0] == links[1].Prefixes[0]
}

// TestGroupsAreExactlyThoseOfTheAnnouncedAddresses compares what the host joined with what
// a listener needs.
func TestGroupsAreExactlyThoseOfTheAnnouncedAddresses(t *testing.T) {
	for seed := range uint64(300) {
		w := newWorld(t, seed)
		for range 60 {
			w.step()
			for id, joined := range w.groups {
				needed := map[netip.Addr]bool{}
				for _, a := range w.pool {
					if id.family == lb.IPv6 && a.Is6() && w.answers(a, id.link) {
						needed[l2.SolicitedNode(a)] = true
					}
				}
				if len(needed) != len(joined) {
					t.Fatalf("seed %d: joined %v on %d, need %v", seed, joined, id.link, needed)
				}
			}
		}
	}
}
