// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"slices"
	"time"

	"github.com/clarion-lb/clarion/internal/lb"
)

// Machine is the layer 2 behaviour of one node. It is not safe for concurrent use. The
// actions that a method returns are valid until the next call.
type Machine struct {
	cfg      Config
	exclude  []*regexp.Regexp
	excluded map[string]bool // verdicts by interface name
	rng      *rand.Rand

	snapshot []lb.Link
	links    map[int]*link
	own      map[MAC]struct{} // of all links: our second interface is no rival
	eligible map[lb.Family][]*link

	entries map[netip.Addr]*entry
	ports   []*port     // sorted by link, then family
	leaving []departure // in the order of their deadlines; may hold stale items
	rivals  map[*seat]*Rival
	counts  map[netip.Addr]*Counters // outlive the announcement, as counters must

	unproven  map[netip.Addr]struct{} // to be probed for before the first announcement
	yielding  map[netip.Addr]struct{} // left to other speakers
	speakers  map[MAC]string          // nodes of the others
	confirmed time.Time               // when the evidence of the last Confirm was seen
	doubted   time.Time               // of the last Doubt: evidence from before is void
	muted     bool                    // it was too old at the last call: nothing is sent

	turns Turns

	gen  uint64 // of the last Set, to find what it no longer wants
	out  []Action
	pick []*link // scratch of choose
}

// entry is one address that is wanted or being released.
type entry struct {
	addr   netip.Addr
	family lb.Family
	group  netip.Addr // solicited-node group of an IPv6 address
	ifaces []string   // exact names, sorted; empty means all
	gen    uint64
	next   []string // ifaces of the Set being read
	all    bool     // one of its announcements names no interface
	shy    bool     // one of them withholds

	withhold bool // a foreign host has precedence

	placed bool // ifaces has been acted on at least once
	// fresh is true when nobody of ours had announced the address before it came here.
	fresh bool
	// unproven is true until the address was shown to be unused on a link.
	unproven bool
	seats    []*seat
	leaving  bool
	leaveAt  time.Time
	count    *Counters
}

// New returns a machine that announces nothing and knows no link. The error names the
// exclusion that is no regular expression.
func New(cfg Config) (*Machine, error) {
	cfg, exclude, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Machine{
		cfg:      cfg,
		exclude:  exclude,
		excluded: make(map[string]bool),
		rng:      rand.New(rand.NewPCG(cfg.Seed, cfg.Seed)),
		links:    make(map[int]*link),
		own:      make(map[MAC]struct{}),
		eligible: make(map[lb.Family][]*link),
		entries:  make(map[netip.Addr]*entry),
		rivals:   make(map[*seat]*Rival),
		counts:   make(map[netip.Addr]*Counters),
		unproven: make(map[netip.Addr]struct{}),
	}, nil
}

// Set gives the whole set of addresses to announce. New ones are announced at once, those
// no longer in it fall silent at once unless they were released. The same set again does
// nothing (I6). Several announcements of one address count as their union.
func (m *Machine) Set(want []lb.Announcement, now time.Time) []Action {
	m.begin()
	m.gen++
	for i := range want {
		m.merge(&want[i])
	}
	var changed, gone []*entry
	for _, e := range m.entries {
		switch {
		case e.gen != m.gen:
			if !e.leaving {
				gone = append(gone, e)
			}
		case m.adopt(e):
			changed = append(changed, e)
		}
	}
	// Add before delete: a link that swaps all its addresses keeps its sockets.
	sortEntries(changed)
	for _, e := range changed {
		m.place(e, now)
	}
	m.insist(now)
	sortEntries(gone)
	for _, e := range gone {
		m.drop(e)
	}
	m.advance(now)
	return m.out
}

// merge notes one wanted announcement in its entry, without effect yet.
func (m *Machine) merge(a *lb.Announcement) {
	addr := a.Addr.Unmap().WithZone("")
	if !addr.IsValid() || addr.IsUnspecified() || addr.IsMulticast() {
		return // never an address of a Service; answering for it could harm the segment
	}
	e := m.entries[addr]
	if e == nil {
		e = &entry{addr: addr, family: lb.FamilyOf(addr), count: m.counter(addr)}
		if e.family == lb.IPv6 {
			e.group = SolicitedNode(addr)
		}
		_, e.unproven = m.unproven[addr]
		e.fresh = a.Fresh
		m.turns.Added++
		m.entries[addr] = e
	}
	if e.gen != m.gen {
		e.gen, e.next, e.all, e.shy = m.gen, e.next[:0], false, false
	}
	e.all = e.all || len(a.Interfaces) == 0
	e.shy = e.shy || a.Withhold
	e.next = append(e.next, a.Interfaces...)
}

// adopt takes the merged interfaces over and says whether the entry must be placed anew.
func (m *Machine) adopt(e *entry) bool {
	if e.all {
		e.next = e.next[:0]
	}
	slices.Sort(e.next)
	e.next = slices.Compact(e.next)
	if e.placed && !e.leaving && slices.Equal(e.ifaces, e.next) {
		return false
	}
	e.ifaces, e.placed, e.leaving = slices.Clone(e.next), true, false
	return true
}

// insist announces what was withheld from foreign hosts and is to be no longer.
func (m *Machine) insist(now time.Time) {
	var bold []*entry
	for _, e := range m.entries {
		if e.gen != m.gen || e.withhold == e.shy {
			continue
		}
		if e.withhold = e.shy; !e.withhold && e.unproven {
			bold = append(bold, e)
		}
	}
	sortEntries(bold)
	for _, e := range bold {
		for _, s := range e.seats {
			m.trust(s, now)
		}
	}
}

// SetLinks gives all interfaces of the node as they are now. Addresses follow: they are
// announced on links that appear, come up or change their address, and leave others.
func (m *Machine) SetLinks(links []lb.Link, now time.Time) []Action {
	m.begin()
	if m.learn(links) {
		restart := m.updatePorts()
		for _, e := range m.sorted() {
			for _, s := range e.seats {
				if restart[s.port] && !e.leaving {
					m.announce(s, now)
				}
			}
			m.place(e, now)
		}
	}
	m.advance(now)
	return m.out
}

// Reannounce starts a fresh burst for the addresses given that are announced here, or for
// all of them when addrs is nil: after a partition healed, or against a rival.
func (m *Machine) Reannounce(addrs []netip.Addr, now time.Time) []Action {
	m.begin()
	for _, e := range m.selected(addrs) {
		for _, s := range e.seats {
			if !e.leaving {
				m.announce(s, now)
			}
		}
	}
	m.advance(now)
	return m.out
}

// Tick does what has become due by now.
func (m *Machine) Tick(now time.Time) []Action {
	m.begin()
	m.advance(now)
	return m.out
}

// Deadline returns when Tick has something to do next, and false when nothing is pending.
// It may lie in the past.
func (m *Machine) Deadline() (time.Time, bool) {
	var at time.Time
	earlier := func(t time.Time) {
		if at.IsZero() || t.Before(at) {
			at = t
		}
	}
	for _, d := range m.leaving {
		if d.current() {
			earlier(d.at)
			break
		}
	}
	for _, p := range m.ports {
		if t, ok := p.deadline(m.muted); ok {
			earlier(t)
		}
	}
	return at, !at.IsZero()
}

// keepActions bounds the buffer kept between calls; a larger one served a mass change.
const keepActions = 4096

func (m *Machine) begin() {
	if cap(m.out) > keepActions {
		m.out = nil
	}
	m.out = m.out[:0]
}

func (m *Machine) emit(a Action) { m.out = append(m.out, a) }

// advance ends the lingering that is over, retries failed links and sends what is due.
func (m *Machine) advance(now time.Time) {
	m.expire(now)
	m.muted = m.outdated(now)
	for _, p := range m.ports {
		m.retry(p, now)
		if !m.muted {
			m.send(p, now)
		}
	}
}

func (m *Machine) sorted() []*entry {
	all := slices.Collect(maps.Values(m.entries))
	sortEntries(all)
	return all
}

// selected returns the entries of the addresses given, or all for nil, sorted.
func (m *Machine) selected(addrs []netip.Addr) []*entry {
	if addrs == nil {
		return m.sorted()
	}
	var out []*entry
	for _, a := range addrs {
		if e := m.entries[a.Unmap().WithZone("")]; e != nil {
			out = append(out, e)
		}
	}
	sortEntries(out)
	return slices.Compact(out)
}

func sortEntries(es []*entry) {
	slices.SortFunc(es, func(a, b *entry) int { return a.addr.Compare(b.addr) })
}

func comparePorts(a, b *port) int {
	return cmp.Or(cmp.Compare(a.index, b.index), cmp.Compare(a.family, b.family))
}
