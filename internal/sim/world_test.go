// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/lb"
)

// world is the cluster: its facts, its speakers and what is on its way between them.
type world struct {
	t        *testing.T
	r        *rand.Rand
	seed     uint64
	now      time.Duration
	queue    events
	order    uint64
	cfg      config
	facts    lb.Snapshot
	apiDown  bool // no watch delivers anything
	speakers []*speaker
	net      network
	wire     network
	answers  map[netip.Addr]*answering
	traced   []string
	// claims counts what speakers claimed, told the bytes of claims that all of them sent.
	claims, told int
	// ignored counts the client's questions that waited in a socket for too long, late those
	// that were answered after a short wait.
	ignored, late int
}

// config is what a seed is run with.
type config struct {
	nodes, services int
	election        lb.Election
	interval        time.Duration // between heartbeats
	patience        int           // heartbeats missed until a peer counts as dead
	grace           time.Duration // after which a speaker that heard nobody is alone
	rest            time.Duration // of a speaker's loop after a pass
	watch           bool          // heirs watch owners directly
	mixed           bool          // Services with endpoints here and there, shared addresses
	verbose         bool
}

func (c config) deadAfter() time.Duration { return time.Duration(c.patience) * c.interval }

// network is how messages fare. The zero network delivers at once.
type network struct {
	loss, double float64
	delay        time.Duration // at most
	cut          map[[2]int]bool
}

// answering is who answers for an address, and since when it is not exactly one.
type answering struct {
	by             []int
	since          time.Duration
	none, several  time.Duration // the longest time without and with more than one
	moves, dropped int
	droppedBy      map[int]bool
}

// event is something that happens to one life of a speaker, or to the world.
type event struct {
	at    time.Duration
	order uint64 // of equal times the one that was scheduled first happens first
	do    func()
}

type events []event

func (q events) Len() int { return len(q) }
func (q events) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].order < q[j].order
}
func (q events) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *events) Push(x any)   { *q = append(*q, x.(event)) }
func (q *events) Pop() any {
	last := len(*q) - 1
	x := (*q)[last]
	*q = (*q)[:last]
	return x
}

// after schedules something.
func (w *world) after(d time.Duration, do func()) {
	w.order++
	heap.Push(&w.queue, event{w.now + d, w.order, do})
}

// run lets time pass.
func (w *world) run(d time.Duration) {
	end := w.now + d
	for len(w.queue) > 0 && w.queue[0].at <= end {
		e := heap.Pop(&w.queue).(event)
		w.now = e.at
		e.do()
	}
	w.now = end
}

// upTo returns a random duration of at most d.
func (w *world) upTo(d time.Duration) time.Duration {
	return time.Duration(w.r.Int64N(int64(d) + 1))
}

// copyOfFacts returns the cluster as a watch would deliver it now.
func (w *world) copyOfFacts() *lb.Snapshot {
	s := w.facts
	s.Nodes = slices.Clone(s.Nodes)
	return &s
}

func (w *world) clock() time.Time { return time.Unix(1_000_000, 0).Add(w.now) }

// send carries a message, perhaps.
func (w *world) send(n *network, from, to int, deliver func()) {
	if n.cut[[2]int{from, to}] || w.r.Float64() < n.loss {
		return
	}
	times := 1
	if w.r.Float64() < n.double {
		times = 2
	}
	for range times {
		var d time.Duration
		if n.delay > 0 {
			d = w.upTo(n.delay)
		}
		w.after(d, deliver)
	}
}

func (w *world) trace(format string, args ...any) {
	if w.cfg.verbose {
		w.traced = append(w.traced, fmt.Sprintf("%8s ", w.now.Round(time.Millisecond))+fmt.Sprintf(format, args...))
	}
}

func (w *world) fatalf(format string, args ...any) {
	w.t.Helper()
	for _, line := range w.traced {
		w.t.Log(line)
	}
	w.t.Fatalf("seed %d, %+v, at %s: %s", w.seed, w.cfg, w.now, fmt.Sprintf(format, args...))
}

// newWorld returns a cluster in which nobody has started yet.
func newWorld(t *testing.T, seed uint64, cfg config) *world {
	w := &world{t: t, r: rand.New(rand.NewPCG(seed, uint64(cfg.nodes))), seed: seed, cfg: cfg, answers: map[netip.Addr]*answering{}}
	w.facts = lb.Snapshot{
		Pools: []lb.Pool{{Name: "p", Ranges: []lb.Range{{First: netip.MustParseAddr("10.0.0.0"), Last: netip.MustParseAddr("10.0.255.255")}}}},
		L2:    []lb.L2Advertisement{{Name: "ad", Pools: []string{"p"}, Elects: true, Election: cfg.election}},
	}
	for i := range cfg.nodes {
		w.facts.Nodes = append(w.facts.Nodes, lb.Node{Name: fmt.Sprintf("node-%03d", i)})
	}
	for i := range cfg.services {
		w.facts.Services = append(w.facts.Services, w.service(i))
	}
	w.net = network{cut: map[[2]int]bool{}}
	w.calm()
	w.wire = network{delay: time.Millisecond, cut: map[[2]int]bool{}}
	for i := range cfg.nodes {
		w.speakers = append(w.speakers, &speaker{w: w, id: i, name: w.facts.Nodes[i].Name})
	}
	return w
}

func (w *world) service(i int) lb.Service {
	addr := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
	s := lb.Service{
		Key: lb.Key{Namespace: "ns", Name: fmt.Sprintf("s%04d", i)}, Created: time.Unix(int64(i), 0),
		Assigned: []netip.Addr{addr}, Endpoints: lb.Endpoints{Known: true, Usable: 1},
	}
	if !w.cfg.mixed {
		return s
	}
	switch i % 4 {
	case 1: // only on some nodes
		s.LocalOnly, s.Endpoints.Local = true, map[string]int{}
		for range 3 {
			s.Endpoints.Local[w.facts.Nodes[w.r.IntN(w.cfg.nodes)].Name] = 1
		}
	case 2: // shares the address of the one before it but one
		s.SharingKey, s.Assigned = "k", w.facts.Services[i-2].Assigned
		w.facts.Services[i-2].SharingKey = "k"
	case 3:
		s.Endpoints.Usable = w.r.IntN(2)
	}
	return s
}

// addresses returns the addresses of all Services, sorted.
func (w *world) addresses() []netip.Addr {
	var out []netip.Addr
	for i := range w.facts.Services {
		out = append(out, w.facts.Services[i].Assigned...)
	}
	out = lb.SortedAddrs(out)
	return slices.Compact(out)
}

// noteAnswers books who answers for what after a speaker changed.
func (w *world) noteAnswers(id int, gained, lost []netip.Addr) {
	for _, a := range gained {
		w.note(a, func(by []int) []int { return append(by, id) }).moves++
		w.trace("node %d answers for %s", id, a)
	}
	for _, a := range lost {
		s := w.note(a, func(by []int) []int { return slices.DeleteFunc(by, func(i int) bool { return i == id }) })
		s.dropped++
		s.droppedBy[id] = true
		w.trace("node %d no longer answers for %s", id, a)
	}
}

func (w *world) note(a netip.Addr, change func([]int) []int) *answering {
	s := w.answers[a]
	if s == nil {
		s = &answering{droppedBy: map[int]bool{}}
		w.answers[a] = s
	}
	s.settle(w.now)
	s.by = change(s.by)
	return s
}

// settle closes the span since the last change.
func (s *answering) settle(now time.Duration) {
	switch d := now - s.since; {
	case len(s.by) == 0:
		s.none = max(s.none, d)
	case len(s.by) > 1:
		s.several = max(s.several, d)
	}
	s.since = now
}

// forgetSpans starts a new measurement of times and moves.
func (w *world) forgetSpans() {
	for _, s := range w.answers {
		*s = answering{by: s.by, since: w.now, droppedBy: map[int]bool{}}
	}
}
