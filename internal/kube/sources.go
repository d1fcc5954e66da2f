// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/clarion-lb/clarion/api/v1beta1"
	"github.com/clarion-lb/clarion/internal/cluster"
)

// Sources are the stores that a program compiles its snapshot from.
type Sources struct {
	settings   cluster.Settings
	Services   Store[*corev1.Service]
	Pools      Store[*v1beta1.IPAddressPool]
	namespaces *Store[*corev1.Namespace]          // controller only
	nodes      *Store[*corev1.Node]               // speaker only
	slices     *Store[*discoveryv1.EndpointSlice] // speaker only
	l2         *Store[*v1beta1.L2Advertisement]   // speaker only
}

// WatchForAllocation watches what the controller decides on: Services, Namespaces and the
// pools of Clarion's own namespace.
func WatchForAllocation(w *Watcher, c Clients, namespace string, settings cluster.Settings) (*Sources, error) {
	s := &Sources{settings: settings}
	if err := s.watchCommon(w, c, namespace); err != nil {
		return nil, err
	}
	namespaces, err := Watch(w, Source[*corev1.Namespace]{
		Client: c.Builtin.CoreV1().RESTClient(), Resource: "namespaces",
		Example: &corev1.Namespace{}, Strip: stripNamespace, Same: sameNamespace,
	})
	s.namespaces = &namespaces
	return s, err
}

// WatchForAnnouncement watches what a speaker decides on.
func WatchForAnnouncement(w *Watcher, c Clients, namespace string, settings cluster.Settings) (*Sources, error) {
	s := &Sources{settings: settings}
	if err := s.watchCommon(w, c, namespace); err != nil {
		return nil, err
	}
	nodes, err := Watch(w, Source[*corev1.Node]{
		Client: c.Builtin.CoreV1().RESTClient(), Resource: "nodes",
		Example: &corev1.Node{}, Strip: stripNode, Same: sameNode,
	})
	if err != nil {
		return nil, err
	}
	slices, err := Watch(w, Source[*discoveryv1.EndpointSlice]{
		Client: c.Builtin.DiscoveryV1().RESTClient(), Resource: "endpointslices",
		Example: &discoveryv1.EndpointSlice{}, Strip: stripEndpointSlice,
	})
	if err != nil {
		return nil, err
	}
	l2, err := Watch(w, Source[*v1beta1.L2Advertisement]{
		Client: c.V1beta1, Resource: "l2advertisements", Namespace: namespace,
		Example: &v1beta1.L2Advertisement{}, Strip: stripManaged[*v1beta1.L2Advertisement],
	})
	s.nodes, s.slices, s.l2 = &nodes, &slices, &l2
	return s, err
}

func (s *Sources) watchCommon(w *Watcher, c Clients, namespace string) (err error) {
	s.Services, err = Watch(w, Source[*corev1.Service]{
		Client: c.Builtin.CoreV1().RESTClient(), Resource: "services",
		Example: &corev1.Service{}, Strip: stripService,
	})
	if err != nil {
		return err
	}
	s.Pools, err = Watch(w, Source[*v1beta1.IPAddressPool]{
		Client: c.V1beta1, Resource: "ipaddresspools", Namespace: namespace,
		Example: &v1beta1.IPAddressPool{}, Strip: stripManaged[*v1beta1.IPAddressPool],
	})
	return err
}

// Missing returns the name of a kind that has not been read yet, or "".
func (s *Sources) Missing() string {
	for _, k := range []struct {
		name   string
		synced func() bool
	}{
		{"services", s.Services.Synced},
		{"ipaddresspools", s.Pools.Synced},
		{"namespaces", syncedOrUnused(s.namespaces)},
		{"nodes", syncedOrUnused(s.nodes)},
		{"endpointslices", syncedOrUnused(s.slices)},
		{"l2advertisements", syncedOrUnused(s.l2)},
	} {
		if !k.synced() {
			return k.name
		}
	}
	return ""
}

// Objects returns the local copies, or false while a kind is Missing: then nothing may be
// concluded from the others either.
func (s *Sources) Objects() (o cluster.Objects, known bool) {
	if s.Missing() != "" {
		return o, false
	}
	o.Settings = s.settings
	o.Services = s.Services.List()
	o.Pools = s.Pools.List()
	o.Namespaces = listOrNone(s.namespaces)
	o.Nodes = listOrNone(s.nodes)
	o.EndpointSlices = listOrNone(s.slices)
	o.EndpointSlicesListed = s.slices != nil
	o.L2Advertisements = listOrNone(s.l2)
	return o, true
}

// Ready says whether every kind has been read, for the readiness probe.
func (s *Sources) Ready() error {
	if missing := s.Missing(); missing != "" {
		return fmt.Errorf("%s not read yet", missing)
	}
	return nil
}
