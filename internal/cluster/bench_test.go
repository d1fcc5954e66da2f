// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarion-lb/clarion/api/v1beta1"
	"github.com/clarion-lb/clarion/internal/cluster"
)

// manyServices returns a cluster of n Services with one EndpointSlice each, 100 pools and 100
// nodes, in the random order in which a cache lists them.
func manyServices(n int) cluster.Objects {
	o := cluster.Objects{EndpointSlicesListed: true}
	for i := range n {
		name := fmt.Sprint("service-", i)
		meta := metav1.ObjectMeta{
			Namespace: fmt.Sprint("namespace-", i%50), Name: name, ResourceVersion: strconv.Itoa(i + 1),
			UID: types.UID(fmt.Sprintf("00000000-0000-4000-8000-%012d", i)), Labels: map[string]string{"app": name},
		}
		o.Services = append(o.Services, cluster.Pack(&corev1.Service{
			ObjectMeta: meta,
			Spec: corev1.ServiceSpec{
				Type: corev1.ServiceTypeLoadBalancer, ClusterIPs: []string{"10.96.0.1"},
				Selector: map[string]string{"app": name},
				Ports:    []corev1.ServicePort{{Name: "http", Port: 80}, {Name: "https", Port: 443}},
			},
			Status: corev1.ServiceStatus{LoadBalancer: corev1.LoadBalancerStatus{
				Ingress: []corev1.LoadBalancerIngress{{IP: fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)}},
			}},
		}))
		o.EndpointSlices = append(o.EndpointSlices, sliceOf(meta, i, 3))
	}
	for i := range 100 {
		meta := metav1.ObjectMeta{Name: fmt.Sprint("node-", i), UID: types.UID(fmt.Sprint("n", i)), ResourceVersion: "1"}
		o.Nodes = append(o.Nodes, &corev1.Node{ObjectMeta: meta})
		meta = metav1.ObjectMeta{Name: fmt.Sprint("pool-", i), UID: types.UID(fmt.Sprint("p", i)), ResourceVersion: "1"}
		o.Pools = append(o.Pools, &v1beta1.IPAddressPool{
			ObjectMeta: meta, Spec: v1beta1.IPAddressPoolSpec{Addresses: []string{fmt.Sprintf("10.%d.0.0/16", i)}},
		})
	}
	rnd := rand.New(rand.NewPCG(1, 1))
	rnd.Shuffle(n, func(i, j int) { o.Services[i], o.Services[j] = o.Services[j], o.Services[i] })
	rnd.Shuffle(n, func(i, j int) { o.EndpointSlices[i], o.EndpointSlices[j] = o.EndpointSlices[j], o.EndpointSlices[i] })
	return o
}

// sliceOf returns the EndpointSlice of the i-th Service.
func sliceOf(meta metav1.ObjectMeta, i, endpoints int) *cluster.PackedSlice {
	meta.Labels = map[string]string{discoveryv1.LabelServiceName: meta.Name}
	meta.Name += "-abcde"
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: meta, AddressType: discoveryv1.AddressTypeIPv4,
		Ports: []discoveryv1.EndpointPort{{Name: new("http"), Port: new(int32(8080))}},
	}
	for e := range endpoints {
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{
			Addresses: []string{fmt.Sprintf("10.200.%d.%d", i&255, e)}, NodeName: new(fmt.Sprint("node-", (i+e)%100)),
		})
	}
	return cluster.PackSlice(slice)
}

// BenchmarkCompile is what one kick of a loop costs: everything compiled for the first time,
// nothing changed since the last kick, or so many objects changed.
func BenchmarkCompile(b *testing.B) {
	const n = 10_000
	b.Run("first", func(b *testing.B) {
		o := manyServices(n)
		for b.Loop() {
			cluster.Compile(o)
		}
	})
	for _, changes := range []int{0, 1, 100} {
		b.Run(fmt.Sprintf("changed=%d", changes), func(b *testing.B) {
			o := manyServices(n)
			var c cluster.Compiler
			c.Compile(o)
			version, at := n, 0
			for b.Loop() {
				for range changes {
					at, version = (at+7)%n, version+1
					s := o.Services[at].Unpack()
					s.ResourceVersion = strconv.Itoa(version)
					s.Annotations = map[string]string{"metallb.io/address-pool": fmt.Sprint("pool-", version)}
					o.Services[at] = cluster.Pack(s)
				}
				c.Compile(o)
			}
		})
	}
	b.Run("endpoints=1", func(b *testing.B) {
		o := manyServices(n)
		var c cluster.Compiler
		c.Compile(o)
		version, at := n, 0
		for b.Loop() {
			at, version = (at+7)%n, version+1
			s := o.EndpointSlices[at]
			o.EndpointSlices[at] = sliceOf(metav1.ObjectMeta{
				Namespace: s.GetNamespace(), Name: s.Service().Name, UID: s.GetUID(), ResourceVersion: strconv.Itoa(version),
			}, at, 1+version%2)
			c.Compile(o)
		}
	})
}
