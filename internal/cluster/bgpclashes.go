// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"slices"

	"github.com/clarion-lb/clarion/internal/bgp"
	"github.com/clarion-lb/clarion/internal/lb"
)

// clashed is what the nodes make of a peer that may clash with another.
type clashed struct {
	served bool   // by one node at least
	node   string // the first that leaves it
	left   bgp.Left
}

// clashes tells of the peers that a node leaves for an older one. One that every node leaves is
// not used at all. keys are those of the objects.
func clashes(peers []lb.Peer, keys []lb.Key, nodes []lb.Node) []lb.Problem {
	suspects := suspectsOf(peers)
	if len(suspects) == 0 {
		return nil
	}
	if len(nodes) == 0 { // what is certain shows on a node of which nothing is known
		suspects = slices.DeleteFunc(suspects, func(p lb.Peer) bool { return len(p.Nodes) > 0 })
		nodes = []lb.Node{{}}
	}
	found := map[string]*clashed{}
	for i := range peers {
		found[peers[i].Name] = &clashed{}
	}
	for i := range nodes {
		served, left := bgp.Serve(&nodes[i], suspects)
		for k := range served {
			found[served[k].Name].served = true
		}
		for _, l := range left {
			if c := found[l.Name]; c.left.Clash == bgp.NoClash {
				c.node, c.left = nodes[i].Name, l
			}
		}
	}
	var out []lb.Problem
	for i := range peers {
		if c := found[peers[i].Name]; c.left.Clash != bgp.NoClash {
			out = append(out, c.problem(keys[i], &peers[i]))
		}
	}
	return out
}

func (c *clashed) problem(key lb.Key, p *lb.Peer) lb.Problem {
	where := "on the same nodes"
	if c.served {
		where = fmt.Sprintf("on node %q, where it counts", c.node)
	}
	out := lb.Problem{Kind: "BGPPeer", Object: key, Reason: lb.InvalidConfiguration, Ignored: !c.served}
	switch c.left.Clash {
	case bgp.SameEnds:
		out.Field = "spec.peerAddress"
		out.Message = fmt.Sprintf("the older peer %q has a session with the same address, port and VRF %s; "+
			"delete one of them or give them different nodes", c.left.Older, where)
	case bgp.SameSocket:
		out.Field = "spec.listenPort"
		out.Message = fmt.Sprintf("the older peer %q listens on port %d of the same address %s; "+
			"choose another port, or give each of them a sourceAddress", c.left.Older, p.ListenPort, where)
	}
	return out
}

// suspectsOf returns the peers that clash with another where a node chooses the source addresses:
// those few have to be looked at node by node.
func suspectsOf(peers []lb.Peer) []lb.Peer {
	var out []lb.Peer
	for i := range peers {
		for k := range peers {
			if i != k && bgp.MayClash(peers[i], peers[k]) {
				out = append(out, peers[i])
				break
			}
		}
	}
	return out
}
