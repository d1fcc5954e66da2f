// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package bgp

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/clarion-lb/clarion/internal/lb"
)

// Clash is what stands between two peers of one node.
type Clash uint8

// The clashes. A router tells our sessions apart by their addresses, and every passive peer has a
// listening socket of its own, because it has an engine of its own.
const (
	NoClash Clash = iota
	SameEnds
	SameSocket
)

// Left is a peer that a node does not serve.
type Left struct {
	Name  string
	Older string // the peer that it serves instead
	Clash Clash
}

// Serve returns the peers that a node serves, as the node has them and sorted by name, and those
// that it leaves for an older one with which they clash. A peer that is left here is served by the
// other nodes that are free to, so that a label on this node takes no session from another.
func Serve(node *lb.Node, peers []lb.Peer) (served []lb.Peer, left []Left) {
	byAge := make([]lb.Peer, 0, len(peers))
	for i := range peers {
		if p := &peers[i]; len(p.Nodes) == 0 || p.Nodes.MatchesAny(node.Labels) {
			byAge = append(byAge, node.BGP.Apply(*p))
		}
	}
	slices.SortFunc(byAge, func(a, b lb.Peer) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.Name, b.Name))
	})
	served = make([]lb.Peer, 0, len(byAge))
	for i := range byAge {
		p, clash := &byAge[i], NoClash
		older := slices.IndexFunc(served, func(o lb.Peer) bool {
			clash = clashOf(&o, p)
			return clash != NoClash
		})
		if older < 0 {
			served = append(served, *p)
			continue
		}
		left = append(left, Left{Name: p.Name, Older: served[older].Name, Clash: clash})
	}
	slices.SortFunc(served, func(a, b lb.Peer) int { return cmp.Compare(a.Name, b.Name) })
	return served, left
}

// MayClash says whether two peers clash on a node that serves both and chooses their source
// addresses.
func MayClash(a, b lb.Peer) bool {
	a.Source, b.Source = netip.Addr{}, netip.Addr{}
	return clashOf(&a, &b) != NoClash
}

func clashOf(a, b *lb.Peer) Clash {
	switch {
	case a.Address == b.Address && a.Interface == b.Interface && a.Port == b.Port && a.VRF == b.VRF && a.Source == b.Source:
		return SameEnds
	case a.Passive() && a.ListenPort == b.ListenPort && lb.FamilyOf(a.Address) == lb.FamilyOf(b.Address) &&
		(a.Source == b.Source || !a.Source.IsValid() || !b.Source.IsValid()) &&
		(a.VRF == b.VRF || a.VRF == "" || b.VRF == ""):
		return SameSocket
	}
	return NoClash
}
