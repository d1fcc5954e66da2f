// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarion-lb/clarion/api/v1beta1"
	"github.com/clarion-lb/clarion/api/v1beta2"
	"github.com/clarion-lb/clarion/internal/lb"
)

// Objects are the objects of a cluster that Clarion looks at, in any order. Custom resources
// are those of Clarion's own namespace. Objects are never modified, but what is compiled from
// them refers to their label maps, so nobody else may modify them either.
type Objects struct {
	Settings

	Services []*Packed
	// EndpointSlices means nothing unless EndpointSlicesListed: no endpoints and endpoints
	// that are not known yet are two things.
	EndpointSlices       []*PackedSlice
	EndpointSlicesListed bool
	// Namespaces are needed where pools select namespaces by label. The speaker, which
	// allocates nothing, does without.
	Namespaces []*corev1.Namespace
	Nodes      []*corev1.Node

	Pools            []*v1beta1.IPAddressPool
	L2Advertisements []*v1beta1.L2Advertisement

	BGPPeers          []*v1beta2.BGPPeer
	BGPAdvertisements []*v1beta1.BGPAdvertisement
	BFDProfiles       []*v1beta1.BFDProfile
	Communities       []*v1beta1.Community
	// Secrets are those of Clarion's own namespace. Until SecretsListed, a peer whose password
	// is in a Secret is neither used nor found fault with; the controller leaves it at that.
	Secrets       []*corev1.Secret
	SecretsListed bool
	// UnreadSecrets are the names of those that have not been read for all that, with what
	// prevents it; "" while the answer is on its way. A peer that needs one waits for it.
	UnreadSecrets map[string]string
}

// Settings are the flags that change what objects mean.
type Settings struct {
	// LoadBalancerClass selects the Services that are ours: those without a class when it is
	// "", otherwise those with exactly this class.
	LoadBalancerClass string
	// IgnoreExcludeLB disregards the label that excludes nodes from load balancers.
	IgnoreExcludeLB bool
}

// Compile says what the objects mean and what is wrong with them. Both results are sorted and
// do not depend on the order of the objects. A program that compiles again and again uses a
// Compiler instead.
func Compile(o Objects) (lb.Snapshot, []lb.Problem) {
	var c Compiler
	return c.Compile(o)
}

// Compiler is Compile with a memory: an object whose UID and resourceVersion it has seen is
// not compiled again. The results are those of Compile. They share memory from call to call
// and must not be modified. The zero value is ready; it is not for concurrent use.
type Compiler struct {
	settings Settings
	services serviceTable
	nodes    nodeTable
	pools    poolTable
	l2       l2Table
	peers    peerTable
	bgp      bgpTable
	problems []lb.Problem
}

// Compile is the function Compile.
func (c *Compiler) Compile(o Objects) (lb.Snapshot, []lb.Problem) {
	if c.settings != o.Settings {
		*c = Compiler{settings: o.Settings}
	}
	services := c.services.update(&o)
	nodes := c.nodes.update(&o)
	pools := c.pools.update(&o)
	l2 := c.l2.update(&o, c.pools.out, pools)
	peers := c.peers.update(&o, c.nodes.out, nodes)
	bgp := c.bgp.update(&o, c.pools.out, c.nodes.out, pools || nodes)
	if services || nodes || pools || l2 || peers || bgp {
		c.problems = slices.Concat(c.nodes.problems, c.bgp.problems, c.peers.problems, c.pools.problems, c.l2.problems, c.services.problems)
		slices.SortFunc(c.problems, compareProblems)
	}
	return lb.Snapshot{
		Services: c.services.out,
		Released: c.services.released,
		Nodes:    c.nodes.out,
		Pools:    c.pools.out,
		L2:       c.l2.out,
		Peers:    c.peers.out,
		BGP:      c.bgp.out,
	}, c.problems
}

// nodeTable compiles the nodes.
type nodeTable struct {
	nodes    memo[node]
	out      []lb.Node
	problems []lb.Problem
}

// update brings the table up to date and says whether any result changed.
func (t *nodeTable) update(o *Objects) bool {
	compile := func(n *corev1.Node) node { return compileNode(n, o.IgnoreExcludeLB) }
	if len(update(&t.nodes, o.Nodes, compile, equalNodes)) == 0 {
		return false
	}
	t.out, t.problems = make([]lb.Node, 0, len(t.nodes.order)), nil
	for _, e := range t.nodes.order {
		t.out = append(t.out, e.val.node)
		t.problems = append(t.problems, e.val.problems...)
	}
	return true
}
