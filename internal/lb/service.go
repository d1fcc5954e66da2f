// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package lb

import (
	"net/netip"
	"slices"
	"time"
)

// Protocol is a transport protocol as the Service API spells it: TCP, UDP or SCTP.
type Protocol string

// Port is one port that a Service exposes on its address.
type Port struct {
	Protocol Protocol
	Number   uint16
}

// FamilyPolicy is the ipFamilyPolicy of a Service.
type FamilyPolicy uint8

// The values of ipFamilyPolicy. An absent policy means SingleStack.
const (
	SingleStack FamilyPolicy = iota
	PreferDualStack
	RequireDualStack
)

// Service is a Service of type LoadBalancer that this installation is responsible for
// (its loadBalancerClass is ours). Services of other types and classes never become one.
type Service struct {
	Key     Key
	UID     string
	Created time.Time // older Services are served first
	Labels  map[string]string
	Ports   []Port // sorted, no duplicates

	// Families are the families of the cluster IPs, primary first: what an external
	// address can be forwarded to. Empty means that the Service has no cluster IP yet.
	Families []Family
	Policy   FamilyPolicy

	// RequestedAddrs come from the loadBalancerIPs annotation or spec.loadBalancerIP.
	RequestedAddrs []netip.Addr
	// RequestedPool comes from the address-pool annotation.
	RequestedPool string
	// RequestProblem is set when the request could not be read or contradicts itself; such
	// a Service gets no new address, and the text is shown to the user.
	RequestProblem string

	// SharingKey comes from the allow-shared-ip annotation; "" means no sharing.
	SharingKey string
	// BackendKey is "" for externalTrafficPolicy Cluster and the pod selector's canonical
	// text for Local: only Services with equal keys may share an address.
	BackendKey string

	// Assigned and AssignedPool are what the Service's status and the ip-allocated-from-pool
	// annotation say now, in the order of status.loadBalancer.ingress.
	Assigned     []netip.Addr
	AssignedPool string
	// AssignedUnreadable is set when the status holds something that is no address.
	AssignedUnreadable bool

	// LocalOnly is true for externalTrafficPolicy Local.
	LocalOnly bool
	Endpoints Endpoints
}

// Endpoints says where the traffic of a Service can go, by kube-proxy's rule: ready
// endpoints count, and serving terminating ones when no ready one is left.
type Endpoints struct {
	// Known is false until the EndpointSlices of the cluster have been listed.
	Known bool
	// Usable is the number of usable endpoints in the cluster.
	Usable int
	// Local maps a node name to the number of usable endpoints on it. An endpoint without
	// a node name counts in Usable only.
	Local map[string]int
}

// Pool is one IPAddressPool.
type Pool struct {
	Name    string
	Created time.Time
	Labels  map[string]string
	Ranges  []Range // as listed by the user, each range once; never overlapping

	AutoAssign    bool
	AvoidBuggyIPs bool // never hand out IPv4 .0 and .255
	// Closed is true when the pool overlaps an older one. It gives no Service a new address,
	// but those that hold one of its addresses keep it.
	Closed bool
	// Allocation restricts which Services the pool serves; nil means every Service.
	Allocation *Allocation

	// The rest are additions to MetalLB; the zero values mean MetalLB's behaviour.

	// Quotas limit how many addresses of the pool a namespace may hold.
	Quotas []Quota
	// ReservationTime keeps the address of a Service that is gone (deleted, or no longer of
	// type LoadBalancer) for a Service of the same namespace and name.
	ReservationTime time.Duration
	// CooldownTime is how long a freed address is not given to another Service, counted from
	// when it was freed or its reservation ended.
	CooldownTime time.Duration
	// DualStackPartner names the pool that gives a dual-stack Service the family that this
	// pool lacks or has run out of; "" means that both addresses come from one pool.
	DualStackPartner string
	// PreferColocate sends a Service with a sharing key to an address already used with
	// that key before it takes a free one.
	PreferColocate bool
}

// Quota limits the addresses that each of some namespaces may hold in a pool. Addresses of
// both families count, an address shared within a namespace counts once. When several
// quotas of a pool cover a namespace, the smallest applies. A quota never takes an address
// away from a Service that has one.
type Quota struct {
	AnyNamespace bool     // covers every namespace, each with its own count
	Namespaces   []string // sorted; the namespaces covered when AnyNamespace is false
	Max          int
}

// Covers says whether the quota limits the namespace.
func (q Quota) Covers(namespace string) bool {
	if q.AnyNamespace {
		return true
	}
	_, found := slices.BinarySearch(q.Namespaces, namespace)
	return found
}

// Reservation holds a freed address back for the Service that had it.
type Reservation struct {
	Addr    netip.Addr
	Service Key // the last holder; nobody else is given the address
	Until   time.Time
	// Cooldown is true when the address is only kept from others for a while; false when it
	// is to be given back to the Service as soon as that exists again.
	Cooldown bool
}

// Allocation is serviceAllocation of a pool with its namespace selectors already resolved.
type Allocation struct {
	Priority int // lower number first; 0 means last
	// AnyNamespace is true when neither namespaces nor namespaceSelectors were given.
	AnyNamespace bool
	Namespaces   []string // sorted; namespaces named or selected
	Services     Selectors
}

// Allows says whether a Service may have an address of the pool at all.
func (p *Pool) Allows(s *Service) bool {
	if p.Closed && !slices.ContainsFunc(s.Assigned, p.Contains) {
		return false
	}
	a := p.Allocation
	if a == nil {
		return true
	}
	return a.AllowsNamespace(s.Key.Namespace) && (len(a.Services) == 0 || a.Services.MatchesAny(s.Labels))
}

// AllowsNamespace says whether the pool serves Services of a namespace.
func (a *Allocation) AllowsNamespace(namespace string) bool {
	if a.AnyNamespace {
		return true
	}
	_, found := slices.BinarySearch(a.Namespaces, namespace)
	return found
}

// Contains says whether the pool may hand out the address: it lies in one of its ranges
// and is not one that AvoidBuggyIPs excludes.
func (p *Pool) Contains(a netip.Addr) bool {
	if p.AvoidBuggyIPs && Buggy(a) {
		return false
	}
	return slices.ContainsFunc(p.Ranges, func(r Range) bool { return r.Contains(a) })
}

// Buggy says whether an address is an IPv4 address ending in .0 or .255, which some old
// equipment takes for a network or broadcast address whatever the prefix length.
func Buggy(a netip.Addr) bool {
	if !a.Is4() {
		return false
	}
	last := a.As4()[3]
	return last == 0 || last == 255
}
