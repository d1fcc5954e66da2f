// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// BGPAdvertisementSpec says which addresses are advertised by BGP, to whom and how.
// +kubebuilder:validation:XValidation:rule="!has(self.serviceSelectors) || size(self.serviceSelectors) == 0 || ((!has(self.aggregationLength) || self.aggregationLength == 32) && (!has(self.aggregationLengthV6) || self.aggregationLengthV6 == 128))",message="serviceSelectors and aggregationLength are mutually exclusive, can only be used together with default aggregationLength (32) and aggregationLengthV6 (128)"
type BGPAdvertisementSpec struct {
	// AggregationLength is the length of the IPv4 prefix that is advertised for an address. 32,
	// the default, advertises the address alone.
	// +optional
	// +kubebuilder:default:=32
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:XValidation:rule=`self <= 32`,message="aggregationLength is the length of an IPv4 prefix: at most 32"
	AggregationLength *int32 `json:"aggregationLength,omitempty"`

	// AggregationLengthV6 is the length of the IPv6 prefix that is advertised for an address. 128,
	// the default, advertises the address alone.
	// +optional
	// +kubebuilder:default:=128
	// +kubebuilder:validation:XValidation:rule=`self >= 0 && self <= 128`,message="aggregationLengthV6 is the length of an IPv6 prefix: at most 128"
	AggregationLengthV6 *int32 `json:"aggregationLengthV6,omitempty"`

	// LocalPref is the LOCAL_PREF attribute on iBGP sessions; higher is preferred. Absent or 0
	// leaves the choice to the peer.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4294967295
	// +kubebuilder:validation:Format=int64
	LocalPref uint32 `json:"localPref,omitempty"`

	// Communities to attach: `65000:100`, `large:65000:1:2`, an extended one as a Community object may
	// have it, or the alias of a Community object. An UPDATE message has no room for more than 1,024.
	// +optional
	// +kubebuilder:validation:MaxItems=1024
	// +kubebuilder:validation:items:MaxLength=256
	// +kubebuilder:validation:items:XValidation:rule=`!self.matches('^([0-9]+|large):') || self.matches('^(([0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]):([0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])|large(:([0-9]{1,9}|[1-3][0-9]{9}|4[0-2][0-9]{8})){3})$')`,message="a community is 65000:100, with two numbers up to 65535, or large:65000:1:2, with three up to 4294967295, or an extended one, or the name of an alias"
	// +kubebuilder:validation:items:XValidation:rule=`!self.matches('^((rt|soo):[0-9]+:[0-9]+|ext:0x[0-9A-Fa-f]*)$') || self.matches('^((rt|soo):(([0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]):([0-9]{1,9}|[1-3][0-9]{9}|4[0-2][0-9]{8})|([0-9]{1,9}|[1-3][0-9]{9}|4[0-2][0-9]{8}):([0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))|ext:0x[0-9A-Fa-f]{16})$')`,message="an extended community is rt:65000:100 or soo:65000:100, where one of the two numbers may be up to 4294967295 and the other up to 65535, or ext:0x and 16 hexadecimal digits"
	Communities []string `json:"communities,omitempty"`

	// MED is the MULTI_EXIT_DISC attribute; lower is preferred. Absent or 0 sends none. Not in
	// MetalLB.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4294967295
	// +kubebuilder:validation:Format=int64
	MED uint32 `json:"med,omitempty"`

	// ASPathPrepend is how many times our AS number is put in front of the path once more, which makes
	// it less attractive to peers of other ASes. Internal peers do not see it. Not in MetalLB.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=16
	ASPathPrepend uint8 `json:"asPathPrepend,omitempty"`

	// LinkBandwidth attaches the link bandwidth extended community, so that routers that honour it
	// share the traffic by it: this many Mbit/s for each usable endpoint on the node if
	// externalTrafficPolicy is Local, and for the node as a whole otherwise. Absent or 0 attaches
	// none. Not in MetalLB.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=10000000
	// +kubebuilder:validation:Format=int64
	LinkBandwidth uint32 `json:"linkBandwidth,omitempty"`

	// IPAddressPools whose addresses are advertised, by name. Together with the selectors, which
	// add to them. If neither is given, the addresses of every pool are advertised. Names of pools that do not exist are ignored.
	// +optional
	IPAddressPools []string `json:"ipAddressPools,omitempty"`

	// IPAddressPoolSelectors select pools by their labels. One match is enough.
	// +optional
	IPAddressPoolSelectors []metav1.LabelSelector `json:"ipAddressPoolSelectors,omitempty"`

	// NodeSelectors select the nodes that advertise by their labels. One match is enough. Absent
	// means every node.
	// +optional
	NodeSelectors []metav1.LabelSelector `json:"nodeSelectors,omitempty"`

	// Peers to advertise to, by the names of BGPPeer objects. Absent means every peer.
	// +optional
	Peers []string `json:"peers,omitempty"`

	// ServiceSelectors select the Services that are advertised by their labels. One match is
	// enough. Absent means every Service with an address of the pools.
	// +optional
	ServiceSelectors []metav1.LabelSelector `json:"serviceSelectors,omitempty"`
}

// BGPAdvertisementStatus says what is wrong with a BGPAdvertisement. The controller alone
// writes it.
type BGPAdvertisementStatus struct {
	// Conditions tell whether the object is in use (type `Valid`), and why not.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// BGPAdvertisement advertises addresses of pools to BGP peers.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="IPAddressPools",type=string,JSONPath=`.spec.ipAddressPools`
// +kubebuilder:printcolumn:name="IPAddressPool Selectors",type=string,JSONPath=`.spec.ipAddressPoolSelectors`
// +kubebuilder:printcolumn:name="Peers",type=string,JSONPath=`.spec.peers`
// +kubebuilder:printcolumn:name="Node Selectors",type=string,priority=10,JSONPath=`.spec.nodeSelectors`
// +kubebuilder:printcolumn:name="Valid",type=string,priority=10,JSONPath=`.status.conditions[?(@.type=="Valid")].status`
type BGPAdvertisement struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   BGPAdvertisementSpec   `json:"spec,omitempty"`
	Status BGPAdvertisementStatus `json:"status,omitempty"`
}

// BGPAdvertisementList is a list of BGPAdvertisements.
// +kubebuilder:object:root=true
type BGPAdvertisementList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []BGPAdvertisement `json:"items"`
}
