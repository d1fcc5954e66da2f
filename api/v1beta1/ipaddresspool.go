// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// IPAddressPoolSpec says which addresses a pool holds and who may have them.
type IPAddressPoolSpec struct {
	// Addresses of the pool, each a prefix (`198.51.100.0/24`, `2001:db8::/64`) or a closed
	// range (`198.51.100.10-198.51.100.50`). Host bits of a prefix are ignored. A single address
	// is written as `/32` or `/128`. Pools must not overlap.
	// +kubebuilder:validation:Required
	// +kubebuilder:validation:MaxItems=4096
	// +kubebuilder:validation:items:MaxLength=128
	// +kubebuilder:validation:XValidation:rule=`size(self) > 0`,message="must have at least one prefix or range"
	// +kubebuilder:validation:items:XValidation:rule=`self.contains('-') || self.matches('^([0-9]{1,3}([.][0-9]{1,3}){3}/([12]?[0-9]|3[0-2])|[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*/([1-9]?[0-9]|1[01][0-9]|12[0-8]))$')`,message="must be a prefix such as 192.0.2.0/24 or 2001:db8::/64, or a range such as 192.0.2.10-192.0.2.20; write a single address with /32 or /128"
	// +kubebuilder:validation:items:XValidation:rule=`!self.contains('-') || self.matches('^[ \t]*([0-9]{1,3}([.][0-9]{1,3}){3}[ \t]*-[ \t]*[0-9]{1,3}([.][0-9]{1,3}){3}|[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*[ \t]*-[ \t]*[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*)[ \t]*$')`,message="a range is two addresses of one family, such as 192.0.2.10-192.0.2.20"
	// +kubebuilder:validation:items:XValidation:rule=`!self.matches('(25[6-9]|2[6-9][0-9]|[3-9][0-9]{2})[.]|[.](25[6-9]|2[6-9][0-9]|[3-9][0-9]{2})|:::|::[^-]*::|[0-9A-Fa-f]{5}')`,message="holds something that is no IP address"
	// +kubebuilder:validation:items:XValidation:rule=`!self.matches('^ *[0-9]{1,3}([.][0-9]{1,3}){3} *- *[0-9]{1,3}([.][0-9]{1,3}){3} *$') || [self.replace(' ', '').replace('-', '.').split('.')].all(o, int(o[0]) * 16777216 + int(o[1]) * 65536 + int(o[2]) * 256 + int(o[3]) <= int(o[4]) * 16777216 + int(o[5]) * 65536 + int(o[6]) * 256 + int(o[7]))`,message="the range ends before it begins: exchange its two addresses"
	Addresses []string `json:"addresses"`

	// AutoAssign lets Services that ask for nothing in particular have an address of this pool.
	// When false, a Service gets one only by naming the pool or the address.
	// +optional
	// +kubebuilder:default:=true
	AutoAssign *bool `json:"autoAssign,omitempty"`

	// AvoidBuggyIPs keeps IPv4 addresses that end in .0 or .255 out of use, for equipment that
	// mistakes them for network or broadcast addresses.
	// +optional
	// +kubebuilder:default:=false
	AvoidBuggyIPs bool `json:"avoidBuggyIPs,omitempty"`

	// AllocateTo restricts the pool to some namespaces or Services and ranks it among the pools
	// that a Service may use.
	// +optional
	AllocateTo *ServiceAllocation `json:"serviceAllocation,omitempty"`

	// Quotas limit how many addresses of this pool one namespace may hold. When several cover a
	// namespace, the smallest counts; a namespace that none covers is not limited, which is also
	// the default. A quota takes no address away from a Service that has one.
	// +optional
	// +kubebuilder:validation:MaxItems=4096
	Quotas []NamespaceQuota `json:"quotas,omitempty"`

	// ReservationTime keeps the address of a deleted Service, or of one that stopped being of type
	// LoadBalancer, for a Service of the same namespace and name for this long, such as `24h`.
	// Absent or 0 means that no address is kept. Reserved addresses are listed in the status.
	// +optional
	// +kubebuilder:validation:XValidation:rule=`self.matches('^([0-9]+([.][0-9]*)?(ns|us|µs|ms|s|m|h))+$|^0$')`,message="must be a time such as 30s, 5m or 24h"
	ReservationTime *metav1.Duration `json:"reservationTime,omitempty"`

	// CooldownTime is how long an address that was freed is given to no other Service, not even to
	// one that asks for it, such as `5m`, so that caches and firewalls elsewhere can forget its
	// last user. It starts when the address is freed, or when its reservation ends. Absent or 0
	// means that a freed address can be used at once.
	// +optional
	// +kubebuilder:validation:XValidation:rule=`self.matches('^([0-9]+([.][0-9]*)?(ns|us|µs|ms|s|m|h))+$|^0$')`,message="must be a time such as 30s, 5m or 24h"
	CooldownTime *metav1.Duration `json:"cooldownTime,omitempty"`

	// DualStackPartner is the name of the pool that gives a dual-stack Service the family that
	// this pool lacks or has run out of. Absent means that both addresses come from one pool.
	// +optional
	DualStackPartner string `json:"dualStackPartner,omitempty"`

	// SharingPolicy says which address a Service with a sharing key gets when it asks for none.
	// `FirstFree`, the default, is the first address that it may use, shared or not.
	// `PreferColocate` is an address that a Service with the same key already has and that it may
	// share, and the first free one only if there is none.
	// +optional
	SharingPolicy SharingPolicy `json:"sharingPolicy,omitempty"`
}

// ServiceAllocation says which Services may have an address of a pool, and how the pool ranks.
type ServiceAllocation struct {
	// Priority of the pool for the Services that it is restricted to. Lower numbers are used
	// first; 0, the default, is used last.
	// +optional
	Priority int `json:"priority,omitempty"`

	// Namespaces that the pool serves, by name. Together with the selectors, which add to them.
	// +optional
	Namespaces []string `json:"namespaces,omitempty"`

	// NamespaceSelectors select namespaces that the pool serves by their labels. One match is
	// enough. They add to the namespaces that are named.
	// +optional
	NamespaceSelectors []metav1.LabelSelector `json:"namespaceSelectors,omitempty"`

	// ServiceSelectors select Services by their labels. One match is enough. A Service must also
	// be in one of the namespaces, if any are given.
	// +optional
	ServiceSelectors []metav1.LabelSelector `json:"serviceSelectors,omitempty"`
}

// NamespaceQuota limits the addresses that each of some namespaces may hold in a pool. With
// neither a name nor a selector it covers every namespace.
// +kubebuilder:validation:XValidation:rule=`!has(self.__namespace__) || !has(self.namespaceSelector)`,message="namespace and namespaceSelector exclude each other: remove one, or write two entries"
type NamespaceQuota struct {
	// Namespace that the quota covers, by name. Either this or `namespaceSelector`.
	// +optional
	Namespace string `json:"namespace,omitempty"`

	// NamespaceSelector selects the namespaces that the quota covers by their labels. Each has the
	// whole quota for itself. Either this or `namespace`.
	// +optional
	NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector,omitempty"`

	// Addresses is how many addresses of the pool a namespace may hold, of both families together.
	// An address that several of its Services share counts once. 0 allows none.
	// +kubebuilder:validation:Minimum=0
	Addresses int64 `json:"addresses"`
}

// SharingPolicy says which address a Service with a sharing key gets when it asks for none.
// +kubebuilder:validation:Enum=FirstFree;PreferColocate
type SharingPolicy string

// The values of SharingPolicy. An absent policy is FirstFree.
const (
	FirstFree      SharingPolicy = "FirstFree"
	PreferColocate SharingPolicy = "PreferColocate"
)

// IPAddressPoolStatus says how much of a pool is used, and what is wrong with it. The
// controller alone writes it.
type IPAddressPoolStatus struct {
	// AssignedIPv4 is the number of IPv4 addresses in use.
	AssignedIPv4 int64 `json:"assignedIPv4"`
	// AssignedIPv6 is the number of IPv6 addresses in use.
	AssignedIPv6 int64 `json:"assignedIPv6"`
	// AvailableIPv4 is the number of IPv4 addresses that are free.
	AvailableIPv4 int64 `json:"availableIPv4"`
	// AvailableIPv6 is the number of IPv6 addresses that are free, 9223372036854775807 if more.
	AvailableIPv6 int64 `json:"availableIPv6"`

	// Reserved lists the addresses that are kept: for a Service that may return, or from other
	// Services until the cooldown ends. A shared address is listed once for each Service that had
	// it. Kept addresses do not count as available. At most 2,000 are listed, those that end last; a
	// controller that starts knows of no others.
	// +optional
	// +listType=map
	// +listMapKey=address
	// +listMapKey=namespace
	// +listMapKey=name
	Reserved []ReservedAddress `json:"reserved,omitempty"`

	// Conditions tell whether the pool is in use (type `Valid`), and why not.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// ReservedAddress is an address of a pool that is kept for, or after, one Service.
type ReservedAddress struct {
	// Address that is kept.
	Address string `json:"address"`

	// Namespace of the Service that had the address.
	Namespace string `json:"namespace"`

	// Name of the Service that had the address.
	Name string `json:"name"`

	// Until is when this entry ends. An entry that ended has no effect.
	Until metav1.Time `json:"until"`

	// Reason is `Reservation` when the address is kept for its Service, `Cooldown` when it is
	// only kept out of use.
	Reason ReservationReason `json:"reason"`
}

// ReservationReason says why an address is kept.
// +kubebuilder:validation:Enum=Reservation;Cooldown
type ReservationReason string

// The values of ReservationReason.
const (
	Reservation ReservationReason = "Reservation"
	Cooldown    ReservationReason = "Cooldown"
)

// IPAddressPool is a set of addresses that Services of type LoadBalancer get theirs from.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Auto Assign",type=boolean,JSONPath=`.spec.autoAssign`
// +kubebuilder:printcolumn:name="Avoid Buggy IPs",type=boolean,JSONPath=`.spec.avoidBuggyIPs`
// +kubebuilder:printcolumn:name="Addresses",type=string,JSONPath=`.spec.addresses`
// +kubebuilder:printcolumn:name="Used IPv4",type=integer,JSONPath=`.status.assignedIPv4`
// +kubebuilder:printcolumn:name="Free IPv4",type=integer,JSONPath=`.status.availableIPv4`
// +kubebuilder:printcolumn:name="Used IPv6",type=integer,JSONPath=`.status.assignedIPv6`
// +kubebuilder:printcolumn:name="Free IPv6",type=integer,JSONPath=`.status.availableIPv6`
// +kubebuilder:printcolumn:name="Valid",type=string,priority=10,JSONPath=`.status.conditions[?(@.type=="Valid")].status`
type IPAddressPool struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +kubebuilder:validation:Required
	Spec   IPAddressPoolSpec   `json:"spec"`
	Status IPAddressPoolStatus `json:"status,omitempty"`
}

// IPAddressPoolList is a list of IPAddressPools.
// +kubebuilder:object:root=true
type IPAddressPoolList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []IPAddressPool `json:"items"`
}
