// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/client-go/rest"

	"github.com/clarion-lb/clarion/api/v1beta1"
	"github.com/clarion-lb/clarion/api/v1beta2"
	"github.com/clarion-lb/clarion/internal/cluster"
)

// Sources are the stores that a program compiles its snapshot from.
type Sources struct {
	settings    cluster.Settings
	Services    Store[*cluster.Packed]
	pools       Store[*v1beta1.IPAddressPool]
	nodes       Store[*corev1.Node]
	l2          Store[*v1beta1.L2Advertisement]
	bgp         Store[*v1beta1.BGPAdvertisement]
	peers       Store[*v1beta2.BGPPeer]
	profiles    Store[*v1beta1.BFDProfile]
	communities Store[*v1beta1.Community]
	namespaces  *Store[*corev1.Namespace]    // controller only
	slices      *Store[*cluster.PackedSlice] // speaker only
	passwords   *passwords                   // speaker only
}

// WatchForAllocation watches what the controller decides on, Services, Namespaces and the pools
// of Clarion's own namespace, and what it reports mistakes of: the rest of the configuration,
// and the Nodes, which decide whether two peers or advertisements meet. It reads no Secrets.
// Versions of Services that are the echo of an own write are no reason to look at anything.
func WatchForAllocation(w *Watcher, c Clients, namespace string, settings cluster.Settings, echo func(*cluster.Packed) bool) (*Sources, error) {
	s := &Sources{settings: settings}
	regard := regard[*cluster.Packed]{same: func(_, now *cluster.Packed) bool { return echo(now) }}
	if err := s.watchCommon(w, c, namespace, regard); err != nil {
		return nil, err
	}
	namespaces, err := Watch(w, Source[*corev1.Namespace]{
		Client: c.Builtin.CoreV1().RESTClient(), Resource: "namespaces",
		Example: &corev1.Namespace{}, Strip: stripNamespace, Same: sameNamespace,
	})
	s.namespaces = &namespaces
	return s, err
}

// WatchForAnnouncement watches what a speaker decides on. Of the Secrets it reads those that a
// BGPPeer names, one by one, so that it needs no right to read the others.
func WatchForAnnouncement(w *Watcher, c Clients, namespace string, settings cluster.Settings) (*Sources, error) {
	s := &Sources{settings: settings}
	// Without an address there is nothing to announce, whatever else changes on a Service.
	if err := s.watchCommon(w, c, namespace, regard[*cluster.Packed]{matters: (*cluster.Packed).Addressed}); err != nil {
		return nil, err
	}
	slices, watch := newWatch(w, Source[*discoveryv1.EndpointSlice]{
		Client: c.Builtin.DiscoveryV1().RESTClient(), Resource: "endpointslices", Example: &discoveryv1.EndpointSlice{},
	}, packSlice, regard[*cluster.PackedSlice]{slicesOf(s.Services), (*cluster.PackedSlice).Says})
	s.slices, w.watches = &slices, append(w.watches, watch)
	s.passwords = newPasswords(w, c.Builtin.CoreV1().RESTClient(), namespace)
	return s, nil
}

// slicesOf says whether an EndpointSlice belongs to a Service that can be announced.
//
// That the two kinds arrive in any order loses nothing. A slice is stored before the Service is looked
// up. If the lookup finds no Service that matters, one that does is stored later, and kicks
// then by itself; the pass that follows lists both kinds anew and finds the slice there.
func slicesOf(services Store[*cluster.Packed]) func(*cluster.PackedSlice) bool {
	return func(e *cluster.PackedSlice) bool {
		svc, found := services.Get(e.Service())
		return found && svc.Addressed()
	}
}

func packSlice(now *discoveryv1.EndpointSlice, _ *cluster.PackedSlice) *cluster.PackedSlice {
	return cluster.PackSlice(now)
}

// config is the source of a kind of the configuration, of which all is read.
func config[T cluster.Object](client rest.Interface, resource, namespace string, example T) Source[T] {
	return Source[T]{
		Client: client, Resource: resource, Namespace: namespace, Example: example,
		Strip: stripManaged[T], Same: sameConfig[T],
	}
}

func (s *Sources) watchCommon(w *Watcher, c Clients, namespace string, services regard[*cluster.Packed]) (err error) {
	store, watch := newWatch(w, Source[*corev1.Service]{
		Client: c.Builtin.CoreV1().RESTClient(), Resource: "services", Example: &corev1.Service{},
	}, cluster.PackNext, services)
	s.Services, w.watches = store, append(w.watches, watch)
	s.pools, err = Watch(w, config(c.V1beta1, "ipaddresspools", namespace, &v1beta1.IPAddressPool{}))
	if err != nil {
		return err
	}
	s.l2, err = Watch(w, config(c.V1beta1, "l2advertisements", namespace, &v1beta1.L2Advertisement{}))
	if err != nil {
		return err
	}
	s.nodes, err = Watch(w, Source[*corev1.Node]{
		Client: c.Builtin.CoreV1().RESTClient(), Resource: "nodes",
		Example: &corev1.Node{}, Strip: stripNode, Same: sameNode,
	})
	if err != nil {
		return err
	}
	return s.watchBGP(w, c, namespace)
}

func (s *Sources) watchBGP(w *Watcher, c Clients, namespace string) (err error) {
	s.bgp, err = Watch(w, config(c.V1beta1, "bgpadvertisements", namespace, &v1beta1.BGPAdvertisement{}))
	if err != nil {
		return err
	}
	s.peers, err = Watch(w, config(c.V1beta2, "bgppeers", namespace, &v1beta2.BGPPeer{}))
	if err != nil {
		return err
	}
	s.profiles, err = Watch(w, config(c.V1beta1, "bfdprofiles", namespace, &v1beta1.BFDProfile{}))
	if err != nil {
		return err
	}
	s.communities, err = Watch(w, config(c.V1beta1, "communities", namespace, &v1beta1.Community{}))
	return err
}

// Missing returns the name of a kind that has not been read yet, or "".
func (s *Sources) Missing() string {
	for _, k := range []struct {
		name   string
		synced func() bool
	}{
		{"services", s.Services.Synced},
		{"ipaddresspools", s.pools.Synced},
		{"l2advertisements", s.l2.Synced},
		{"nodes", s.nodes.Synced},
		{"namespaces", syncedOrUnused(s.namespaces)},
		{"bgpadvertisements", s.bgp.Synced},
		{"bgppeers", s.peers.Synced},
		{"bfdprofiles", s.profiles.Synced},
		{"communities", s.communities.Synced},
		{"endpointslices", syncedOrUnused(s.slices)},
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
	o.Pools = s.pools.List()
	o.Nodes = s.nodes.List()
	o.L2Advertisements = s.l2.List()
	o.Namespaces = listOrNone(s.namespaces)
	o.BGPAdvertisements = s.bgp.List()
	o.BGPPeers = s.peers.List()
	o.BFDProfiles = s.profiles.List()
	o.Communities = s.communities.List()
	o.EndpointSlices = listOrNone(s.slices)
	o.EndpointSlicesListed = s.slices != nil
	if s.passwords != nil {
		o.Secrets, o.UnreadSecrets = s.passwords.named(o.BGPPeers)
		o.SecretsListed = true
	}
	return o, true
}

// Ready says whether every kind has been read, for the readiness probe.
func (s *Sources) Ready() error {
	if missing := s.Missing(); missing != "" {
		return fmt.Errorf("%s not read yet", missing)
	}
	return nil
}
