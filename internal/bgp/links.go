// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package bgp

import (
	"net/netip"
	"slices"

	"github.com/clarion-lb/clarion/internal/lb"
)

// OnLinks returns the wish with the sessions held whose link is down: the hold timer would find
// out much later. A link is that of an unnumbered peer, of a VRF, or the one on whose network a
// peer's address is. Where it cannot be told, nothing is held. Call it with a known list of
// links only.
func OnLinks(want Want, links []lb.Link) Want {
	out := Want{Peers: slices.Clone(want.Peers)}
	for i := range out.Peers {
		if w := &out.Peers[i]; w.Hold == "" && cut(&w.Peer, links) {
			w.Hold = LinkDown
		}
	}
	return out
}

// cut says whether the peer is certainly out of reach.
func cut(p *lb.Peer, links []lb.Link) bool {
	for _, name := range []string{p.Interface, p.VRF} {
		if name == "" {
			continue
		}
		i := slices.IndexFunc(links, func(l lb.Link) bool { return l.Name == name })
		if i < 0 || !links[i].Carrier {
			return true
		}
	}
	if p.Unnumbered() {
		return false
	}
	connected := false
	for i := range links {
		if !onNetwork(&links[i], p.Address) {
			continue
		}
		if links[i].Carrier {
			return false
		}
		connected = true
	}
	return connected
}

// connected says whether the peer's address is on a network of a link in its routing domain.
func connected(p *lb.Peer, links []lb.Link) bool {
	domain := slices.IndexFunc(links, func(l lb.Link) bool { return l.Name == p.VRF })
	return slices.ContainsFunc(links, func(l lb.Link) bool {
		member := p.VRF == "" || domain >= 0 && (l.Name == p.VRF || l.Master == links[domain].Index)
		return member && onNetwork(&l, p.Address)
	})
}

// onNetwork says whether the address belongs to a network of the link.
func onNetwork(l *lb.Link, addr netip.Addr) bool {
	return slices.ContainsFunc(l.Prefixes, func(p netip.Prefix) bool { return p.Contains(addr) })
}
