// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// L2AdvertisementSpec says which addresses are announced by layer 2, and from where.
type L2AdvertisementSpec struct {
	// IPAddressPools whose addresses are announced, by name. Together with the selectors, which
	// add to them. If neither is given, the addresses of every pool are announced. Names of pools that do not exist are ignored.
	// +optional
	IPAddressPools []string `json:"ipAddressPools,omitempty"`

	// IPAddressPoolSelectors select pools by their labels. One match is enough.
	// +optional
	IPAddressPoolSelectors []metav1.LabelSelector `json:"ipAddressPoolSelectors,omitempty"`

	// NodeSelectors select the nodes that may announce by their labels. One match is enough.
	// Absent means every node.
	// +optional
	NodeSelectors []metav1.LabelSelector `json:"nodeSelectors,omitempty"`

	// Interfaces to announce on, by exact name. Absent means every interface that layer 2 can
	// use. Of those, an interface whose subnet holds the address is the only one that is used.
	// +optional
	Interfaces []string `json:"interfaces,omitempty"`

	// ConflictPolicy says what to do with an address that a host outside the cluster uses.
	// `Report` (the default) announces it all the same, defends it once in 10 s, and tells about
	// the other host in an event, a condition of the ServiceL2Status and a metric. `Withhold` does not
	// announce it as long as the other host has it, and tells the same. An address that was just given to a
	// Service is then asked for (0.6 s) before it is announced for the first time. If several that select an
	// address differ, `Withhold` counts.
	// +optional
	ConflictPolicy ConflictPolicy `json:"conflictPolicy,omitempty"`

	// ServiceSelectors select the Services that are announced by their labels. One match is
	// enough. Absent means every Service with an address of the pools.
	// +optional
	ServiceSelectors []metav1.LabelSelector `json:"serviceSelectors,omitempty"`

	// PreferredNodeSelectors give nodes a weight. Of the nodes that may announce an address, the
	// one with the highest sum of weights does.
	// +optional
	PreferredNodeSelectors []PreferredNodeSelector `json:"preferredNodeSelectors,omitempty"`

	// Election is how the announcing node is chosen among the nodes that may announce an address
	// and have the same weight. Absent means MetalLB's way, or that of another L2Advertisement that
	// selects the same address. If several that select it say how, the first by name counts. It needs
	// speakers that talk to each other (`--ml-bindaddr`) and are all Clarion's.
	// +optional
	Election *L2Election `json:"election,omitempty"`
}

// L2Spread is a way to spread addresses over nodes.
// +kubebuilder:validation:Enum=Hash;Balanced
type L2Spread string

// The ways to spread addresses.
const (
	SpreadHash     L2Spread = "Hash"
	SpreadBalanced L2Spread = "Balanced"
)

// L2Election is how the node that announces an address is chosen.
// +kubebuilder:validation:XValidation:rule=`!has(self.moveBackAfter) || (has(self.sticky) && self.sticky)`,message="moveBackAfter needs sticky: true; an address that is not sticky moves at once"
type L2Election struct {
	// Spread says how addresses are spread over nodes. `Hash` (the default) lets the hash of node
	// name and address decide, as MetalLB does: no state, and some nodes get more than others.
	// `Balanced` gives equally eligible nodes equally many addresses, differing by at most 1; when a
	// node goes, its addresses are spread over the others, and when one comes, as few as possible move to it.
	// +optional
	Spread L2Spread `json:"spread,omitempty"`

	// Sticky leaves an address with the node that announces it for as long as that node may,
	// also when a better node comes or returns. Default false.
	// +optional
	Sticky bool `json:"sticky,omitempty"`

	// MoveBackAfter moves a sticky address once another node has been the better one for this long
	// without a break, such as `5m`. Absent or 0 means that it moves on `kubectl clarion rebalance` only.
	// +optional
	// +kubebuilder:validation:XValidation:rule=`self.matches('^([0-9]+([.][0-9]*)?(ns|us|µs|ms|s|m|h))+$|^0$')`,message="must be a time such as 30s, 5m or 24h"
	MoveBackAfter *metav1.Duration `json:"moveBackAfter,omitempty"`
}

// ConflictPolicy says what to do with an address that a foreign host uses.
// +kubebuilder:validation:Enum=Report;Withhold
type ConflictPolicy string

// The values of ConflictPolicy. An absent policy is ConflictReport.
const (
	ConflictReport   ConflictPolicy = "Report"
	ConflictWithhold ConflictPolicy = "Withhold"
)

// PreferredNodeSelector adds a weight to the nodes that it selects.
type PreferredNodeSelector struct {
	// Weight that a selected node gets, 1 to 100.
	// +kubebuilder:validation:Required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	Weight int32 `json:"weight"`

	// Preference selects nodes by their labels.
	// +kubebuilder:validation:Required
	Preference metav1.LabelSelector `json:"preference"`
}

// L2AdvertisementStatus says what is wrong with an L2Advertisement. The controller alone
// writes it.
type L2AdvertisementStatus struct {
	// Conditions tell whether the object is in use (type `Valid`), and why not.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// L2Advertisement announces addresses of pools by ARP and NDP.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="IPAddressPools",type=string,JSONPath=`.spec.ipAddressPools`
// +kubebuilder:printcolumn:name="IPAddressPool Selectors",type=string,JSONPath=`.spec.ipAddressPoolSelectors`
// +kubebuilder:printcolumn:name="Interfaces",type=string,JSONPath=`.spec.interfaces`
// +kubebuilder:printcolumn:name="Node Selectors",type=string,priority=10,JSONPath=`.spec.nodeSelectors`
// +kubebuilder:printcolumn:name="Valid",type=string,priority=10,JSONPath=`.status.conditions[?(@.type=="Valid")].status`
type L2Advertisement struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   L2AdvertisementSpec   `json:"spec,omitempty"`
	Status L2AdvertisementStatus `json:"status,omitempty"`
}

// L2AdvertisementList is a list of L2Advertisements.
// +kubebuilder:object:root=true
type L2AdvertisementList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []L2Advertisement `json:"items"`
}
