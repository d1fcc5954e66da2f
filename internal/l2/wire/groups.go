// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/mdlayher/ethernet"
	"golang.org/x/sys/unix"

	"github.com/clarion-lb/clarion/internal/l2"
	"github.com/clarion-lb/clarion/internal/mld"
)

// groups makes one link a member of solicited-node groups: it has the interface deliver their
// frames and tells routers and snooping switches so, as the listener of package mld wants it.
// It works beside the packet loop, because the kernel may take its time for a membership.
type groups struct {
	ifi     *net.Interface
	log     *slog.Logger
	now     func() time.Time
	kick    chan struct{}
	queries chan mld.Query
	before  *groups       // of this link, that may still be telling what it left
	hurried chan struct{} // closed by hurry
	ended   chan struct{} // closed at the end of run

	mu   sync.Mutex
	news news

	// Owned by run.
	at       uplink
	members  *memberships
	listener *mld.Listener
	source   netip.Addr // of reports; :: when none could be used at the time
	asked    time.Time  // when source was looked up
}

// news is what run has not taken in yet.
type news struct {
	changes map[netip.Addr]bool // groups to join or, if false, to leave
	at      uplink
}

// uplink is what reports depend on, besides the link-local address.
type uplink struct {
	mac     l2.MAC
	carrier bool
}

const (
	// queryBacklog is how many queries may wait; those that come too fast are repeated.
	queryBacklog = 64
	// joinBatch is how many groups are joined before reports are sent again.
	joinBatch = 256
	// sourceCheck is how long a link-local address is believed, and when one is looked for
	// again: duplicate address detection keeps it unusable for one or two seconds.
	sourceCheck = time.Second
	// hurryAtMost bounds a farewell that others wait for: ten thousand groups take 0.2 s in
	// MLDv2 and 2 s in MLDv1.
	hurryAtMost = 500 * time.Millisecond
)

// newGroups returns groups with none joined. They wait for those before them, if any.
func (w *Wire) newGroups(ifi *net.Interface, before *groups) *groups {
	return &groups{
		ifi: ifi, log: w.log, now: w.Now, before: before,
		kick: make(chan struct{}, 1), queries: make(chan mld.Query, queryBacklog),
		hurried: make(chan struct{}), ended: make(chan struct{}),
		news:     news{changes: make(map[netip.Addr]bool), at: w.uplinks[ifi.Index]},
		listener: mld.New(rand.Float64), source: netip.IPv6Unspecified(),
	}
}

func (g *groups) join(group netip.Addr)  { g.tell(func(n *news) { n.changes[group] = true }) }
func (g *groups) leave(group netip.Addr) { g.tell(func(n *news) { n.changes[group] = false }) }

// attach says what became of the link.
func (g *groups) attach(at uplink) { g.tell(func(n *news) { n.at = at }) }

func (g *groups) tell(f func(*news)) {
	g.mu.Lock()
	f(&g.news)
	g.mu.Unlock()
	select {
	case g.kick <- struct{}{}:
	default:
	}
}

func (g *groups) take() news {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := g.news
	g.news.changes = make(map[netip.Addr]bool)
	return n
}

// hear takes a frame that may be a query.
func (g *groups) hear(frame []byte) {
	q, ok := mld.ParseQuery(frame[etherLen:])
	if !ok {
		return
	}
	select {
	case g.queries <- q:
	default:
	}
}

// hurry ends run once each leave has been told, when it is leaving already. It is called once.
func (g *groups) hurry() { close(g.hurried) }

// run keeps the link a member of the groups until done is closed, and then leaves them all.
// An error means that the link cannot be joined; all memberships are given up with it.
func (g *groups) run(done <-chan struct{}) error {
	defer close(g.ended)
	if g.before != nil {
		<-g.before.ended
		g.before = nil
	}
	var err error
	if g.members, err = newMemberships(g.ifi); err != nil {
		return err
	}
	defer g.members.close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-done:
			g.farewell(timer)
			return nil
		case <-g.kick:
			err = g.apply(g.take(), done)
		case q := <-g.queries:
			g.listener.Query(q, g.now())
		case <-timer.C:
		}
		if err == nil {
			err = g.report()
		}
		if err != nil {
			return err
		}
		g.schedule(timer)
	}
}

// apply brings memberships and listener in line with the news.
func (g *groups) apply(n news, done <-chan struct{}) error {
	if n.at.carrier && n.at != g.at {
		// Whatever switch is at the other end may have forgotten all groups.
		g.asked = time.Time{}
		g.listener.Restart()
	}
	g.at = n.at
	var leaving []netip.Addr
	added := 0
	for group, join := range n.changes {
		select {
		case <-done:
			return nil
		default:
		}
		switch has := g.members.has(group); {
		case join && !has:
			if err := g.members.add(group); err != nil {
				return fmt.Errorf("join group %s on %s: %w", group, g.ifi.Name, err)
			}
			g.listener.Join(group)
			if added++; added%joinBatch == 0 {
				if err := g.report(); err != nil {
					return err
				}
			}
		case !join && has:
			leaving = append(leaving, group)
		}
	}
	for _, group := range leaving {
		g.members.drop(group)
	}
	g.part(leaving)
	return nil
}

// part reports groups as left. The kernel's own are left silently: its reports come from the same
// address, so it would be taken at our word.
func (g *groups) part(leaving []netip.Addr) {
	if len(leaving) == 0 {
		return
	}
	kernel := kernelGroups(g.ifi.Index)
	for _, group := range leaving {
		if _, ok := kernel[group]; ok {
			g.listener.Forget(group)
		} else {
			g.listener.Leave(group)
		}
	}
}

// farewell reports all groups as left, as often as it should be, but only once when others
// wait for it.
func (g *groups) farewell(timer *time.Timer) {
	var leaving []netip.Addr
	for group := range g.members.of {
		leaving = append(leaving, group)
	}
	g.part(leaving)
	hurried := g.hurried
	var late <-chan time.Time
	for g.at.carrier {
		if err := g.report(); err != nil {
			return // an interface that is gone is left
		}
		if _, ok := g.listener.Deadline(); !ok || (hurried == nil && !g.listener.Pending()) {
			return
		}
		g.schedule(timer)
		select {
		case <-timer.C:
		case <-hurried:
			hurried, late = nil, time.After(hurryAtMost)
		case <-late:
			return
		}
	}
}

// report sends what is due. A report that cannot leave is repeated, or asked for again; an
// error says that the interface is gone.
func (g *groups) report() error {
	if !g.at.carrier {
		return nil
	}
	now := g.now()
	g.lookUp(now)
	for _, m := range g.listener.Tick(now) {
		dst := l2.MulticastMAC(m.Dst())
		frame, err := (&ethernet.Frame{
			Destination: dst[:], Source: g.at.mac[:], EtherType: ethernet.EtherTypeIPv6, Payload: m.Packet(g.source),
		}).MarshalBinary()
		if err == nil {
			err = g.members.send(frame)
		}
		if errors.Is(err, unix.ENXIO) || errors.Is(err, unix.ENODEV) {
			return fmt.Errorf("report groups on %s: %w", g.ifi.Name, err)
		}
		if err != nil {
			g.log.Debug("cannot report groups", "link", g.ifi.Name, "reason", err)
		}
	}
	return nil
}

// lookUp finds the source of reports. Routers ignore those from ::, which only switches heed,
// so all is told again once there is a source (RFC 3590).
func (g *groups) lookUp(now time.Time) {
	at, ok := g.listener.Deadline()
	due := ok && !at.After(now)
	if now.Sub(g.asked) < sourceCheck || (!due && !g.sourceless()) {
		return
	}
	was := g.sourceless()
	g.asked, g.source = now, linkLocal(g.ifi.Index)
	if was && !g.sourceless() {
		g.listener.Restart()
	}
}

// sourceless says whether reports were last sent from ::.
func (g *groups) sourceless() bool { return !g.asked.IsZero() && g.source.IsUnspecified() }

// schedule sets the timer for what is to be done next.
func (g *groups) schedule(timer *time.Timer) {
	at, ok := g.listener.Deadline()
	if g.sourceless() {
		if again := g.asked.Add(sourceCheck); !ok || again.Before(at) {
			at, ok = again, true
		}
	}
	if ok && g.at.carrier {
		timer.Reset(at.Sub(g.now()))
	} else {
		timer.Stop()
	}
}
