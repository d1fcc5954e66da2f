// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package members

import (
	"log/slog"
	"maps"
	"math"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/clarion-lb/clarion/internal/elect"
	"github.com/clarion-lb/clarion/internal/lb"
)

// gossip is what speakers tell each other beside being alive: who owned which address last,
// and which interfaces they could announce on. It outlives the sessions, and is memberlist's
// Delegate. MetalLB's speakers have none: they pass over what is said, and say nothing, so
// nothing is recorded by them and their interfaces are not known.
type gossip struct {
	log     *slog.Logger
	changed chan<- struct{}

	// mu is taken by memberlist's callbacks, under its locks: never call it meanwhile.
	mu         sync.Mutex
	record     elect.Gossip
	owners     map[netip.Addr]string // of the record at turn
	turn       uint64
	times      int                  // each claim is told
	interfaces map[string]lb.Usable // of other nodes; shared with views, so replaced and not changed
	own        *lb.Usable           // of this node; nil while not known
	ownTurn    int
	able       bool // this node counts itself
	// hardware are the Ethernet addresses of other nodes, ownHardware those of this one.
	hardware    map[string][]MAC
	ownHardware []MAC
}

func newGossip(log *slog.Logger, changed chan<- struct{}) *gossip {
	return &gossip{log: log, changed: changed, times: 1}
}

// view adds what the speakers have told each other to a view.
func (g *gossip) view(self string, v lb.View) lb.View {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.owners == nil || g.turn != g.record.Turn() {
		g.owners, g.turn = g.record.Owners(), g.record.Turn()
	}
	v.Owners = g.owners
	v.Interfaces = make(map[string]lb.Usable, len(g.interfaces)+1)
	maps.Copy(v.Interfaces, g.interfaces)
	if g.own != nil {
		v.Interfaces[self] = *g.own
	}
	return v
}

// size says how many members there are, from which follows how often a claim must be told so
// that it reaches all of them. It is the rule by which memberlist spreads its own news.
func (g *gossip) size(members, retransmit int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.times = retransmit * int(math.Ceil(math.Log10(float64(members+1))))
}

func (g *gossip) take(addrs []netip.Addr, node string) (news bool, again time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.record.Take(addrs, node, g.times, time.Now())
}

func (g *gossip) insist(addrs []netip.Addr, node string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.record.Insist(addrs, node, g.times)
}

func (g *gossip) use(addrs []netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.record.Use(addrs, time.Now())
}

// setOwn notes this node's interfaces and says whether they are others than before.
func (g *gossip) setOwn(own lb.Usable) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.own != nil && g.own.Equal(own) {
		return false
	}
	g.own = &lb.Usable{IPv4: slices.Clone(own.IPv4), IPv6: slices.Clone(own.IPv6)}
	g.ownTurn++
	return true
}

// told returns a number that changes with this node's interfaces.
func (g *gossip) told() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.ownTurn
}

// learn notes what another node says of its interfaces.
func (g *gossip) learn(node string, meta []byte) {
	usable, known := decodeMeta(meta)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.learnHardware(node, meta)
	g.interfaces = maps.Clone(g.interfaces)
	if g.interfaces == nil {
		g.interfaces = map[string]lb.Usable{}
	}
	if known {
		g.interfaces[node] = usable
	} else {
		delete(g.interfaces, node)
	}
}

// setAble notes whether this node counts itself, and says whether that is news.
func (g *gossip) setAble(able bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.able == able {
		return false
	}
	g.able = able
	g.ownTurn++
	return true
}

// NodeMeta implements memberlist.Delegate. A node that does not count itself tells of no
// interface: the others have it as a member as soon as they hear it, and would leave addresses to
// it of which it does not speak before it has proved its place.
func (g *gossip) NodeMeta(limit int) []byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	own := g.own
	if !g.able {
		own = &lb.Usable{}
	}
	return appendHardware(encodeMeta(own, limit), g.ownHardware, limit)
}

// NotifyMsg implements memberlist.Delegate. It keeps nothing of msg.
func (g *gossip) NotifyMsg(msg []byte) { g.hear(msg) }

// GetBroadcasts implements memberlist.Delegate.
func (g *gossip) GetBroadcasts(overhead, limit int) [][]byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	if msg := g.record.Next(limit - overhead); msg != nil {
		return [][]byte{msg}
	}
	return nil
}

// LocalState implements memberlist.Delegate.
func (g *gossip) LocalState(bool) []byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.record.State(time.Now())
}

// MergeRemoteState implements memberlist.Delegate.
func (g *gossip) MergeRemoteState(msg []byte, _ bool) { g.hear(msg) }

func (g *gossip) hear(msg []byte) {
	if len(msg) == 0 {
		return // a peer without a record
	}
	g.mu.Lock()
	news, err := g.record.Hear(msg, g.times)
	g.mu.Unlock()
	if err != nil {
		g.log.Debug("part of what a peer said about owners was not understood", "bytes", len(msg), "err", err)
	}
	if news {
		kick(g.changed)
	}
}

// Claim enters addresses into the record of owners as this node's, tells the others and says
// whether any of that is new. Some may have to wait; again is when to claim those, zero if
// there is none (elect.Gossip.Take).
func (m *Members) Claim(addrs []netip.Addr) (news bool, again time.Time) {
	if len(addrs) == 0 || m.off() {
		return false, time.Time{}
	}
	return m.gossip.take(addrs, m.config.Node)
}

// Insist claims addresses that are recorded as this node's anew, so that they stay here when the
// gossip is back with those who claimed them meanwhile and gave in (elect.Record.Insist).
func (m *Members) Insist(addrs []netip.Addr) {
	if len(addrs) > 0 && !m.off() {
		m.gossip.insist(addrs, m.config.Node)
	}
}

// Use says which addresses, sorted, have a recorded owner; others are forgotten after a while.
func (m *Members) Use(addrs []netip.Addr) {
	if !m.off() {
		m.gossip.use(addrs)
	}
}

// SetInterfaces says on which interfaces this node could announce now. Until it is called, that
// is not known.
func (m *Members) SetInterfaces(u lb.Usable) {
	if m.gossip.setOwn(u) && !m.off() {
		kick(m.wake)
		kick(m.changed)
	}
}

// tellInterfaces tells the peers of this node's interfaces if that is news to the session.
func (m *Members) tellInterfaces(s *session) {
	turn := m.gossip.told()
	if s.told != turn {
		s.told = turn
		s.update()
	}
}
