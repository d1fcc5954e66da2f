// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/clarion-lb/clarion/internal/l2"
	"github.com/clarion-lb/clarion/internal/lb"
)

// Options configures a Wire.
type Options struct {
	Machine l2.Config
	Log     *slog.Logger
	// Notify is called after a rival was seen or has gone, or a release ended, so that the caller looks at
	// Observe again. It runs in the packet loop and must not block. It may be nil.
	Notify func()
	// MayAnswer says whether what was set follows from a view that still stands. It is asked
	// for each received frame and before anything is sent; once it has said no, nothing is sent
	// until the next Confirm. It must be cheap and must not block. It may be nil, which is yes.
	MayAnswer func() bool
}

// Wire is the layer 2 speaker of this node. Set, SetLinks, Release and Reannounce return at
// once; Run carries them out.
type Wire struct {
	log    *slog.Logger
	notify func()
	may    func() bool
	clock  clock
	mail   *mailbox

	queries  chan l2.Query
	failures chan failure
	calls    chan func()
	left     chan struct{} // closed when Leave is complete

	// Owned by Run.
	machine *l2.Machine
	ports   map[portKey]*port
	uplinks map[int]uplink // by interface index, of the last snapshot
	// lastGroups are those of each link that were made last, running or not.
	lastGroups map[int]*groups
	readers    sync.WaitGroup
	sent       Sent
	leaving    bool
	filters    filters
}

// Sent counts what happened to frames since the start.
type Sent struct {
	Frames uint64
	Failed uint64 // the kernel took the frame neither at once nor at all: link down, queue full
	// Withheld were ready to leave when MayAnswer said no.
	Withheld uint64
	Opens    uint64 // sockets opened, by link and family
	Broken   uint64 // ports that failed and were closed for a retry
}

type portKey struct {
	link   int
	family lb.Family
}

// failure is a port that cannot go on.
type failure struct {
	port *port
	err  error
}

// queueLen is how many decoded frames may wait for the loop; more wait in the sockets.
const queueLen = 1024

// New returns a Wire that announces nothing. The error is a wrong exclusion in the config.
func New(o Options) (*Wire, error) {
	m, err := l2.New(o.Machine)
	if err != nil {
		return nil, fmt.Errorf("configure layer 2: %w", err)
	}
	return &Wire{
		log:        o.Log,
		notify:     o.Notify,
		may:        o.MayAnswer,
		clock:      newClock(),
		mail:       newMailbox(),
		queries:    make(chan l2.Query, queueLen),
		failures:   make(chan failure, queueLen),
		calls:      make(chan func()),
		left:       make(chan struct{}),
		machine:    m,
		ports:      make(map[portKey]*port),
		lastGroups: make(map[int]*groups),
		filters:    filters{sets: make(map[lb.Family]addrSet)},
	}, nil
}

// Set gives the whole set of addresses to announce (l2.Machine.Set). The slice belongs to
// the Wire from now on.
func (w *Wire) Set(want []lb.Announcement) {
	w.mail.post(func(l *letter) { l.want, l.hasWant = want, true })
}

// SetLinks gives all interfaces of the node. Until the first call nothing is announced. The
// slice belongs to the Wire from now on.
func (w *Wire) SetLinks(links []lb.Link) {
	w.mail.post(func(l *letter) { l.links, l.hasLinks = links, true })
}

// Probe gives the addresses to probe for before they are announced for the first time
// (l2.Machine.Probe). Call it before the Set that adds them.
func (w *Wire) Probe(addrs []netip.Addr) {
	w.mail.post(func(l *letter) { l.probe, l.hasProbe = append(l.probe, addrs...), true })
}

// Know says from which hardware addresses the other speakers send (l2.Machine.Know). The map
// belongs to the Wire from now on.
func (w *Wire) Know(speakers map[l2.MAC]string) {
	w.mail.post(func(l *letter) { l.speakers, l.hasSpeakers = speakers, true })
}

// Yield gives all addresses on which this node steps back for another speaker
// (l2.Machine.Yield).
func (w *Wire) Yield(addrs []netip.Addr) {
	w.mail.post(func(l *letter) { l.yield, l.hasYield = addrs, true })
}

// Confirm says that at the given time, by Now, this node's view was proven current
// (l2.Machine.Confirm). It matters only with Config.Fresh.
func (w *Wire) Confirm(at time.Time) {
	w.mail.post(func(l *letter) {
		if at.After(l.confirm) {
			l.confirm = at
		}
	})
}

// Release begins a planned move of some addresses (l2.Machine.Release). Call it before the
// Set that no longer holds them.
func (w *Wire) Release(addrs []netip.Addr) {
	w.mail.post(func(l *letter) { l.release = append(l.release, addrs...) })
}

// Reannounce sends a fresh burst for the addresses given, all of them for nil.
func (w *Wire) Reannounce(addrs []netip.Addr) {
	w.mail.post(func(l *letter) {
		l.reannounceAll = l.reannounceAll || addrs == nil
		l.reannounce = append(l.reannounce, addrs...)
	})
}

// Leave releases every address and returns when each has been taken over, or fell silent
// when its linger was over. Later calls of Set are ignored. Run must still be running.
func (w *Wire) Leave(ctx context.Context) error {
	w.mail.post(func(l *letter) { l.leave = true })
	select {
	case <-w.left:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("hand over layer 2 addresses: %w", ctx.Err())
	}
}

// Observation is what is true on the wire now.
type Observation struct {
	Announced []l2.Announced
	Conflicts []l2.Rival
	Counters  map[netip.Addr]l2.Counters
	Sent      Sent
}

// Observe asks the loop for the present state.
func (w *Wire) Observe(ctx context.Context) (Observation, error) {
	var o Observation
	err := w.call(ctx, func() {
		o = Observation{
			Announced: w.machine.Announced(),
			Conflicts: w.machine.Conflicts(w.Now()),
			Counters:  w.machine.Counters(),
			Sent:      w.sent,
		}
	})
	if err != nil {
		return Observation{}, fmt.Errorf("observe layer 2: %w", err)
	}
	return o, nil
}

// Rivals returns who else uses addresses that are wanted here (l2.Machine.Conflicts).
func (w *Wire) Rivals(ctx context.Context) ([]l2.Rival, error) {
	var out []l2.Rival
	if err := w.call(ctx, func() { out = w.machine.Conflicts(w.Now()) }); err != nil {
		return nil, fmt.Errorf("observe rivals: %w", err)
	}
	return out, nil
}

// call runs f in the loop and waits for it.
func (w *Wire) call(ctx context.Context, f func()) error {
	done := make(chan struct{})
	select {
	case w.calls <- func() { f(); close(done) }:
		<-done
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Run is the loop that owns the machine and the sockets. It returns nil when ctx ends,
// with all sockets closed; addresses still announced then fall silent without a handover.
func (w *Wire) Run(ctx context.Context) error {
	defer w.closeAll()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.mail.kick:
			w.deliver(w.mail.take())
		case q := <-w.queries:
			w.handle(q)
		case f := <-w.failures:
			w.fail(f)
		case f := <-w.calls:
			f()
		case <-timer.C:
			w.do(w.machine.Tick(w.Now()))
		}
		w.settle()
		w.refilter()
		if at, ok := w.machine.Deadline(); ok {
			timer.Reset(at.Sub(w.Now()))
		} else {
			timer.Stop()
		}
	}
}

// handle lets the machine judge a frame, which may have waited since before a standstill.
func (w *Wire) handle(q l2.Query) {
	w.mayAnswer()
	w.do(w.machine.Handle(q, w.Now()))
}

// deliver hands the news of the callers to the machine. Links come first, so that addresses
// find them, and releases before the set that no longer holds them. The confirmation comes
// after the set that it may be for, so that nothing is said for the one before.
func (w *Wire) deliver(l letter) {
	if l.hasSpeakers {
		w.do(w.machine.Know(l.speakers, w.Now()))
	}
	if l.hasProbe {
		w.machine.Probe(l.probe)
	}
	if l.hasLinks {
		w.attach(l.links)
		w.do(w.machine.SetLinks(l.links, w.Now()))
	}
	if len(l.release) > 0 {
		w.do(w.machine.Release(l.release, w.Now()))
	}
	if l.hasWant && !w.leaving {
		actions := w.machine.Set(l.want, w.Now())
		w.refilter()
		w.do(actions)
	}
	if l.hasYield {
		w.do(w.machine.Yield(l.yield, w.Now()))
	}
	if !l.confirm.IsZero() && w.mayAnswer() {
		w.do(w.machine.Confirm(l.confirm, w.Now()))
	}
	switch {
	case l.reannounceAll:
		w.do(w.machine.Reannounce(nil, w.Now()))
	case len(l.reannounce) > 0:
		w.do(w.machine.Reannounce(l.reannounce, w.Now()))
	}
	if l.leave && !w.leaving {
		w.leaving = true
		w.do(w.machine.Release(nil, w.Now()))
	}
}

// settle tells whoever waits in Leave when the last address is gone.
func (w *Wire) settle() {
	if !w.leaving || w.machine.Leaving() > 0 {
		return
	}
	select {
	case <-w.left:
	default:
		close(w.left)
	}
}
