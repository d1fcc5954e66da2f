// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/mdlayher/ndp"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// groups keeps the solicited-node groups of one link joined. Joining ten thousand takes the
// better part of a second, so it happens beside the packet loop.
type groups struct {
	ifi  *net.Interface
	kick chan struct{}

	mu   sync.Mutex
	want map[netip.Addr]struct{}

	// Owned by run.
	holders []*holder
	joined  map[netip.Addr]*holder
}

// holder is a socket that exists to be a member. The kernel bounds the memberships of one
// socket (net.core.optmem_max: 2,340 by default), so there may be several.
type holder struct {
	conn *ndp.Conn
	n    int
	full bool
}

func newGroups(ifi *net.Interface) *groups {
	return &groups{
		ifi: ifi, kick: make(chan struct{}, 1),
		want: make(map[netip.Addr]struct{}), joined: make(map[netip.Addr]*holder),
	}
}

func (g *groups) join(group netip.Addr) {
	g.change(func() { g.want[group] = struct{}{} })
}

func (g *groups) leave(group netip.Addr) {
	g.change(func() { delete(g.want, group) })
}

func (g *groups) change(f func()) {
	g.mu.Lock()
	f()
	g.mu.Unlock()
	select {
	case g.kick <- struct{}{}:
	default:
	}
}

// run brings the memberships in line with what is wanted until done is closed. An error
// means that the link cannot be joined; all memberships are given up with it.
func (g *groups) run(done <-chan struct{}) error {
	defer g.closeAll()
	for {
		select {
		case <-done:
			return nil
		case <-g.kick:
			if err := g.sync(done); err != nil {
				return err
			}
		}
	}
}

func (g *groups) sync(done <-chan struct{}) error {
	g.mu.Lock()
	want := maps.Clone(g.want)
	g.mu.Unlock()
	for group, h := range g.joined {
		if _, ok := want[group]; !ok {
			g.drop(group, h)
		}
	}
	for group := range want {
		select {
		case <-done:
			return nil
		default:
		}
		if g.joined[group] != nil {
			continue
		}
		if err := g.add(group); err != nil {
			return fmt.Errorf("join group %s on %s: %w", group, g.ifi.Name, err)
		}
	}
	return nil
}

// add joins a group on the first socket that has room, opening another when none has.
func (g *groups) add(group netip.Addr) error {
	for _, h := range g.holders {
		if h.full {
			continue
		}
		err := h.conn.JoinGroup(group)
		if err == nil {
			h.n++
			g.joined[group] = h
			return nil
		}
		if !errors.Is(err, unix.ENOMEM) && !errors.Is(err, unix.ENOBUFS) {
			return err
		}
		if h.n == 0 {
			return err // not even one: another socket would not help
		}
		h.full = true
	}
	if err := g.open(); err != nil {
		return err
	}
	return g.add(group)
}

// open adds a socket. It is bound to no address, so that it outlives changes of the
// link-local one, and blocks every ICMPv6 type, since it is never read.
func (g *groups) open() error {
	conn, _, err := ndp.Listen(g.ifi, ndp.Unspecified)
	if err != nil {
		return err
	}
	var none ipv6.ICMPFilter
	none.SetAll(true)
	if err := conn.SetICMPFilter(&none); err != nil {
		return errors.Join(err, conn.Close())
	}
	g.holders = append(g.holders, &holder{conn: conn})
	return nil
}

func (g *groups) drop(group netip.Addr, h *holder) {
	// An interface that is gone took its memberships along; nothing is left to undo.
	_ = h.conn.LeaveGroup(group)
	delete(g.joined, group)
	h.n--
	h.full = false
	if h.n == 0 {
		_ = h.conn.Close()
		g.holders = slices.DeleteFunc(g.holders, func(o *holder) bool { return o == h })
	}
}

func (g *groups) closeAll() {
	for _, h := range g.holders {
		_ = h.conn.Close()
	}
	g.holders = nil
	clear(g.joined)
}
