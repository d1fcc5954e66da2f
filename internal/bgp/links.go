// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package bgp

import (
	"net/netip"
	"slices"

	"github.com/clarion-lb/clarion/internal/lb"
)

// OnLinks returns the wish with the sessions held whose link is down: the hold timer would find
// out much later. A link is that of an unnumbered peer, of a VRF, or the one in the peer's routing
// domain on whose network its address is. Where it cannot be told, nothing is held. Call it with a
// known list of links only.
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
	found := false
	for i := range links {
		if !leadsTo(&links[i], p, links) {
			continue
		}
		if links[i].Carrier {
			return false
		}
		found = true
	}
	return found
}

// connected says whether the peer's address is on a network of a link in its routing domain.
func connected(p *lb.Peer, links []lb.Link) bool {
	return slices.ContainsFunc(links, func(l lb.Link) bool { return leadsTo(&l, p, links) })
}

// leadsTo says whether the peer's address is on a network of the link, in the peer's routing domain.
func leadsTo(l *lb.Link, p *lb.Peer, links []lb.Link) bool {
	return onNetwork(l, p.Address) && inDomain(l, p.VRF, links)
}

// inDomain says whether a link belongs to a VRF, or, for "", to none, as the ports of bridges and
// bonds do. What a peer names as its VRF may be an ordinary link.
func inDomain(l *lb.Link, vrf string, links []lb.Link) bool {
	if vrf != "" && l.Name == vrf {
		return true
	}
	master := -1
	if l.Master != 0 {
		master = slices.IndexFunc(links, func(m lb.Link) bool { return m.Index == l.Master })
	}
	if vrf == "" {
		return master < 0 || !isVRF(&links[master])
	}
	return master >= 0 && links[master].Name == vrf
}

// isVRF tells a VRF from the other links that can be a master: bridges and bonds have broadcasts
// and ARP, a VRF neither (vrf_dev_init in the kernel).
func isVRF(master *lb.Link) bool { return !master.Broadcast && !master.ARP }

// onNetwork says whether the address belongs to a network of the link.
func onNetwork(l *lb.Link, addr netip.Addr) bool {
	return slices.ContainsFunc(l.Prefixes, func(p netip.Prefix) bool { return p.Contains(addr) })
}
