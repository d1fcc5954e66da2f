// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/clarion-lb/clarion/internal/lb"
)

// link is one interface of the last snapshot.
type link struct {
	lb.Link
	// ndp is true while the link has an IPv6 link-local address. It outlives the loss of
	// carrier, with which the kernel may drop the address for as long.
	ndp bool
}

// learn takes a snapshot over and says whether it differs from the last one.
func (m *Machine) learn(links []lb.Link) bool {
	if m.snapshot != nil && slices.EqualFunc(m.snapshot, links, equalLinks) {
		return false
	}
	m.snapshot = make([]lb.Link, 0, len(links))
	last := m.links
	m.links = make(map[int]*link, len(links))
	clear(m.own)
	clear(m.eligible)
	for _, l := range links {
		l.Prefixes = slices.Clone(l.Prefixes)
		m.snapshot = append(m.snapshot, l)
		n := &link{Link: l, ndp: slices.ContainsFunc(l.Prefixes, linkLocal)}
		if before := last[l.Index]; before != nil && before.ndp && !l.Carrier {
			n.ndp = true
		}
		m.links[l.Index] = n
		m.own[MAC(l.HardwareAddr)] = struct{}{}
		if !m.suitable(&n.Link) {
			continue
		}
		m.eligible[lb.IPv4] = append(m.eligible[lb.IPv4], n)
		if n.ndp {
			m.eligible[lb.IPv6] = append(m.eligible[lb.IPv6], n)
		}
	}
	for _, list := range m.eligible {
		slices.SortFunc(list, func(a, b *link) int { return cmp.Compare(a.Index, b.Index) })
	}
	return true
}

// suitable says whether a link may carry addresses at all. Carrier does not matter here: a
// link that lost it keeps its addresses, silent, for the moment it comes back.
func (m *Machine) suitable(l *lb.Link) bool {
	return l.Broadcast && l.ARP && l.Master == 0 && l.HardwareAddr != [6]byte{} && !m.isExcluded(l.Name)
}

func (m *Machine) isExcluded(name string) bool {
	verdict, known := m.excluded[name]
	if known {
		return verdict
	}
	for _, re := range m.exclude {
		if re.MatchString(name) {
			verdict = true
			break
		}
	}
	m.excluded[name] = verdict
	return verdict
}

// choose returns the links on which an address belongs now; valid until its next call.
func (m *Machine) choose(e *entry) []*link {
	m.pick = m.pick[:0]
	named := func(l *link) bool { return len(e.ifaces) == 0 || slices.Contains(e.ifaces, l.Name) }
	var best *link
	var bits int
	for _, l := range m.eligible[e.family] {
		if b := owns(l, e.addr); b > 0 && named(l) && (best == nil || m.better(e, l, b, best, bits)) {
			best, bits = l, b
		}
	}
	if best != nil {
		m.pick = append(m.pick, best)
	}
	if best != nil && len(e.ifaces) == 0 {
		return m.pick
	}
	// In a segment of another subnet the address is announced where nothing better is known, or
	// where that was asked for by name.
	for _, l := range m.eligible[e.family] {
		if named(l) && owns(l, e.addr) == 0 {
			m.pick = append(m.pick, l)
		}
	}
	return m.pick
}

// better says whether link l, whose prefix of b bits holds the address, is preferred to
// the best one so far. Answering on both would give one address two hardware addresses in
// one segment (metallb#531).
func (m *Machine) better(e *entry, l *link, b int, best *link, bits int) bool {
	switch {
	case l.Carrier != best.Carrier:
		return l.Carrier // the subnet may be reached by another way, and not by this one
	case b != bits:
		return b > bits
	default: // links come in ascending order, so a tie stays with the lowest index
		return e.seatOn(l.Index) != nil && e.seatOn(best.Index) == nil
	}
}

// owns returns the length of the longest prefix of the link that holds the address, 0 if
// none does. A host prefix names the interface's own address only and owns no subnet.
func owns(l *link, a netip.Addr) int {
	best := 0
	for _, p := range l.Prefixes {
		if p.Bits() > best && !p.IsSingleIP() && p.Contains(a) {
			best = p.Bits()
		}
	}
	return best
}

func linkLocal(p netip.Prefix) bool { return p.Addr().Is6() && p.Addr().IsLinkLocalUnicast() }

func equalLinks(a, b lb.Link) bool {
	return a.Index == b.Index && a.Name == b.Name && a.HardwareAddr == b.HardwareAddr &&
		a.Carrier == b.Carrier && a.Broadcast == b.Broadcast && a.ARP == b.ARP && a.Master == b.Master &&
		slices.Equal(a.Prefixes, b.Prefixes)
}
