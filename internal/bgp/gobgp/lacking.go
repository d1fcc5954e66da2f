// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/clarion-lb/clarion/internal/bgp"
	"github.com/clarion-lb/clarion/internal/lb"
)

// sendable are the routes for which there is a next hop.
func (h hops) sendable(routes []lb.Route) []lb.Route {
	if h.v4.IsValid() && h.v6.IsValid() {
		return routes
	}
	out := make([]lb.Route, 0, len(routes))
	for _, r := range routes {
		if h.of(lb.FamilyOf(r.Prefix.Addr())).IsValid() {
			out = append(out, r)
		}
	}
	return out
}

// lacking says which routes are not sendable, "" when all are. local is our end of the session,
// invalid while there is none.
func (h hops) lacking(routes []lb.Route, local netip.Addr) string {
	var texts []string
	for _, f := range []lb.Family{lb.IPv4, lb.IPv6} {
		if h.of(f).IsValid() {
			continue
		}
		n := 0
		for i := range routes {
			if lb.FamilyOf(routes[i].Prefix.Addr()) == f {
				n++
			}
		}
		if n == 0 {
			continue
		}
		beside, wait := "for a next hop", "routes wait"
		if local.IsValid() {
			beside = fmt.Sprintf("beside %s", local)
		}
		if n == 1 {
			wait = "route waits"
		}
		texts = append(texts, fmt.Sprintf("no %s address %s: %d %s", f, beside, n, wait))
	}
	return strings.Join(texts, "; ")
}

// localOf is our end of a session, or what it is going to be.
func localOf(sess *bgp.Session, p *lb.Peer) netip.Addr {
	if sess.Local.IsValid() {
		return sess.Local
	}
	return p.Source
}
