// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Package manifest reads YAML into the objects that package cluster compiles: what users hand
// to "kubectl clarion plan -f" and what tests keep as scenarios. It checks syntax and field
// names and leaves the meaning to package cluster.
package manifest

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/clarion-lb/clarion/api/v1beta1"
	"github.com/clarion-lb/clarion/api/v1beta2"
	"github.com/clarion-lb/clarion/internal/cluster"
)

// Read reads a file of YAML or JSON documents, which may be lists. Kinds that mean nothing to
// Clarion are counted in ignored, so that a whole application's manifests can be given. An
// unknown field of a known kind is an error. EndpointSlices, and Secrets, count as listed if
// there is one.
func Read(data []byte) (o cluster.Objects, ignored int, err error) {
	for i, doc := range documents(data) {
		n, err := add(&o, doc)
		if err != nil {
			return cluster.Objects{}, 0, fmt.Errorf("read document %d: %w", i+1, err)
		}
		ignored += n
	}
	o.EndpointSlicesListed = len(o.EndpointSlices) > 0
	o.SecretsListed = len(o.Secrets) > 0
	return o, ignored, nil
}

// documents splits a stream at the lines that begin with "---".
func documents(data []byte) [][]byte {
	var out [][]byte
	start := 0
	for pos := 0; pos < len(data); {
		end := pos
		for end < len(data) && data[end] != '\n' {
			end++
		}
		if line := data[pos:end]; len(line) >= 3 && string(line[:3]) == "---" {
			out = append(out, data[start:pos])
			start = min(end+1, len(data))
		}
		pos = end + 1
	}
	return append(out, data[start:])
}

// add decodes one document into the objects and returns how many objects it did not know.
func add(o *cluster.Objects, doc []byte) (ignored int, err error) {
	var head struct {
		metav1.TypeMeta
		Items []runtime.RawExtension
	}
	if err := yaml.Unmarshal(doc, &head); err != nil {
		return 0, err
	}
	switch head.APIVersion + "/" + head.Kind {
	case "/": // empty, or comments alone
		return 0, nil
	case "v1/Service":
		var services []*corev1.Service
		if err := decode(doc, &services); err != nil {
			return 0, err
		}
		o.Services = append(o.Services, cluster.Pack(services[0]))
		return 0, nil
	case "v1/Namespace":
		return 0, decode(doc, &o.Namespaces)
	case "v1/Node":
		return 0, decode(doc, &o.Nodes)
	case "discovery.k8s.io/v1/EndpointSlice":
		var slices []*discoveryv1.EndpointSlice
		if err := decode(doc, &slices); err != nil {
			return 0, err
		}
		o.EndpointSlices = append(o.EndpointSlices, cluster.PackSlice(slices[0]))
		return 0, nil
	case "metallb.io/v1beta1/IPAddressPool":
		return 0, decode(doc, &o.Pools)
	case "metallb.io/v1beta1/L2Advertisement":
		return 0, decode(doc, &o.L2Advertisements)
	case "metallb.io/v1beta2/BGPPeer", "metallb.io/v1beta1/BGPPeer": // the versions have the same fields
		return 0, decode(doc, &o.BGPPeers)
	case "metallb.io/v1beta1/BGPAdvertisement":
		return 0, decode(doc, &o.BGPAdvertisements)
	case "metallb.io/v1beta1/BFDProfile":
		return 0, decode(doc, &o.BFDProfiles)
	case "metallb.io/v1beta1/Community":
		return 0, decode(doc, &o.Communities)
	case "v1/Secret":
		return 0, decode(doc, &o.Secrets)
	}
	if head.Items == nil {
		return 1, nil
	}
	for i, item := range head.Items {
		n, err := add(o, item.Raw)
		if err != nil {
			return 0, fmt.Errorf("item %d: %w", i+1, err)
		}
		ignored += n
	}
	return ignored, nil
}

// object is any kind that is decoded.
type object interface {
	corev1.Service | corev1.Namespace | corev1.Node | discoveryv1.EndpointSlice |
		v1beta1.IPAddressPool | v1beta1.L2Advertisement | v1beta2.BGPPeer |
		v1beta1.BGPAdvertisement | v1beta1.BFDProfile | v1beta1.Community | corev1.Secret
}

func decode[T object](doc []byte, into *[]*T) error {
	var obj T
	if err := yaml.UnmarshalStrict(doc, &obj); err != nil {
		return err
	}
	*into = append(*into, &obj)
	return nil
}
