// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"cmp"
	"net/netip"
	"reflect"
	"slices"
	"unique"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarion-lb/clarion/internal/lb"
)

// PackedSlice is an EndpointSlice as the speaker keeps it, which holds every one of the cluster: what
// Compile reads of it, a fifth of the memory of the object. It never changes.
type PackedSlice struct {
	namespace, name, version string
	uid                      types.UID
	slice                    slice
}

// PackSlice keeps an EndpointSlice.
func PackSlice(in *discoveryv1.EndpointSlice) *PackedSlice {
	return &PackedSlice{
		namespace: unique.Make(in.Namespace).Value(), name: in.Name, version: in.ResourceVersion, uid: in.UID,
		slice: compileSlice(in),
	}
}

// Service returns the Service that the endpoints belong to; zero if there is none.
func (p *PackedSlice) Service() lb.Key { return p.slice.service }

// Says reports whether another version says the same.
func (p *PackedSlice) Says(other *PackedSlice) bool { return equalSlices(&p.slice, &other.slice) }

// GetNamespace returns the namespace.
func (p *PackedSlice) GetNamespace() string { return p.namespace }

// GetName returns the name.
func (p *PackedSlice) GetName() string { return p.name }

// GetUID returns the UID.
func (p *PackedSlice) GetUID() types.UID { return p.uid }

// GetResourceVersion returns the version of the object that was packed.
func (p *PackedSlice) GetResourceVersion() string { return p.version }

// slice is one EndpointSlice compiled.
type slice struct {
	service   lb.Key // zero when the slice belongs to no Service
	family    lb.Family
	ports     []servicePort
	endpoints []endpoint
}

// endpoint is one endpoint that kube-proxy could send traffic to.
type endpoint struct {
	addr  netip.Addr
	node  string
	ready bool // otherwise it is serving and terminating
}

func equalSlices(a, b *slice) bool { return reflect.DeepEqual(a, b) }

// compileSlice keeps what kube-proxy would: the first address of each endpoint that is ready,
// or terminating and still serving. A slice without ports forwards nothing.
func compileSlice(in *discoveryv1.EndpointSlice) slice {
	name := in.Labels[discoveryv1.LabelServiceName]
	out := slice{family: lb.IPv4}
	switch in.AddressType {
	case discoveryv1.AddressTypeIPv6:
		out.family = lb.IPv6
	case discoveryv1.AddressTypeIPv4:
	default: // FQDN: not for kube-proxy
		return slice{}
	}
	if name == "" {
		return slice{}
	}
	out.service = lb.Key{Namespace: unique.Make(in.Namespace).Value(), Name: name}
	for _, p := range in.Ports {
		if p.Port == nil || *p.Port == 0 {
			continue
		}
		out.ports = append(out.ports, servicePort{deref(p.Name, ""), deref(p.Protocol, corev1.ProtocolTCP)})
	}
	for i := range in.Endpoints {
		if e, ok := compileEndpoint(&in.Endpoints[i]); ok {
			out.endpoints = append(out.endpoints, e)
		}
	}
	return out
}

func compileEndpoint(in *discoveryv1.Endpoint) (endpoint, bool) {
	if len(in.Addresses) == 0 {
		return endpoint{}, false
	}
	addr, err := parseAddr(in.Addresses[0])
	if err != nil {
		return endpoint{}, false
	}
	c := in.Conditions
	ready := deref(c.Ready, true)
	draining := deref(c.Serving, true) && deref(c.Terminating, false)
	node := unique.Make(deref(in.NodeName, "")).Value() // the same few for thousands
	return endpoint{addr: addr, node: node, ready: ready}, ready || draining
}

func deref[T any](p *T, absent T) T {
	if p == nil {
		return absent
	}
	return *p
}

// countEndpoints says where the traffic of a Service can go. The two families are looked at
// apart, as kube-proxy does, and the fuller one counts: a dual-stack Service has each of its
// endpoints twice.
func countEndpoints(svc *service, slices []*slice) lb.Endpoints {
	out := lb.Endpoints{Known: true}
	for _, family := range svc.svc.Families {
		usable, local := countFamily(mergeEndpoints(svc, slices, family))
		out.Usable = max(out.Usable, usable)
		for node, n := range local {
			if out.Local == nil {
				out.Local = make(map[string]int, len(local))
			}
			out.Local[node] = max(out.Local[node], n)
		}
	}
	return out
}

// mergeEndpoints lists the endpoints of one family that serve at least one port of the
// Service, each address once. An address that is in two slices, because it is moving between
// them or because a new pod has it while the old one terminates, counts as ready if one of
// them says so.
func mergeEndpoints(svc *service, in []*slice, family lb.Family) []endpoint {
	var out []endpoint
	for _, s := range in {
		serves := slices.ContainsFunc(s.ports, func(p servicePort) bool { return slices.Contains(svc.ports, p) })
		if s.family == family && serves {
			out = append(out, s.endpoints...)
		}
	}
	slices.SortFunc(out, func(a, b endpoint) int {
		return cmp.Or(a.addr.Compare(b.addr), -compareBool(a.ready, b.ready), -cmp.Compare(a.node, b.node))
	})
	return slices.CompactFunc(out, func(a, b endpoint) bool { return a.addr == b.addr })
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	default:
		return -1
	}
}

// countFamily applies kube-proxy's rule: terminating endpoints that still serve are used only
// when no ready one is left. For the traffic of the whole cluster that means in the cluster,
// for local traffic on the node, so that the nodes do not depend on each other.
func countFamily(endpoints []endpoint) (usable int, local map[string]int) {
	type count struct{ ready, draining int }
	var all count
	nodes := map[string]count{}
	for _, e := range endpoints {
		n := nodes[e.node]
		if e.ready {
			all.ready++
			n.ready++
		} else {
			all.draining++
			n.draining++
		}
		nodes[e.node] = n
	}
	choose := func(c count) int {
		if c.ready > 0 {
			return c.ready
		}
		return c.draining
	}
	local = make(map[string]int, len(nodes))
	for node, n := range nodes {
		if node != "" {
			local[node] = choose(n)
		}
	}
	return choose(all), local
}
