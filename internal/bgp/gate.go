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

// Gated is a wish with the sessions held that BFD forbids, and what BFD shall watch.
type Gated struct {
	Want    Want
	Targets []bfd.Target // sorted by name; the name is the peer's
	// Again is when to gate again although nothing happens; the zero time means never.
	Again time.Time
}

// Gate joins the wish, the observed sessions and what BFD knows of the peers, by name.
//
// BFD runs with a peer from the first time that its session is established, and goes on when it
// falls: FRR creates its BFD session anew when BGP first comes up, and when it had been up before,
// takes that for a failure and hangs up.
func Gate(want Want, state State, status map[string]bfd.Status, now time.Time) Gated {
	out := Gated{Want: Want{Peers: slices.Clone(want.Peers)}}
	for i := range out.Want.Peers {
		w := &out.Want.Peers[i]
		sess, ok := state.Find(w.Peer.Name)
		known := ok && (sess.Ups > 0 || sess.Phase == Established) && sess.Address.IsValid()
		if w.Peer.BFD == nil || !known {
			continue
		}
		out.Targets = append(out.Targets, targetOf(&w.Peer, sess.Address))
		var established time.Time
		if sess.Phase == Established {
			established = sess.Since
		}
		hold, again := Unreachable(status[w.Peer.Name], established, now)
		if hold && w.Hold == "" {
			w.Hold = BFDDown
		}
		if !again.IsZero() && (out.Again.IsZero() || again.Before(out.Again)) {
			out.Again = again
		}
	}
	return out
}

// targetOf is the BFD session of a peer that lives at an address.
func targetOf(p *lb.Peer, address netip.Addr) bfd.Target {
	if p.Unnumbered() {
		address = address.WithZone(p.Interface)
	}
	return bfd.Target{
		Name: p.Name, Peer: address, Local: p.Source, Link: p.Interface, VRF: p.VRF, MultiHop: p.MultiHop,
		MinimumTTL: p.BFD.MinimumTTL, Params: bfd.ParamsOf(*p.BFD, p.MultiHop),
	}
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
