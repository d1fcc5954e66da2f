// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package bgp

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/clarion-lb/clarion/internal/lb"
)

// ConflictingAdvertisements is why an address that two advertisements, one of which selects
// Services, give different local preferences is not announced to a peer.
const ConflictingAdvertisements lb.Reason = "conflictingAdvertisements"

// Announced is one address that may be announced from this node by BGP, with what
// advertisements and weights look at.
type Announced struct {
	Service lb.Key
	Addr    netip.Addr
	Pool    string
	Labels  map[string]string // of the Service
	// Endpoints is the number of usable endpoints on this node for externalTrafficPolicy Local,
	// 1 for Cluster.
	Endpoints int
}

// Selection is what the advertisements make of the announced addresses on one node.
type Selection struct {
	// Peers are the sessions of this node with their routes, sorted by name.
	Peers []PeerWant
	// Services are the verdicts on the announced addresses, in their order.
	Services []Verdict
}

// Verdict says which peers get an address.
type Verdict struct {
	Service lb.Key
	Addr    netip.Addr
	// Peers are the names of the peers that get a route for the address, sorted.
	Peers []string
	// Reason is why no peer does, or why one that should does not; "" otherwise.
	Reason lb.Reason
}

// Select computes the routes of every peer that the node serves. Overlapping advertisements join
// their communities. The arguments are not changed, and their order does not matter beyond that of
// the verdicts.
func Select(node lb.Node, peers []lb.Peer, ads []lb.BGPAdvertisement, addrs []Announced) Selection {
	var out Selection
	out.Services = make([]Verdict, len(addrs))
	for i, a := range addrs {
		out.Services[i] = Verdict{Service: a.Service, Addr: a.Addr, Reason: lb.NoMatchingAdvertisement}
	}
	served, _ := Serve(&node, peers)
	for _, p := range served {
		out.Peers = append(out.Peers, PeerWant{Peer: p, Routes: routesFor(&p, &node, ads, addrs, out.Services)})
	}
	return out
}

// routesFor computes the routes of one peer and notes in the verdicts which addresses it gets.
func routesFor(p *lb.Peer, node *lb.Node, ads []lb.BGPAdvertisement, addrs []Announced, verdicts []Verdict) []lb.Route {
	relevant := make([]*lb.BGPAdvertisement, 0, len(ads))
	for i := range ads {
		if ads[i].ToPeer(node, p.Name) {
			relevant = append(relevant, &ads[i])
		}
	}
	if len(relevant) == 0 {
		return nil
	}
	slices.SortFunc(relevant, func(a, b *lb.BGPAdvertisement) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.Name, b.Name))
	})
	routes := make([]lb.Route, 0, len(addrs))
	for i := range addrs {
		a := &addrs[i]
		if !p.Carries(lb.FamilyOf(a.Addr)) {
			continue
		}
		before := len(routes)
		var conflict bool
		routes, conflict = appendRoutes(routes, p, relevant, a)
		switch v := &verdicts[i]; {
		case conflict:
			routes = routes[:before]
			v.Reason = ConflictingAdvertisements
		case len(routes) > before:
			v.Peers = append(v.Peers, p.Name)
			if v.Reason == lb.NoMatchingAdvertisement {
				v.Reason = ""
			}
		}
	}
	return mergeRoutes(routes)
}

// appendRoutes appends the routes of one address, of advertisements in the order of their age. Two
// that give one prefix different local preferences contradict each other. The older counts, and
// the younger object says so; where a label of the Service decides, no object could, so the
// address waits and the Service says why.
func appendRoutes(routes []lb.Route, p *lb.Peer, ads []*lb.BGPAdvertisement, a *Announced) ([]lb.Route, bool) {
	first := len(routes)
	var buf [4]bool
	selects := buf[:0] // whether the advertisement of each of the routes selects Services
	for _, ad := range ads {
		if !ad.OfService(a.Pool, a.Labels) {
			continue
		}
		r := lb.Route{
			Prefix: ad.PrefixFor(a.Addr), LocalPref: ad.LocalPref, Communities: ad.Communities,
			MED: ad.MED, Prepend: ad.Prepend, Bandwidth: ad.LinkBandwidth * uint64(max(a.Endpoints, 1)),
		}
		if !p.Internal() {
			r.LocalPref = 0 // RFC 4271 5.1.5: not sent to external peers
		} else {
			r.Prepend = 0
		}
		against := slices.IndexFunc(routes[first:], func(o lb.Route) bool {
			return o.Prefix == r.Prefix && o.LocalPref != 0 && r.LocalPref != 0 && o.LocalPref != r.LocalPref
		})
		switch {
		case against < 0:
			routes, selects = append(routes, r), append(selects, len(ad.Services) > 0)
		case selects[against] || len(ad.Services) > 0:
			return routes, true
		}
	}
	return routes, false
}

// mergeRoutes sorts routes and joins those of one prefix: all communities, the preference that
// attracts most traffic, the longest prepend and the largest bandwidth that any of them asks for.
func mergeRoutes(routes []lb.Route) []lb.Route {
	slices.SortStableFunc(routes, func(a, b lb.Route) int { return a.Prefix.Compare(b.Prefix) })
	out := routes[:0]
	for _, r := range routes {
		if n := len(out); n > 0 && out[n-1].Prefix == r.Prefix {
			out[n-1] = join(out[n-1], r)
			continue
		}
		out = append(out, r)
	}
	return out
}

func join(a, b lb.Route) lb.Route {
	a.LocalPref = max(a.LocalPref, b.LocalPref)
	a.Prepend = max(a.Prepend, b.Prepend)
	a.Bandwidth = max(a.Bandwidth, b.Bandwidth)
	if a.MED == 0 || b.MED != 0 && b.MED < a.MED {
		a.MED = b.MED
	}
	if !slices.Equal(a.Communities, b.Communities) {
		a.Communities = lb.SortedCommunities(slices.Concat(a.Communities, b.Communities))
	}
	return a
}

// RouterID chooses the BGP identifier of a node: its first IPv4 address, or a number made of its
// name where it has none.
func RouterID(node string, addrs []netip.Addr) netip.Addr {
	for _, a := range addrs {
		if a = a.Unmap(); a.Is4() && !a.IsUnspecified() && !a.IsLoopback() && !a.IsLinkLocalUnicast() {
			return a
		}
	}
	h := checksum(node)
	if h == 0 {
		h = 1 // RFC 6286: not zero
	}
	return netip.AddrFrom4([4]byte{byte(h >> 24), byte(h >> 16), byte(h >> 8), byte(h)})
}
