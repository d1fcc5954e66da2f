// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"cmp"
	"math"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"unique"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarion-lb/clarion/internal/lb"
)

// claimKind says what a Service is to this installation.
type claimKind uint8

const (
	notOurs  claimKind = iota // another type, or another class
	ours                      // wants an address, or holds one
	released                  // was ours, and still carries what we wrote
)

// service is one Service compiled. Its endpoints are filled in afterwards.
type service struct {
	kind     claimKind
	svc      lb.Service
	ports    []servicePort // what endpoints are matched against
	problems []lb.Problem
}

// servicePort identifies a port the way that Services and EndpointSlices refer to it.
type servicePort struct {
	name     string
	protocol corev1.Protocol
}

// equalServices disregards the endpoints, which do not come from the Service.
func equalServices(a, b *service) bool {
	before := *a
	before.svc.Endpoints = b.svc.Endpoints
	return reflect.DeepEqual(&before, b)
}

func compilePacked(p *Packed, class string) service {
	if p.data == nil {
		return service{kind: notOurs}
	}
	return compileService(p.Unpack(), class)
}

func compileService(in *corev1.Service, class string) service {
	kind := claimOf(in, class)
	if kind != ours {
		return service{kind: kind}
	}
	r := newReport("Service", in)
	out := service{
		kind: ours,
		svc: lb.Service{
			Key:           r.key,
			UID:           string(in.UID),
			Created:       in.CreationTimestamp.Time,
			Labels:        in.Labels,
			Ports:         compilePorts(in.Spec.Ports),
			Families:      families(&in.Spec),
			Policy:        familyPolicy(in.Spec.IPFamilyPolicy),
			RequestedPool: settingPool().of(r, in.Annotations),
			SharingKey:    settingSharing().of(r, in.Annotations),
			AssignedPool:  unique.Make(PoolAnnotation(in)).Value(), // the same few for thousands
			LocalOnly:     in.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal,
		},
	}
	if out.svc.LocalOnly {
		out.svc.BackendKey = selectorText(in.Spec.Selector)
	}
	requested, err := parseRequest(settingAddresses().of(r, in.Annotations), in.Spec.LoadBalancerIP)
	if err != nil {
		// Not a Problem as well: the allocator shows this text with its own verdict.
		out.svc.RequestProblem = err.Error()
	}
	out.svc.RequestedAddrs = requested
	out.svc.Assigned, out.svc.AssignedUnreadable = assigned(in.Status.LoadBalancer.Ingress)
	for _, p := range in.Spec.Ports {
		out.ports = append(out.ports, servicePort{p.Name, cmp.Or(p.Protocol, corev1.ProtocolTCP)})
	}
	slices.SortFunc(r.problems, compareProblems)
	out.problems = r.problems
	return out
}

// claimOf decides whether a Service is ours. Three cases are not obvious:
//
// A Service that is being deleted but held by a finalizer keeps the address it has, because
// kube-proxy goes on forwarding it until the object is gone; it gets no new one.
//
// A Service that stopped being of type LoadBalancer has lost its class, too (the API server
// clears it), so the annotation is what tells that it was ours.
//
// The ingress of a Service that never was ours may have been written by somebody else.
func claimOf(in *corev1.Service, class string) claimKind {
	deleting := in.DeletionTimestamp != nil
	if in.Spec.Type != corev1.ServiceTypeLoadBalancer {
		if CarriesAssignment(in) && !deleting {
			return released
		}
		return notOurs
	}
	if c := in.Spec.LoadBalancerClass; (c == nil) != (class == "") || c != nil && *c != class {
		return notOurs
	}
	if deleting && len(in.Status.LoadBalancer.Ingress) == 0 {
		return notOurs
	}
	return ours
}

func compilePorts(in []corev1.ServicePort) []lb.Port {
	out := make([]lb.Port, 0, len(in))
	for _, p := range in {
		if p.Port < 1 || p.Port > math.MaxUint16 {
			continue // no API server lets this pass, but a file may hold it
		}
		out = append(out, lb.Port{Protocol: lb.Protocol(cmp.Or(p.Protocol, corev1.ProtocolTCP)), Number: uint16(p.Port)})
	}
	slices.SortFunc(out, func(a, b lb.Port) int {
		return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Number, b.Number))
	})
	return slices.Compact(out)
}

// families are those of the cluster IPs and not spec.ipFamilies: an external address can be
// forwarded only to a family that has a cluster IP.
func families(spec *corev1.ServiceSpec) []lb.Family {
	ips := spec.ClusterIPs
	if len(ips) == 0 {
		ips = []string{spec.ClusterIP}
	}
	var out []lb.Family
	for _, ip := range ips {
		addr, err := parseAddr(ip) // "" and "None" are no addresses
		if err == nil && !slices.Contains(out, lb.FamilyOf(addr)) {
			out = append(out, lb.FamilyOf(addr))
		}
	}
	return out
}

func familyPolicy(p *corev1.IPFamilyPolicy) lb.FamilyPolicy {
	if p == nil {
		return lb.SingleStack
	}
	switch *p {
	case corev1.IPFamilyPolicyPreferDualStack:
		return lb.PreferDualStack
	case corev1.IPFamilyPolicyRequireDualStack:
		return lb.RequireDualStack
	default:
		return lb.SingleStack
	}
}

// assigned reads the addresses that the status holds now. The ipMode does not matter: the API
// server fills it in by itself.
func assigned(in []corev1.LoadBalancerIngress) (addrs []netip.Addr, unreadable bool) {
	for _, ingress := range in {
		addr, err := parseAddr(ingress.IP)
		if err != nil {
			unreadable = true
			continue
		}
		addrs = append(addrs, addr)
	}
	return addrs, unreadable
}

// selectorText writes a pod selector so that equal selectors have equal texts.
func selectorText(selector map[string]string) string {
	pairs := make([]string, 0, len(selector))
	for k, v := range selector {
		pairs = append(pairs, k+"="+v)
	}
	slices.Sort(pairs)
	return strings.Join(pairs, ",")
}
