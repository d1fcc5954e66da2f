// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package udp

import (
	"net/netip"
	"time"

	"github.com/clarion-lb/clarion/internal/bfd"
)

// arrival is what is known of a packet beside its bytes.
type arrival struct {
	from, to netip.Addr // without zones
	ttl      int
	index    int // of the link that it came in by
	multiHop bool
	vrf      string // that its socket is bound to
	// plain is true when the socket is bound to an ordinary device instead of a VRF: the packets
	// of the default domain that come in by that device are given to it as well.
	plain bool
}

// arrivalOf describes a packet of a socket.
func arrivalOf(r *receiver, from netip.Addr, c control) arrival {
	return arrival{
		from: from, to: c.to, ttl: c.ttl, index: c.index, vrf: r.vrf,
		multiHop: r.port != controlPort && r.port != echoPort,
		// In a VRF the kernel tells the enslaved link.
		plain: r.vrf != "" && c.index == r.index,
	}
}

// receive finds the session of a packet (RFC 5880 6.8.6, RFC 5881 3, RFC 5883 4) and
// hands it over.
func (l *loop) receive(a arrival, b []byte) {
	p, err := bfd.Parse(b)
	if err != nil {
		l.m.log.Debug("drop control packet", "addr", a.from, "err", err)
		return
	}
	e := l.find(p.YourDisc, &a)
	if e == nil {
		l.m.log.Debug("drop control packet", "addr", a.from, "err", "no session")
		return
	}
	least := 255 // RFC 5881 5: nobody off the link can send this
	if a.multiHop {
		least = int(e.target.MinimumTTL)
	}
	if a.ttl < least {
		l.m.log.Debug("drop control packet", "addr", a.from, "ttl", a.ttl, "minimum", least)
		return
	}
	e.counters.ControlIn++
	l.execute(e, e.session.Receive(p, time.Now()))
}

// find looks a session up by its discriminator and, before the neighbour has learned that, by
// the addresses. Either way these and the link must be those of the session.
func (l *loop) find(disc uint32, a *arrival) *entry {
	if disc != 0 {
		if e := l.byDisc[disc]; e != nil && e.takes(a) {
			return e
		}
		return nil
	}
	var best *entry
	for _, e := range l.byName {
		if e.takes(a) && (best == nil || e.before(best, a)) {
			best = e
		}
	}
	return best
}

// takes says whether a packet can be of this session.
func (e *entry) takes(a *arrival) bool {
	t := &e.target
	return t.MultiHop == a.multiHop && t.Peer.WithZone("") == a.from &&
		(!t.Local.IsValid() || t.Local.WithZone("") == a.to) &&
		(e.index == 0 || e.index == a.index) &&
		(t.VRF == a.vrf || t.VRF == "" && a.plain)
}

// before puts the sessions that can take a packet into an order: first the one that was
// configured for more of what the packet has, then by name.
func (e *entry) before(o *entry, a *arrival) bool {
	for _, c := range [][2]bool{
		{e.target.VRF == a.vrf, o.target.VRF == a.vrf},
		{e.target.Local.IsValid(), o.target.Local.IsValid()},
		{e.index != 0, o.index != 0},
	} {
		if c[0] != c[1] {
			return c[0]
		}
	}
	return e.target.Name < o.target.Name
}

// confusable says whether the neighbour may take the packets of two sessions for those of one.
func confusable(a, b bfd.Target) bool {
	return a.Peer == b.Peer && a.MultiHop == b.MultiHop && a.VRF == b.VRF &&
		(a.Local == b.Local || !a.Local.IsValid() || !b.Local.IsValid())
}
