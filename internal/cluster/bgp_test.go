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
	"k8s.io/apimachinery/pkg/types"

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
		for _, p := range compile(w.Objects).Snapshot.Peers {
			compiled++
			if text := bgp.Check(p); text != "" {
				t.Fatalf("seed %d: peer %+v: %s", seed, p, text)
			}
		}
	}
	if compiled < worlds {
		t.Errorf("the random clusters have next to no usable peers: %d", compiled)
	}
}

// A peer that a node leaves for an older one is told so, and one that no node leaves is not; it
// counts as not in use when every node of its own leaves it.
func TestEveryPeerThatANodeLeavesIsTold(t *testing.T) {
	told := 0
	for seed := range uint64(20 * worlds) {
		w := newWorld(seed)
		for range 2 * steps {
			w.step()
		}
		got := compile(w.Objects)
		want := map[string]bool{}
		served := map[string]bool{}
		for i := range got.Snapshot.Nodes {
			yes, left := bgp.Serve(&got.Snapshot.Nodes[i], got.Snapshot.Peers)
			for _, p := range yes {
				served[p.Name] = true
			}
			for _, l := range left {
				want[l.Name] = true
			}
		}
		for _, p := range got.Problems {
			if p.Kind != "BGPPeer" || !strings.HasPrefix(p.Message, "the older peer") || len(got.Snapshot.Nodes) == 0 {
				continue
			}
			told++
			if !want[p.Object.Name] || p.Ignored == served[p.Object.Name] {
				t.Fatalf("seed %d: %+v, left %v, served %v", seed, p, want, served)
			}
			delete(want, p.Object.Name)
		}
		if len(got.Snapshot.Nodes) > 0 && len(want) > 0 {
			t.Fatalf("seed %d: not told: %v", seed, want)
		}
	}
	if told == 0 {
		t.Error("in the random clusters no peer clashes")
	}
}

// A node that gets another label can make two peers, or two advertisements, meet there. That is
// told, and decided there for the older; it takes nothing from other nodes.
func TestALabelOnOneNodeTakesNothingFromOthers(t *testing.T) {
	o, _, err := manifest.Read([]byte(conflictOnN1))
	if err != nil {
		t.Fatal(err)
	}
	node := func(name, version string, labels map[string]string) *corev1.Node {
		return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), ResourceVersion: version, Labels: labels}}
	}
	addrs := []bgp.Announced{{Addr: netip.MustParseAddr("10.0.0.1"), Pool: "gold", Endpoints: 1}}
	var c cluster.Compiler
	for version, meet := range []bool{false, true, false} {
		labels := map[string]string{"a": "1"}
		want := map[string]string{"n1": "a:1", "n2": "b:2"}
		if meet {
			labels["b"] = "1"
		}
		o.Nodes = []*corev1.Node{node("n1", fmt.Sprint(version), labels), node("n2", "0", map[string]string{"b": "1"})}
		s, problems := c.Compile(o)
		for _, n := range s.Nodes {
			got := ""
			for _, p := range bgp.Select(n, s.Peers, s.BGP, addrs).Peers {
				got += fmt.Sprintf("%s:%d", p.Peer.Name, p.Routes[0].LocalPref)
			}
			if got != want[n.Name] {
				t.Errorf("with labels %v on n1, %s has the peer and preference %s, want %s", labels, n.Name, got, want[n.Name])
			}
		}
		told := 0
		for _, p := range problems {
			if told++; p.Object.Name != "b" || p.Ignored {
				t.Errorf("%+v", p)
			}
		}
		if meet != (told == 2) {
			t.Errorf("with labels %v: problems %v", labels, problems)
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
  spec: {myASN: 64500, peerASN: 64500, peerAddress: 192.0.2.1, nodeSelectors: [{matchLabels: {a: "1"}}]}
- apiVersion: metallb.io/v1beta2
  kind: BGPPeer
  metadata: {name: b, uid: b, resourceVersion: "1"}
  spec: {myASN: 64500, peerASN: 64500, peerAddress: 192.0.2.1, nodeSelectors: [{matchLabels: {b: "1"}}]}
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
