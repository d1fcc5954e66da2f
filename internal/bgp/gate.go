// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package bgp

import (
	"net/netip"
	"slices"
	"time"

	"github.com/clarion-lb/clarion/internal/bfd"
	"github.com/clarion-lb/clarion/internal/lb"
)

const (
	// settle is how long a Down right after the BGP session came up may last: FRR creates its BFD
	// session anew at that moment and says Down once on the way.
	settle = time.Second
	// patience is how long BFD alone keeps a session down. A peer whose BFD was switched off
	// without AdminDown would never return otherwise.
	patience = 30 * time.Second
)

// Seen is what the gate judges by, all of one moment.
type Seen struct {
	State State
	BFD   []Watched
	// Links are those of the node; Known is false while they have not been read.
	Links []lb.Link
	Known bool
}

// Watched is a BFD session that runs.
type Watched struct {
	Target bfd.Target
	Status bfd.Status
	// Problem is why no packets can be sent or received, "" when they can.
	Problem string
}

// Gated is a wish with the sessions held that BFD forbids, and what BFD shall watch.
type Gated struct {
	Want Want
	// Targets are sorted by name, which is the peer's; peers that share a session are one target.
	Targets []bfd.Target
	// Watched are the running sessions by the name of each peer that they watch.
	Watched map[string]Watched
	// Again is when to gate again although nothing happens; the zero time means never.
	Again time.Time
}

// Gate joins the wish, the observed sessions and what BFD knows of the peers.
//
// BFD runs with a peer from the first time that its session is established, and goes on when it
// falls: FRR creates its BFD session anew when BGP first comes up, and when it had been up before,
// takes that for a failure and hangs up.
func Gate(want Want, seen Seen, now time.Time) Gated {
	out := Gated{Want: Want{Peers: slices.Clone(want.Peers)}, Watched: map[string]Watched{}}
	for i := range out.Want.Peers {
		w := &out.Want.Peers[i]
		sess, ok := seen.State.Find(w.Peer.Name)
		known := ok && (sess.Ups > 0 || sess.Phase == Established) && sess.Address.IsValid()
		if w.Peer.BFD == nil || !known || !seen.Known && mayBeFar(&w.Peer) {
			continue
		}
		target := seen.targetOf(&w.Peer, sess.Address, now)
		out.target(target)
		watched, found := seen.watched(target)
		if !found {
			continue
		}
		out.Watched[w.Peer.Name] = watched
		var established time.Time
		if sess.Phase == Established {
			established = sess.Since
		}
		hold, again := Unreachable(watched.Status, established, now)
		if hold && w.Hold == "" {
			w.Hold = BFDDown
		}
		if !again.IsZero() && (out.Again.IsZero() || again.Before(out.Again)) {
			out.Again = again
		}
	}
	return out
}

// target adds what BFD shall watch for one more peer. The neighbour knows one session where two
// peers differ by their port or name only.
func (g *Gated) target(t bfd.Target) {
	i := slices.IndexFunc(g.Targets, t.SameSession)
	if i < 0 {
		g.Targets = append(g.Targets, t)
		return
	}
	g.Targets[i] = g.Targets[i].Join(t)
}

// targetOf is the BFD session of a peer that lives at an address. Internal peers that are on no
// network of ours are watched across hops, as routers do it from their side.
func (s *Seen) targetOf(p *lb.Peer, address netip.Addr, now time.Time) bfd.Target {
	if p.Unnumbered() {
		address = address.WithZone(p.Interface)
	}
	t := bfd.Target{Name: p.Name, Peer: address, Local: p.Source, Link: p.Interface, VRF: p.VRF, MinimumTTL: p.BFD.MinimumTTL}
	t.MultiHop = p.MultiHop || mayBeFar(p) && !s.nextToUs(p, t, now)
	t.Params = bfd.ParamsOf(*p.BFD, t.MultiHop)
	return t
}

// mayBeFar says whether only the links tell how many hops away a peer is.
func mayBeFar(p *lb.Peer) bool { return p.Internal() && !p.Unnumbered() && !p.MultiHop }

// nextToUs says whether a peer is on a network of ours. A session that has been up stays as it is
// until BFD has been down for long: a link that goes down can lose its networks.
func (s *Seen) nextToUs(p *lb.Peer, t bfd.Target, now time.Time) bool {
	for _, w := range s.BFD {
		t.MultiHop = w.Target.MultiHop
		if !w.Target.SameSession(t) || !w.Status.EverUp {
			continue
		}
		if w.Status.State == bfd.Up || now.Before(w.Status.Since.Add(patience)) {
			return !w.Target.MultiHop
		}
	}
	return connected(p, s.Links)
}

// watched finds the running session of a target.
func (s *Seen) watched(t bfd.Target) (Watched, bool) {
	i := slices.IndexFunc(s.BFD, func(w Watched) bool { return w.Target.SameSession(t) })
	if i < 0 {
		return Watched{}, false
	}
	return s.BFD[i], true
}

// Unreachable says whether BFD forbids the BGP session with a peer now (RFC 5882 4.2), and when
// to ask again although nothing happens; the zero time means never. established is when the BGP
// session came up, zero when it is not.
//
// BFD that has never been Up forbids nothing: the peer may not run it. A peer that says
// AdminDown has not failed (RFC 5882 3.2).
func Unreachable(s bfd.Status, established, now time.Time) (bool, time.Time) {
	if !s.EverUp || s.State == bfd.Up || s.State == bfd.AdminDown || s.Remote == bfd.AdminDown {
		return false, time.Time{}
	}
	if !now.Before(s.Since.Add(patience)) {
		return false, time.Time{}
	}
	if s.Diagnostic == bfd.NeighborSignaledDown && !established.IsZero() {
		fresh := !s.Since.Before(established) && s.Since.Before(established.Add(settle))
		if end := s.Since.Add(settle); fresh && now.Before(end) {
			return false, end
		}
	}
	return true, s.Since.Add(patience)
}
