// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"net/netip"

	"github.com/clarion-lb/clarion/internal/bgp"
	"github.com/clarion-lb/clarion/internal/lb"
)

// BGP is what one node must advertise to its peers.
type BGP struct {
	// Known is false when an input was not known yet. Such a BGP is empty and must not be
	// applied: the caller changes nothing (I7).
	Known bool
	// Waiting says which input is missing when Known is false.
	Waiting lb.Reason
	// Self is the node that the plan is for.
	Self string
	// Leaving is true when the node was ordered to leave, so that its end is no restart.
	Leaving bool
	// Peers are the sessions of this node with their routes, sorted by name.
	Peers []bgp.PeerWant
	// Why has one entry for each address of each Service, in the order of the snapshot's
	// Services and of the addresses in the Service's status.
	Why []Advertised
}

// Advertised says to whom a node advertises an address of a Service, or why to nobody.
type Advertised struct {
	Service lb.Key
	Addr    netip.Addr
	// Peers are the names of the peers that get a route for the address, sorted.
	Peers []string
	// Reason is NodeAssigned when there are Peers, otherwise what stands in the way.
	Reason lb.Reason
}

// BGPForNode returns what the node self must advertise. Unlike layer 2 that needs no agreement
// with other speakers, so the membership plays no part. Slices of the result may share
// memory with the snapshot, so nobody may change them.
//
// A node that was ordered to leave goes on advertising, as a last resort: its peers use it only where
// nobody else is left.
func BGPForNode(self string, s lb.Snapshot) BGP {
	if missing := clusterUnknown(s); missing != "" {
		return BGP{Self: self, Waiting: missing}
	}
	d := BGP{Known: true, Self: self}
	node, reason := bgpNode(self, s.Nodes)
	spans := spansOf(s.Pools)
	n := places(s.Services)
	d.Why = make([]Advertised, 0, n)
	able := make([]bgp.Announced, 0, n)
	at := make([]int, 0, n) // index in Why of each of able
	for i := range s.Services {
		svc := &s.Services[i]
		for _, a := range svc.Assigned {
			w := Advertised{Service: svc.Key, Addr: a.Unmap()}
			pool := ""
			if k, ok := poolAt(spans, w.Addr); ok {
				pool = s.Pools[k].Name
			}
			if w.Reason = obstacle(svc, pool, s.BGP, reason, self); w.Reason == "" {
				at = append(at, len(d.Why))
				able = append(able, bgp.Announced{
					Service: svc.Key, Addr: w.Addr, Pool: pool, Labels: svc.Labels, Endpoints: endpointsOn(svc, self),
				})
			}
			d.Why = append(d.Why, w)
		}
	}
	sel := bgp.Select(node, s.Peers, s.BGP, able)
	d.Peers = sel.Peers
	for i := range sel.Services {
		w := &d.Why[at[i]]
		w.Peers, w.Reason = sel.Services[i].Peers, sel.Services[i].Reason
		if len(w.Peers) > 0 {
			w.Reason = lb.NodeAssigned
		} else if w.Reason == lb.NoMatchingAdvertisement && reaches(&node, s.BGP, &able[i]) {
			w.Reason = lb.NoPeer
		}
	}
	if d.Leaving = node.Leaving; d.Leaving {
		for i := range d.Peers {
			d.Peers[i].Routes = bgp.LastResort(d.Peers[i])
		}
	}
	return d
}

// bgpNode finds the node that the plan is for, and why it can advertise nothing, "" when it can.
func bgpNode(self string, nodes []lb.Node) (lb.Node, lb.Reason) {
	for i := range nodes {
		n := nodes[i]
		switch {
		case n.Name != self:
			continue
		case n.NetworkUnavailable:
			return n, lb.NodeNetworkUnavailable
		case n.ExcludedFromLB:
			return n, lb.NodeLabeledExcludeBalancers
		}
		return n, ""
	}
	return lb.Node{Name: self}, lb.NoSpeaker // its Node was deleted: it is on its way out
}

// obstacle says why the node cannot advertise an address whatever its peers are, "" for nothing.
func obstacle(svc *lb.Service, pool string, ads []lb.BGPAdvertisement, node lb.Reason, self string) lb.Reason {
	switch {
	case pool == "":
		return lb.NoPool
	case !advertised(svc, pool, ads):
		return lb.NoMatchingAdvertisement
	case node != "":
		return node
	case svc.Endpoints.Usable == 0:
		return lb.NoEndpoints
	case endpointsOn(svc, self) == 0:
		return lb.NoLocalEndpoints
	default:
		return ""
	}
}

// advertised says whether there is an advertisement of the Service for some node and peer.
func advertised(svc *lb.Service, pool string, ads []lb.BGPAdvertisement) bool {
	for i := range ads {
		if ads[i].OfService(pool, svc.Labels) {
			return true
		}
	}
	return false
}

// reaches says whether an advertisement of the address applies on the node.
func reaches(node *lb.Node, ads []lb.BGPAdvertisement, a *bgp.Announced) bool {
	for i := range ads {
		onNode := len(ads[i].Nodes) == 0 || ads[i].Nodes.MatchesAny(node.Labels)
		if onNode && ads[i].OfService(a.Pool, a.Labels) {
			return true
		}
	}
	return false
}

// endpointsOn is the weight of the node for a Service: with externalTrafficPolicy Local its
// usable endpoints, otherwise 1, because every node forwards to all.
func endpointsOn(svc *lb.Service, node string) int {
	if svc.LocalOnly {
		return svc.Endpoints.Local[node]
	}
	return 1
}
