// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// BGPSessionStateSpec is empty: the object only reports.
type BGPSessionStateSpec struct{}

// BGPSessionStateStatus says how one BGP session of a node is.
type BGPSessionStateStatus struct {
	// Node that has the session.
	// +optional
	Node string `json:"node,omitempty"`

	// BGPPeer is the name of the BGPPeer object.
	// +optional
	BGPPeer string `json:"bgpPeer,omitempty"`

	// Peer is the address of the peer; of an unnumbered peer that has not been found, the name of
	// the interface.
	// +optional
	Peer string `json:"peer,omitempty"`

	// VRF that the session uses.
	// +optional
	VRF string `json:"vrf,omitempty"`

	// BGPStatus is `Established`, `Connecting`, `Idle`, or `Held` when there must be no session
	// now.
	// +optional
	BGPStatus string `json:"bgpStatus,omitempty"`

	// BFDStatus is `Up`, `Down`, `Init`, `AdminDown`, or `N/A` without BFD.
	// +optional
	BFDStatus string `json:"bfdStatus,omitempty"`

	// Reason is why the session is not established, or why BFD does not watch it, in one word.
	// +optional
	Reason string `json:"reason,omitempty"`

	// Message says more about the reason, for people.
	// +optional
	Message string `json:"message,omitempty"`

	// LastTransitionTime is when `bgpStatus` changed last.
	// +optional
	LastTransitionTime metav1.Time `json:"lastTransitionTime,omitempty"`
}

// BGPSessionState reports how one BGP session of one node is. The speaker of that node alone
// writes it.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Node",type=string,JSONPath=`.status.node`
// +kubebuilder:printcolumn:name="BGPPeer",type=string,JSONPath=`.status.bgpPeer`
// +kubebuilder:printcolumn:name="Peer",type=string,JSONPath=`.status.peer`
// +kubebuilder:printcolumn:name="VRF",type=string,JSONPath=`.status.vrf`
// +kubebuilder:printcolumn:name="BGP",type=string,JSONPath=`.status.bgpStatus`
// +kubebuilder:printcolumn:name="BFD",type=string,JSONPath=`.status.bfdStatus`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.reason`
// +kubebuilder:printcolumn:name="Since",type=date,JSONPath=`.status.lastTransitionTime`
// +kubebuilder:printcolumn:name="Message",type=string,priority=10,JSONPath=`.status.message`
type BGPSessionState struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   BGPSessionStateSpec   `json:"spec,omitempty"`
	Status BGPSessionStateStatus `json:"status,omitempty"`
}

// BGPSessionStateList is a list of BGPSessionStates.
// +kubebuilder:object:root=true
type BGPSessionStateList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []BGPSessionState `json:"items"`
}
