// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/clarion-lb/clarion/internal/lb"
)

// Watcher follows the interfaces and addresses of the namespace that Run runs in.
type Watcher struct {
	log    *slog.Logger
	notify func([]lb.Link)

	mu    sync.Mutex
	last  []lb.Link
	known bool
}

// New returns a watcher. notify is called with each new snapshot from within Run and must
// not block; it may keep the slice but not change it.
func New(log *slog.Logger, notify func([]lb.Link)) *Watcher {
	return &Watcher{log: log, notify: notify}
}

// Links returns the last snapshot, sorted by index. It is unknown until Run has read the
// first one. The slice must not be changed.
func (w *Watcher) Links() (links []lb.Link, known bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last, w.known
}

// The receive buffer asked for, which net.core.rmem_max bounds, and the pause before a
// subscription that broke is made again.
const (
	receiveBuffer = 4 << 20
	retryPause    = 100 * time.Millisecond
)

// Run watches until ctx ends and then returns nil. Whatever breaks is tried again.
func (w *Watcher) Run(ctx context.Context) error {
	for {
		err := w.watch(ctx)
		if ctx.Err() != nil {
			return nil
		}
		w.log.Warn("interface watch interrupted, will subscribe again", "reason", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(retryPause):
		}
	}
}

// errOverrun says that the library gave the subscription up: the kernel dropped events
// because the socket was full (ENOBUFS), or the socket broke.
var errOverrun = errors.New("events were lost")

// watch makes one subscription, reads everything, and again after every batch of events.
// Subscribing first makes sure that no change falls between the two.
func (w *Watcher) watch(ctx context.Context) error {
	done := make(chan struct{})
	defer close(done)
	links := make(chan netlink.LinkUpdate, 64)
	addrs := make(chan netlink.AddrUpdate, 64)
	defer drain(links, addrs)
	onError := func(err error) { w.log.Debug("netlink subscription", "reason", err) }
	err := netlink.LinkSubscribeWithOptions(links, done, netlink.LinkSubscribeOptions{
		ErrorCallback: onError, ReceiveBufferSize: receiveBuffer,
	})
	if err != nil {
		close(links)
		close(addrs)
		return fmt.Errorf("subscribe to links: %w", err)
	}
	err = netlink.AddrSubscribeWithOptions(addrs, done, netlink.AddrSubscribeOptions{
		ErrorCallback: onError, ReceiveBufferSize: receiveBuffer,
	})
	if err != nil {
		close(addrs)
		return fmt.Errorf("subscribe to addresses: %w", err)
	}
	for {
		if err := w.refresh(); err != nil {
			return err
		}
		open := true
		select {
		case <-ctx.Done():
			return nil
		case _, open = <-links:
		case _, open = <-addrs:
		}
		if !open || !empty(links) || !empty(addrs) {
			return errOverrun
		}
	}
}

// empty takes what is waiting, so that a storm of events costs one reading each batch. It
// is false when the channel was closed.
func empty[T any](ch <-chan T) bool {
	for {
		select {
		case _, open := <-ch:
			if !open {
				return false
			}
		default:
			return true
		}
	}
}

// drain keeps the goroutines of a dead subscription from blocking on their channels until
// they notice that it is over.
func drain(links <-chan netlink.LinkUpdate, addrs <-chan netlink.AddrUpdate) {
	go func() {
		for range links {
		}
	}()
	go func() {
		for range addrs {
		}
	}()
}

// refresh reads everything and publishes it when it differs from the last snapshot.
func (w *Watcher) refresh() error {
	links, err := list()
	if err != nil {
		return err
	}
	w.mu.Lock()
	same := w.known && slices.EqualFunc(w.last, links, equal)
	if !same {
		w.last, w.known = links, true
	}
	w.mu.Unlock()
	if !same && w.notify != nil {
		w.notify(links)
	}
	return nil
}

// dumpTries is how often a reading is repeated that a concurrent change made inconsistent.
const dumpTries = 10

func list() ([]lb.Link, error) {
	for try := 1; ; try++ {
		links, err := read()
		if err == nil || try == dumpTries || !errors.Is(err, netlink.ErrDumpInterrupted) {
			return links, err
		}
	}
}

func read() ([]lb.Link, error) {
	raw, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	addrs, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	return convert(raw, addrs), nil
}

// convert makes nouns of what the kernel said, sorted.
func convert(raw []netlink.Link, addrs []netlink.Addr) []lb.Link {
	links := make([]lb.Link, 0, len(raw))
	at := make(map[int]int, len(raw))
	for _, r := range raw {
		a := r.Attrs()
		l := lb.Link{
			Index: a.Index, Name: a.Name, Master: a.MasterIndex,
			Carrier:   a.RawFlags&(unix.IFF_UP|unix.IFF_LOWER_UP) == unix.IFF_UP|unix.IFF_LOWER_UP,
			Broadcast: a.RawFlags&unix.IFF_BROADCAST != 0,
			ARP:       a.RawFlags&unix.IFF_NOARP == 0,
		}
		if len(a.HardwareAddr) == len(l.HardwareAddr) {
			l.HardwareAddr = [6]byte(a.HardwareAddr)
		}
		at[l.Index] = len(links)
		links = append(links, l)
	}
	for _, a := range addrs {
		i, ok := at[a.LinkIndex]
		if !ok || a.IPNet == nil {
			continue // its link vanished between the two readings; an event will tell
		}
		if p, ok := prefix(a); ok {
			links[i].Prefixes = append(links[i].Prefixes, p)
		}
	}
	sortLinks(links)
	return links
}
