// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package members

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/clarion-lb/clarion/internal/lb"
)

// Config is what a speaker's flags say about membership.
type Config struct {
	// Node is the name of this node's Node object. Speakers know each other by it.
	Node string
	// Bind is the address and port for gossip, by UDP and TCP; port 0 means 7946. Without
	// a valid address membership is off, as in MetalLB: every node counts as alive.
	Bind netip.AddrPort
	// Label separates clusters on one network. MetalLB speakers have none, so it must be
	// empty while both kinds run.
	Label string
	// KeyPath is the mounted memberlist Secret: its directory or its file. Gossip is in
	// clear text if it is empty.
	KeyPath string
	// FilePath is MetalLB's config file. It wins over WAN and over the size of the
	// cluster; an empty path or a file that does not exist means that there is none.
	FilePath string
	// Watch says that sessions with some of the members tell when one falls silent, by
	// SetSessions. It has no effect together with WAN or a config file, whose detection times
	// are then all that counts.
	Watch bool
	// WAN asks for the parameters of --ml-wan-config.
	WAN bool
}

// DefaultPort is the port on which speakers talk to each other.
const DefaultPort = 7946

// Members is the membership of this node. Its methods may be called from any goroutine
// and none of them blocks, except Run and Leave.
type Members struct {
	config  Config
	fixed   *Parameters // nil: by size
	log     *slog.Logger
	changed chan struct{}
	wake    chan struct{} // for Run
	keys    *keyring      // nil: no encryption
	gossip  *gossip

	// beat is when the process was last seen running, limit how long it may stand still,
	// and sure whether standing.claims: what Fresh needs without a lock. Fences is for those who ask
	// Fresh, too.
	beat, limit atomic.Int64
	sure        atomic.Bool
	fences      atomic.Uint64

	mu       sync.Mutex // never held while memberlist is called, whose callbacks take it
	standing *standing
	session  *session // nil while there is none
	serial   int      // of the last session that was opened
	size     Size
	counts   Counts
	broken   string // why there is no session
	watch    watching
}

// New checks the configuration and reads the Secret and the config file. It opens nothing.
func New(c Config, log *slog.Logger) (*Members, error) {
	m := &Members{
		config: c, log: log,
		changed:  make(chan struct{}, 1),
		wake:     make(chan struct{}, 1),
		standing: newStanding(c.Node, clock()),
	}
	m.gossip = newGossip(log, m.changed)
	m.watch.init(c.Node)
	if m.off() {
		return m, nil
	}
	if c.Node == "" {
		return nil, errors.New("set up membership: the node has no name")
	}
	if a := c.Bind.Addr(); a.IsMulticast() || a.Is6() && a.IsUnspecified() {
		return nil, fmt.Errorf("set up membership: %s is no address of this node", a)
	}
	if c.Bind.Port() == 0 {
		m.config.Bind = netip.AddrPortFrom(c.Bind.Addr(), DefaultPort)
	}
	if err := m.readFile(); err != nil {
		return nil, fmt.Errorf("set up membership: %w", err)
	}
	if c.KeyPath == "" {
		log.Warn("gossip between speakers is not encrypted: no secret key path given")
		return m, nil
	}
	keys, err := newKeyring(c.KeyPath, clock())
	if err != nil {
		return nil, fmt.Errorf("set up membership: %w", err)
	}
	m.keys = keys
	return m, nil
}

func (m *Members) off() bool { return !m.config.Bind.Addr().IsValid() }

func (m *Members) readFile() error {
	if m.config.WAN {
		p := WAN()
		m.fixed = &p
	}
	if m.config.FilePath == "" {
		return nil
	}
	data, err := os.ReadFile(m.config.FilePath)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read memberlist config: %w", err)
	}
	p, unknown, err := ParseFile(data)
	if err != nil {
		return fmt.Errorf("%s: %w", m.config.FilePath, err)
	}
	for _, name := range unknown {
		m.log.Warn("memberlist config has an entry that means nothing", "file", m.config.FilePath, "field", name)
	}
	m.fixed = &p
	return nil
}

// View returns who is alive. The result is the caller's own.
func (m *Members) View() lb.View {
	if m.off() {
		return lb.View{Known: true, All: true}
	}
	awake := m.awake()
	m.mu.Lock()
	v := m.standing.view(awake)
	m.mu.Unlock()
	return m.gossip.view(m.config.Node, v)
}

// Fresh says whether this node may speak for its addresses right now. It is cheap enough to
// be asked before each answer to a packet, and has to be: after the process stood still,
// packets are handled before any loop has looked at a new View.
func (m *Members) Fresh() bool {
	return m.off() || m.sure.Load() && m.awake()
}

// Awake says whether this process has not stood still for so long that its peers may have
// declared it dead since it last looked. Unlike Fresh it is also true of one that has left.
func (m *Members) Awake() bool { return m.off() || m.awake() }

// Fences counts how often this node was taken out of its own view: because the process stood
// still, its link was down, or others found it gone. What was decided on a View is outdated when
// the count is not what it was before that View was taken, even if this node is Fresh again:
// others may have taken over in between.
func (m *Members) Fences() uint64 { return m.fences.Load() }

func (m *Members) awake() bool {
	return !stale(time.Duration(m.beat.Load()), clock(), time.Duration(m.limit.Load()))
}

// Changed delivers a value after View may have changed; several changes may be one value.
func (m *Members) Changed() <-chan struct{} { return m.changed }

// SetPeers hands over all other speakers that the cluster lists; this node among them does
// no harm. An empty list means that there is nobody else, so do not call it before the
// list is known. The peers are remembered, whatever becomes of the apiserver.
func (m *Members) SetPeers(peers []Peer) {
	m.update(func(s *standing) {
		s.book.list(peers, s.isAlive)
		m.gossip.keepHardware(func(node string) bool { return s.isAlive(node) || s.book.knows(node) })
	})
}

// SetLinkUp says whether the link to the other speakers has carrier. It counts as up
// until said otherwise. Going down takes this node out of its own view at once, so that it
// stops claiming addresses that others are about to take; coming up starts the proof and
// asks all peers.
func (m *Members) SetLinkUp(up bool) {
	news := false
	m.update(func(s *standing) { news = s.setLink(up, clock()) })
	if news && !m.off() {
		m.log.Info("link to the other speakers changed", "up", up)
	}
}

// update changes the standing and lets Run look at it.
func (m *Members) update(f func(*standing)) {
	m.change(f)
	kick(m.wake)
}

// change changes the standing, proves it if possible, and tells those who use the view.
func (m *Members) change(f func(*standing)) {
	m.mu.Lock()
	before := m.standing.mark()
	f(m.standing)
	proof := m.standing.prove(clock())
	m.followWatch(proof)
	m.settle()
	after, members := m.standing.mark(), 1+len(m.standing.alive)
	m.mu.Unlock()
	if proof {
		m.log.Info("membership is proven", "members", members)
	}
	if before != after {
		kick(m.changed)
	}
}

// settle publishes what Fresh and Fences read. It is called with mu held.
func (m *Members) settle() {
	m.fences.Store(m.standing.fences) // first, so that whoever sees this node Fresh again sees it
	claims := m.standing.claims()
	m.sure.Store(claims)
	p, count, earliest := m.parameters(), m.standing.count(), m.earliest()
	m.limit.Store(int64(earliest))
	m.standing.probation = min(earliest, longestProbation)
	m.gossip.size(count, p.RetransmitMult)
	if m.gossip.setAble(claims || m.standing.left) { // one that has left is gone, and hands over
		kick(m.wake)
	}
}

// longestProbation bounds the probation where only the gossip detects. There the finding is
// older than the standstill's end by less, because news reach everybody within half a second in
// clusters of every size (ForSize).
const longestProbation = time.Second

// parameters are those in force. It is called with mu held.
func (m *Members) parameters() Parameters {
	if m.fixed != nil {
		return *m.fixed
	}
	return ForSize(m.size)
}

// pulse notes that the process runs. If it had stood still, the node is fenced before
// anybody can take it for awake again.
func (m *Members) pulse(now time.Duration) {
	last, limit := time.Duration(m.beat.Load()), time.Duration(m.limit.Load())
	still := stale(last, now, limit)
	if still {
		m.update(func(s *standing) {
			s.fence(now)
			m.counts.Stalls++
		})
	}
	m.beat.Store(int64(now))
	if still {
		kick(m.changed) // the view that excludes this node may have been seen without a kick
		m.log.Warn("this process stood still and asks its peers before it goes on", "gap", now-last, "limit", limit)
	}
}

// Leave says goodbye, so that others take over within tens of milliseconds, and takes this
// node out of its own view. It returns when the goodbye was sent or ctx ended. To lose
// no packet, a speaker goes on answering for what it had until the new owners have spoken:
// it stops looking at the view first, then calls Leave, and stops its wire last.
func (m *Members) Leave(ctx context.Context) error {
	m.mu.Lock()
	s := m.session
	m.mu.Unlock()
	m.update(func(s *standing) { s.left = true })
	if s == nil {
		return nil
	}
	return s.leave(ctx)
}

// spread returns a delay below limit that differs between nodes and is always the same for
// one, so that a whole cluster does not do the same thing at the same moment.
func spread(node string, limit time.Duration) time.Duration {
	h := fnv.New64a()
	_, _ = h.Write([]byte(node)) // never fails
	return time.Duration(h.Sum64()>>1) % limit
}

func kick(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
