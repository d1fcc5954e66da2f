// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"strings"
	"testing"

	"github.com/clarion-lb/clarion/internal/cluster"
)

func TestReadTakesDocumentsAndLists(t *testing.T) {
	o, ignored, err := Read([]byte(`# nothing but a comment
---
apiVersion: v1
kind: Namespace
metadata: {name: web}
--- # with a comment
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
---
{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}}
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Node, metadata: {name: n1}}
- {apiVersion: v1, kind: ConfigMap, metadata: {name: c}}
- {apiVersion: metallb.io/v1beta1, kind: BGPPeer, metadata: {name: p}, spec: {myASN: 1}}
- {apiVersion: metallb.io/v1beta2, kind: BGPPeer, metadata: {name: q}, spec: {myASN: 1}}
---
`))
	if err != nil || ignored != 2 {
		t.Fatalf("ignored %d, error %v", ignored, err)
	}
	if len(o.Namespaces) != 1 || len(o.Services) != 1 || len(o.Nodes) != 1 || len(o.BGPPeers) != 2 {
		t.Errorf("read %+v", o)
	}
	if o.EndpointSlicesListed || o.SecretsListed {
		t.Error("what is not in the file counts as listed")
	}
}

func TestReadNamesWhatItCannotRead(t *testing.T) {
	for _, tt := range []struct{ in, says string }{
		{"a: [", "document 1"},
		{"---\n---\nx: y: z", "document 3"},
		{"apiVersion: v1\nkind: Service\nspec: {tpye: LoadBalancer}", `unknown field "tpye"`},
		{"apiVersion: v1\nkind: Service\nspec: {ports: 80}", "document 1"},
		{"apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Node, x: 1}]", "item 1"},
		{"just text", "document 1"},
	} {
		_, _, err := Read([]byte(tt.in))
		if err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("Read(%q) says %v, want %q in it", tt.in, err, tt.says)
		}
	}
}

// Whatever can be read can be compiled.
func FuzzRead(f *testing.F) {
	f.Add([]byte("apiVersion: v1\nkind: Service\nspec: {type: LoadBalancer, ports: [{port: 80}], clusterIP: x}\n---\n"))
	f.Add([]byte("apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nspec: {addresses: [10.0.0.1-10.0.0.9, ::/0]}"))
	f.Add([]byte("apiVersion: metallb.io/v1beta2\nkind: BGPPeer\nspec: {myASN: 1, peerASN: 1, peerAddress: 1.2.3.4, holdTime: 1s}"))
	f.Add([]byte("apiVersion: metallb.io/v1beta1\nkind: L2Advertisement\nspec: {nodeSelectors: [{matchExpressions: [{key: a, operator: In}]}]}"))
	f.Add([]byte("apiVersion: metallb.io/v1beta1\nkind: BGPAdvertisement\nspec: {communities: [a, '1:2'], aggregationLength: 7}"))
	f.Add([]byte("apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\naddressType: IPv4\nendpoints: [{addresses: [x]}]"))
	f.Add([]byte("apiVersion: v1\nkind: List\nitems: [null, {}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		o, _, err := Read(data)
		if err != nil {
			return
		}
		_, problems := cluster.Compile(o)
		for _, p := range problems {
			if p.Kind == "" || p.Message == "" {
				t.Fatalf("%q gives the problem %+v", data, p)
			}
		}
	})
}
