// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarion-lb/clarion/internal/bgp"
	"github.com/clarion-lb/clarion/internal/cluster"
	"github.com/clarion-lb/clarion/internal/cluster/manifest"
	"github.com/clarion-lb/clarion/internal/lb"
)

// Whatever the objects say, the router gets only peers that it can serve.
func TestCompiledPeersAreUsable(t *testing.T) {
	compiled := 0
	for seed := range uint64(20 * worlds) {
		w := newWorld(seed)
		for range steps {
			w.step()
		}
		s := compile(w.Objects).Snapshot
		for i, p := range s.Peers {
			compiled++
			if text := bgp.Check(p); text != "" {
				t.Fatalf("seed %d: peer %+v: %s", seed, p, text)
			}
			for _, o := range s.Peers[:i] {
				same := o.Address == p.Address && o.Interface == p.Interface && o.Port == p.Port && o.Source == p.Source
				for _, n := range s.Nodes {
					if same && appliesTo(o, n) && appliesTo(p, n) {
						t.Fatalf("seed %d: %s and %s have the same session on %s", seed, o.Name, p.Name, n.Name)
					}
				}
			}
		}
	}
	if compiled < worlds {
		t.Errorf("the random clusters have next to no usable peers: %d", compiled)
	}
}

func appliesTo(p lb.Peer, n lb.Node) bool { return len(p.Nodes) == 0 || p.Nodes.MatchesAny(n.Labels) }

// A node that gets another label can make two peers, or two advertisements, meet there.
func TestConflictsFollowTheLabelsOfNodes(t *testing.T) {
	o, _, err := manifest.Read([]byte(conflictOnN1))
	if err != nil {
		t.Fatal(err)
	}
	var c cluster.Compiler
	for version, want := range []int{2, 1, 2} {
		node := corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", UID: "u", ResourceVersion: fmt.Sprint("v", version)}}
		node.Labels = map[string]string{"a": "1", "b": fmt.Sprint(version)}
		o.Nodes = []*corev1.Node{&node}
		s, problems := c.Compile(o)
		if len(s.Peers) != want || len(s.BGP[0].Pools)+len(s.BGP[1].Pools) != want || len(problems) != 2*(2-want) {
			t.Errorf("with labels %v: %d peers, advertisements %+v, problems %v", node.Labels, len(s.Peers), s.BGP, problems)
		}
	}
}

const conflictOnN1 = `
apiVersion: v1
kind: List
items:
- apiVersion: metallb.io/v1beta1
  kind: IPAddressPool
  metadata: {name: gold, uid: p, resourceVersion: "1"}
  spec: {addresses: [10.0.0.0/24]}
- apiVersion: metallb.io/v1beta2
  kind: BGPPeer
  metadata: {name: a, uid: a, resourceVersion: "1"}
  spec: {myASN: 64500, peerASN: 64501, peerAddress: 192.0.2.1, nodeSelectors: [{matchLabels: {a: "1"}}]}
- apiVersion: metallb.io/v1beta2
  kind: BGPPeer
  metadata: {name: b, uid: b, resourceVersion: "1"}
  spec: {myASN: 64500, peerASN: 64501, peerAddress: 192.0.2.1, nodeSelectors: [{matchLabels: {b: "1"}}]}
- apiVersion: metallb.io/v1beta1
  kind: BGPAdvertisement
  metadata: {name: a, uid: a, resourceVersion: "1"}
  spec: {localPref: 1, nodeSelectors: [{matchLabels: {a: "1"}}]}
- apiVersion: metallb.io/v1beta1
  kind: BGPAdvertisement
  metadata: {name: b, uid: b, resourceVersion: "1"}
  spec: {localPref: 2, nodeSelectors: [{matchLabels: {b: "1"}}]}
`

// No advertisement announces an address outside the pool it announces, nor one prefix with two
// local preferences over one session.
func TestAdvertisementsStayWithinPools(t *testing.T) {
	aggregated := 0
	for seed := range uint64(10 * worlds) {
		w := newWorld(seed)
		for range 2 * steps {
			w.step()
		}
		s := compile(w.Objects).Snapshot
		for _, ad := range s.BGP {
			for _, name := range ad.Pools {
				i := slices.IndexFunc(s.Pools, func(p lb.Pool) bool { return p.Name == name })
				if i < 0 {
					t.Fatalf("seed %d: %s announces pool %s, which there is not", seed, ad.Name, name)
				}
				fits := map[lb.Family]bool{}
				for _, r := range s.Pools[i].Ranges {
					fits[r.Family()] = fits[r.Family()] || holdsPrefix(&ad, r)
					if ad.AggregationLength < 32 {
						aggregated++
					}
				}
				for family, ok := range fits {
					if !ok {
						t.Fatalf("seed %d: %s has no %s prefix within pool %s", seed, ad.Name, family, name)
					}
				}
			}
		}
	}
	if aggregated == 0 {
		t.Error("the random clusters aggregate nothing")
	}
}

// holdsPrefix says whether any prefix that the advertisement announces lies within the range.
func holdsPrefix(ad *lb.BGPAdvertisement, r lb.Range) bool {
	for a := r.First; r.Contains(a); a = a.Next() {
		p := ad.PrefixFor(a)
		if p.Addr() == a && r.Contains(lastOf(p)) {
			return true
		}
	}
	return false
}

func lastOf(p netip.Prefix) netip.Addr {
	last := p.Addr()
	for p.Contains(last.Next()) {
		last = last.Next()
	}
	return last
}

func TestNothingButThePeerShowsAPassword(t *testing.T) {
	for seed := range uint64(worlds) {
		w := newWorld(seed)
		for range 2 * steps {
			w.step()
		}
		r := compile(w.Objects)
		if text := fmt.Sprintf("%v %+v %#v", r, r, r); strings.Contains(text, password) {
			t.Fatalf("seed %d: %s", seed, text)
		}
	}
}
