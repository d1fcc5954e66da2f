// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Package bgptest holds a bgp.Router without network for tests, and the contract that it and the
// real one both keep. It decides nothing.
package bgptest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/clarion-lb/clarion/internal/bgp"
	"github.com/clarion-lb/clarion/internal/lb"
)

// Received is what a remote router has got so far.
type Received struct {
	Routes    []lb.Route // now, sorted by prefix
	Announced int        // prefixes announced, repetitions included
	Withdrawn int        // prefixes withdrawn
	Sessions  int        // sessions established
	Up        bool
}

// Fake is a Router whose peers answer at once, except those whose AS number is Silent. Its
// methods are safe for concurrent use.
type Fake struct {
	mu      sync.Mutex
	have    map[string]*bgp.Have
	session map[string]*bgp.Session
	remote  map[string]*Received
	stopped bool
}

// Silent is the AS number of a peer that takes connections and never answers.
const Silent = 65535

var _ bgp.Router = (*Fake)(nil)

// NewFake returns a Fake without peers.
func NewFake() *Fake {
	return &Fake{have: map[string]*bgp.Have{}, session: map[string]*bgp.Session{}, remote: map[string]*Received{}}
}

// Set implements bgp.Router.
func (f *Fake) Set(_ context.Context, want bgp.Want) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopped {
		return errors.New("set routes: router is stopped")
	}
	var errs []error
	keep := map[string]bool{}
	for _, w := range want.Peers {
		keep[w.Peer.Name] = true
		problem := bgp.Check(w.Peer)
		if problem != "" {
			errs = append(errs, fmt.Errorf("serve peer %s: %s", w.Peer.Name, problem))
			w.Hold = bgp.PeerRejected
		}
		f.reach(w.Peer.Name, &w)
		f.session[w.Peer.Name].Detail = problem
	}
	for name := range f.have {
		if !keep[name] {
			f.reach(name, nil)
			delete(f.have, name)
			delete(f.session, name)
		}
	}
	return errors.Join(errs...)
}

// reach does the steps of one peer.
func (f *Fake) reach(name string, want *bgp.PeerWant) {
	have, sess, remote := f.have[name], f.session[name], f.remote[name]
	if have == nil {
		have, sess = &bgp.Have{}, &bgp.Session{Name: name, Phase: bgp.Idle}
		f.have[name], f.session[name] = have, sess
	}
	if remote == nil {
		remote = &Received{}
		f.remote[name] = remote
	}
	for _, s := range bgp.Steps(*have, want) {
		f.do(s, have, sess, remote)
	}
	sess.Announced = len(have.Routes)
	if want == nil || have.Added {
		sess.Reason = ""
		return
	}
	sess.Phase, sess.Reason = bgp.Held, want.Hold
	if want.Hold == bgp.PeerRejected {
		sess.Phase = bgp.Idle
	}
}

func (f *Fake) do(s bgp.Step, have *bgp.Have, sess *bgp.Session, remote *Received) {
	at, found := slices.BinarySearchFunc(have.Routes, s.Route, func(a, b lb.Route) int { return a.Prefix.Compare(b.Prefix) })
	switch s.Op {
	case bgp.DeletePeer:
		have.Added, have.Peer = false, lb.Peer{}
		remote.Up, remote.Routes = false, nil
	case bgp.AddPeer:
		have.Added, have.Peer, sess.Phase = true, s.Peer, bgp.Connecting
		if s.Peer.PeerASN == Silent {
			return
		}
		sess.Phase, sess.Address, sess.ASN = bgp.Established, s.Peer.Address, s.Peer.PeerASN
		sess.Ups++
		remote.Up = true
		remote.Sessions++
		remote.Announced += len(have.Routes)
	case bgp.AddPath:
		if found {
			have.Routes[at] = s.Route
		} else {
			have.Routes = slices.Insert(slices.Clone(have.Routes), at, s.Route)
		}
		if remote.Up {
			remote.Announced++
		}
	case bgp.DeletePath:
		have.Routes = slices.Delete(slices.Clone(have.Routes), at, at+1)
		if remote.Up {
			remote.Withdrawn++
		}
	}
	if remote.Up {
		remote.Routes = slices.Clone(have.Routes)
	}
}

// Observe implements bgp.Router.
func (f *Fake) Observe(context.Context) (bgp.State, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out bgp.State
	for _, s := range f.session {
		out.Sessions = append(out.Sessions, *s)
	}
	slices.SortFunc(out.Sessions, func(a, b bgp.Session) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return out, nil
}

// Stop implements bgp.Router.
func (f *Fake) Stop(_ context.Context, restart bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stopped = true
	for name, have := range f.have {
		if restart && have.Peer.GracefulRestart {
			continue
		}
		f.remote[name].Withdrawn += len(have.Routes)
		f.reach(name, nil)
	}
	return nil
}

// Received returns what the remote end of a peer has got.
func (f *Fake) Received(name string) Received {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r := f.remote[name]; r != nil {
		return *r
	}
	return Received{}
}
