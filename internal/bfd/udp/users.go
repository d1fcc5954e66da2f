// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package udp

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/clarion-lb/clarion/internal/bfd"
)

// User is one of several parts of a program that watch neighbours with the same Manager. Each
// hands over all of its own targets; their names need to differ only among themselves.
//
// Two sessions of ours with one neighbour would confuse it. So where several users watch the
// same one, there is one session, with the parameters of the user whose name comes first, and
// all of them see its state.
type User struct {
	m    *Manager
	name string
}

// As returns the user with a name, which must not contain a slash.
func (m *Manager) As(name string) *User { return &User{m: m, name: name} }

// Set hands over all targets of the user. It returns at once; the same targets again change
// nothing.
func (u *User) Set(want []bfd.Target) {
	u.m.users.Lock()
	defer u.m.users.Unlock()
	if u.m.wanted == nil {
		u.m.wanted = map[string][]bfd.Target{}
	}
	u.m.wanted[u.name] = slices.Clone(want)
	var all []bfd.Target
	for name, targets := range u.m.wanted {
		for _, t := range targets {
			t.Name = name + "/" + t.Name
			all = append(all, t)
		}
	}
	slices.SortFunc(all, func(a, b bfd.Target) int { return cmp.Compare(a.Name, b.Name) })
	seen := map[neighbour]bool{}
	all = slices.DeleteFunc(all, func(t bfd.Target) bool {
		again := seen[neighbourOf(t)]
		seen[neighbourOf(t)] = true
		return again
	})
	u.m.Set(all)
}

// Observe returns the sessions of the user's targets, sorted by name, as of their last change or
// the last second.
func (u *User) Observe() []Status {
	u.m.users.Lock()
	want := u.m.wanted[u.name]
	u.m.users.Unlock()
	by := map[neighbour]Status{}
	for _, s := range u.m.Observe() {
		by[neighbourOf(s.Target)] = s
	}
	var out []Status
	for _, t := range want {
		if s, found := by[neighbourOf(t)]; found {
			s.Target.Name = t.Name
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b Status) int { return strings.Compare(a.Target.Name, b.Target.Name) })
	return out
}

// neighbour is what tells two sessions apart for the other end.
type neighbour struct {
	peer      netip.Addr
	link, vrf string
	multiHop  bool
}

func neighbourOf(t bfd.Target) neighbour { return neighbour{t.Peer, t.Link, t.VRF, t.MultiHop} }
