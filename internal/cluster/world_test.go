// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarion-lb/clarion/api/v1beta1"
	"github.com/clarion-lb/clarion/internal/cluster"
)

// world is a random cluster that changes step by step, as an API server would let it: every
// change gives an object another resourceVersion.
type world struct {
	*rand.Rand
	version int

	endpointSlices []*discoveryv1.EndpointSlice // before they are packed
	cluster.Objects
}

func newWorld(seed uint64) *world {
	w := &world{Rand: rand.New(rand.NewPCG(seed, 7))}
	w.EndpointSlicesListed, w.SecretsListed = true, true
	return w
}

// pick returns one of the choices.
func pick[T any](w *world, choices ...T) T { return choices[w.IntN(len(choices))] }

// meta returns the metadata of a new object, or of the next version of an old one.
func (w *world) meta(namespace, name string, old *metav1.ObjectMeta) metav1.ObjectMeta {
	w.version++
	m := metav1.ObjectMeta{
		Namespace:         namespace,
		Name:              name,
		UID:               types.UID(fmt.Sprint("uid-", w.version)),
		CreationTimestamp: metav1.Unix(int64(w.IntN(5)), 0),
		Labels:            map[string]string{"a": pick(w, "1", "2"), "b": pick(w, "1", "2")},
	}
	if old != nil {
		m.UID, m.CreationTimestamp = old.UID, old.CreationTimestamp
	}
	m.ResourceVersion = strconv.Itoa(w.version)
	return m
}

// replace puts an object into a list, at a random name out of few: it is created, changed,
// or, once in four times, deleted.
func replace[T any, O interface {
	*T
	metav1.Object
}](w *world, list *[]O, namespaces []string, fill func(O)) {
	namespace, name := pick(w, namespaces...), fmt.Sprint("n", w.IntN(4))
	i := slices.IndexFunc(*list, func(o O) bool { return o.GetNamespace() == namespace && o.GetName() == name })
	var old *metav1.ObjectMeta
	if i >= 0 {
		if o := (*list)[i]; w.IntN(4) > 0 {
			old = &metav1.ObjectMeta{UID: o.GetUID(), CreationTimestamp: o.GetCreationTimestamp()}
		}
		*list = slices.Delete(slices.Clone(*list), i, i+1)
		if old == nil {
			return
		}
	}
	o := O(new(T))
	m := w.meta(namespace, name, old)
	o.SetNamespace(m.Namespace)
	o.SetName(m.Name)
	o.SetUID(m.UID)
	o.SetLabels(m.Labels)
	o.SetCreationTimestamp(m.CreationTimestamp)
	o.SetResourceVersion(m.ResourceVersion)
	fill(o)
	*list = append(slices.Clone(*list), o)
}

// step changes one object.
func (w *world) step() {
	spaces, own := []string{"n1", "n2"}, []string{"metallb-system"}
	switch w.IntN(13) {
	case 0, 1:
		var unpacked []*corev1.Service
		for _, p := range w.Services {
			unpacked = append(unpacked, p.Unpack())
		}
		replace(w, &unpacked, spaces, w.service)
		w.Services = nil
		for _, s := range unpacked {
			w.Services = append(w.Services, cluster.Pack(s))
		}
	case 2, 3:
		replace(w, &w.endpointSlices, spaces, w.slice)
		w.EndpointSlices = nil
		for _, s := range w.endpointSlices {
			w.EndpointSlices = append(w.EndpointSlices, cluster.PackSlice(s))
		}
	case 4:
		replace(w, &w.Nodes, []string{""}, w.node)
	case 5:
		replace(w, &w.Namespaces, []string{""}, func(*corev1.Namespace) {})
	case 6:
		replace(w, &w.Pools, own, w.pool)
	case 7:
		replace(w, &w.L2Advertisements, own, w.l2)
	case 8:
		replace(w, &w.BGPPeers, own, w.peer)
	case 9:
		replace(w, &w.BGPAdvertisements, own, w.bgp)
	case 10:
		replace(w, &w.BFDProfiles, own, w.profile)
	case 11:
		replace(w, &w.Communities, own, w.community)
	default:
		replace(w, &w.Secrets, own, w.secret)
	}
	if w.IntN(30) == 0 {
		w.SecretsListed = !w.SecretsListed
	}
	if w.IntN(30) == 0 {
		w.EndpointSlicesListed = !w.EndpointSlicesListed
	}
}

func (w *world) service(s *corev1.Service) {
	s.Spec.Type = pick(w, corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeClusterIP)
	s.Spec.ClusterIPs = pick(w, []string{"10.96.0.1"}, []string{"fd00::1", "10.96.0.1"}, []string{"None"}, nil)
	s.Spec.LoadBalancerIP = pick(w, "", "", "10.0.0.1", "x")
	s.Spec.Ports = []corev1.ServicePort{{Name: pick(w, "http", "dns"), Port: 80}, {Name: "x", Port: int32(w.IntN(3) + 80)}}
	if w.IntN(3) == 0 {
		s.Spec.LoadBalancerClass = new("other")
	}
	s.Annotations = map[string]string{}
	for _, key := range []string{"address-pool", "loadBalancerIPs", "allow-shared-ip", "ip-allocated-from-pool"} {
		prefix := pick(w, "metallb.io/", "metallb.universe.tf/", "nobody.example.com/")
		s.Annotations[prefix+key] = pick(w, "", "n1", "10.0.0.1", "10.0.0.1,fd00::1", "10.0.0.1, 10.0.0.2")
	}
	if w.IntN(2) == 0 {
		s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: pick(w, "10.0.0.7", "fd00::7", "")}}
	}
	if w.IntN(5) == 0 {
		s.DeletionTimestamp = new(metav1.Unix(1, 0))
	}
}

func (w *world) slice(s *discoveryv1.EndpointSlice) {
	s.Labels = map[string]string{discoveryv1.LabelServiceName: fmt.Sprint("n", w.IntN(4))}
	s.AddressType = pick(w, discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6)
	s.Ports = []discoveryv1.EndpointPort{{Name: new(pick(w, "http", "dns")), Port: new(int32(80))}}
	for range w.IntN(4) {
		e := discoveryv1.Endpoint{Addresses: []string{fmt.Sprint("10.0.0.", w.IntN(5))}}
		if s.AddressType == discoveryv1.AddressTypeIPv6 {
			e.Addresses = []string{fmt.Sprint("fd00::", w.IntN(5))}
		}
		e.NodeName = pick(w, nil, new("n1"), new("n2"))
		e.Conditions.Ready = pick(w, nil, new(true), new(false))
		e.Conditions.Terminating = pick(w, nil, new(true), new(false))
		s.Endpoints = append(s.Endpoints, e)
	}
}

func (w *world) node(n *corev1.Node) {
	if w.IntN(2) == 0 {
		n.Labels[cluster.LabelExcludeNode] = ""
	}
	n.Status.Conditions = []corev1.NodeCondition{{
		Type: corev1.NodeNetworkUnavailable, Status: pick(w, corev1.ConditionTrue, corev1.ConditionFalse),
	}}
}

func (w *world) pool(p *v1beta1.IPAddressPool) {
	for range w.IntN(4) {
		from, to := w.IntN(40), w.IntN(40)
		p.Spec.Addresses = append(p.Spec.Addresses, pick(w,
			fmt.Sprintf("10.0.0.%d-10.0.0.%d", from, to),
			fmt.Sprintf("10.0.0.%d/30", from),
			fmt.Sprintf("fd00::%d-fd00::%d", min(from, to), max(from, to)),
			"nonsense",
		))
	}
	p.Spec.DualStackPartner = pick(w, "", "", "n1")
	if w.IntN(2) == 0 {
		p.Spec.AllocateTo = &v1beta1.ServiceAllocation{
			NamespaceSelectors: w.selectors(), ServiceSelectors: w.selectors(),
			Namespaces: pick(w, nil, []string{"n2", "n1", "n2"}),
		}
	}
	for range w.IntN(2) {
		s := metav1.LabelSelector{MatchLabels: map[string]string{"a": "1"}}
		p.Spec.Quotas = append(p.Spec.Quotas, v1beta1.NamespaceQuota{Addresses: 3, NamespaceSelector: pick(w, nil, &s)})
	}
	p.Status.AssignedIPv4 = int64(w.IntN(9))
}

func (w *world) selectors() []metav1.LabelSelector {
	out := make([]metav1.LabelSelector, w.IntN(3))
	for i := range out {
		out[i].MatchLabels = map[string]string{pick(w, "a", "b", "not a key"): pick(w, "1", "2")}
	}
	return out
}

func (w *world) l2(a *v1beta1.L2Advertisement) {
	a.Spec.IPAddressPools = pick(w, nil, []string{"n1", "n2"}, []string{"n3", "n3"})
	a.Spec.IPAddressPoolSelectors = w.selectors()
	a.Spec.NodeSelectors = w.selectors()
	a.Spec.Interfaces = pick(w, nil, nil, []string{"eth1", "eth0"})
	a.Spec.Election = pick(w, nil, &v1beta1.L2Election{Sticky: true}, &v1beta1.L2Election{Spread: v1beta1.SpreadBalanced})
	a.Spec.ConflictPolicy = pick(w, "", "", v1beta1.ConflictReport, v1beta1.ConflictWithhold, "Ignore")
	for range w.IntN(2) {
		a.Spec.PreferredNodeSelectors = append(a.Spec.PreferredNodeSelectors, v1beta1.PreferredNodeSelector{
			Weight: int32(w.IntN(103)), Preference: metav1.LabelSelector{MatchLabels: map[string]string{"a": "1"}},
		})
	}
}

// shuffled returns the same objects in another order.
func (w *world) shuffled() cluster.Objects {
	o := w.Objects
	o.Services = shuffle(w, o.Services)
	o.EndpointSlices = shuffle(w, o.EndpointSlices)
	o.Namespaces = shuffle(w, o.Namespaces)
	o.Nodes = shuffle(w, o.Nodes)
	o.Pools = shuffle(w, o.Pools)
	o.L2Advertisements = shuffle(w, o.L2Advertisements)
	o.BGPPeers = shuffle(w, o.BGPPeers)
	o.BGPAdvertisements = shuffle(w, o.BGPAdvertisements)
	o.BFDProfiles = shuffle(w, o.BFDProfiles)
	o.Communities = shuffle(w, o.Communities)
	o.Secrets = shuffle(w, o.Secrets)
	return o
}

func shuffle[T any](w *world, in []T) []T {
	out := slices.Clone(in)
	w.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}
