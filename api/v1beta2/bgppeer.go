// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package v1beta2

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// BGPPeerSpec says how to reach a BGP router and what to tell it.
type BGPPeerSpec struct {
	// MyASN is the AS number of this side.
	// +kubebuilder:validation:Required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4294967295
	// +kubebuilder:validation:Format=int64
	MyASN uint32 `json:"myASN"`

	// ASN is the AS number of the peer. Either this or `dynamicASN`.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4294967295
	// +kubebuilder:validation:Format=int64
	ASN uint32 `json:"peerASN,omitempty"`

	// LocalASN is an AS number to show to this peer in place of `myASN`.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4294967295
	// +kubebuilder:validation:Format=int64
	LocalASN uint32 `json:"localASN,omitempty"`

	// DynamicASN takes the AS number of the peer from its OPEN message: `internal` accepts only
	// our own, `external` any other. Either this or `peerASN`.
	// +optional
	DynamicASN DynamicASNMode `json:"dynamicASN,omitempty"`

	// Address is the IP address of the peer. Either this or `interface`.
	// +optional
	Address string `json:"peerAddress,omitempty"`

	// Interface is the name of the interface that an unnumbered session uses. Either this or
	// `peerAddress`.
	// +optional
	Interface string `json:"interface,omitempty"`

	// SrcAddress is the local IP address of the session. Absent means the one that the route to
	// the peer gives.
	// +optional
	SrcAddress string `json:"sourceAddress,omitempty"`

	// Port of the peer.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	// +kubebuilder:default:=179
	Port uint16 `json:"peerPort,omitempty"`

	// HoldTime that is asked for: 0, or 3 s and more. Absent means three times `keepaliveTime`, or
	// 90 s if that is absent too.
	// +optional
	HoldTime *metav1.Duration `json:"holdTime,omitempty"`

	// KeepaliveTime is the interval between keepalives, at most `holdTime`. Absent means a third of
	// it.
	// +optional
	KeepaliveTime *metav1.Duration `json:"keepaliveTime,omitempty"`

	// ConnectTime is the wait between attempts to connect, 1 s to 65535 s in whole seconds.
	// +optional
	ConnectTime *metav1.Duration `json:"connectTime,omitempty"`

	// RouterID of this side, in the form of an IPv4 address. Absent means that the speaker
	// chooses one for its node.
	// +optional
	RouterID string `json:"routerID,omitempty"`

	// NodeSelectors select the nodes that open a session by their labels. One match is enough.
	// Absent means every node.
	// +optional
	NodeSelectors []metav1.LabelSelector `json:"nodeSelectors,omitempty"`

	// Password for TCP MD5 signatures, in clear text. `passwordSecret` is the better place.
	// +optional
	Password string `json:"password,omitempty"`

	// PasswordSecret names a Secret of type kubernetes.io/basic-auth whose key `password` is the
	// password for TCP MD5 signatures. It must be in the namespace of the speakers.
	// +optional
	PasswordSecret SecretReference `json:"passwordSecret,omitempty"`

	// BFDProfile is the name of the BFDProfile to use. Absent means no BFD.
	// +optional
	BFDProfile string `json:"bfdProfile,omitempty"`

	// EnableGracefulRestart asks the peer to keep our routes while the speaker restarts. It cannot
	// be changed.
	// +optional
	EnableGracefulRestart bool `json:"enableGracefulRestart,omitempty"`

	// EBGPMultiHop allows a peer of another AS to be more than one hop away.
	// +optional
	EBGPMultiHop bool `json:"ebgpMultiHop,omitempty"`

	// VRFName is the VRF device that the session uses.
	// +optional
	VRFName string `json:"vrf,omitempty"`

	// DisableMP has no effect.
	//
	// Deprecated: sessions carry one family unless `dualStackAddressFamily` is set.
	// +optional
	// +kubebuilder:default:=false
	DisableMP bool `json:"disableMP,omitempty"`

	// DualStackAddressFamily carries the prefixes of both families over the session, whatever the
	// family of the peer's address.
	// +optional
	// +kubebuilder:default:=false
	DualStackAddressFamily bool `json:"dualStackAddressFamily,omitempty"`
}

// DynamicASNMode says which AS numbers of a peer are accepted.
// +kubebuilder:validation:Enum=internal;external
type DynamicASNMode string

// The values of DynamicASNMode.
const (
	InternalASN DynamicASNMode = "internal"
	ExternalASN DynamicASNMode = "external"
)

// SecretReference names a Secret.
// +structType=atomic
type SecretReference struct {
	// Name of the Secret.
	// +optional
	Name string `json:"name,omitempty"`

	// Namespace of the Secret. It is ignored: the Secret must be in the namespace of the
	// speakers.
	// +optional
	Namespace string `json:"namespace,omitempty"`
}

// BGPPeerStatus says what is wrong with a BGPPeer. The controller alone writes it.
type BGPPeerStatus struct {
	// Conditions tell whether the object is in use (type `Valid`), and why not.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// BGPPeer is a BGP router that speakers have sessions with.
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Address",type=string,JSONPath=`.spec.peerAddress`
// +kubebuilder:printcolumn:name="ASN",type=string,JSONPath=`.spec.peerASN`
// +kubebuilder:printcolumn:name="BFD Profile",type=string,JSONPath=`.spec.bfdProfile`
// +kubebuilder:printcolumn:name="Multi Hops",type=string,JSONPath=`.spec.ebgpMultiHop`
// +kubebuilder:printcolumn:name="Valid",type=string,priority=10,JSONPath=`.status.conditions[?(@.type=="Valid")].status`
type BGPPeer struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   BGPPeerSpec   `json:"spec,omitempty"`
	Status BGPPeerStatus `json:"status,omitempty"`
}

// BGPPeerList is a list of BGPPeers.
// +kubebuilder:object:root=true
type BGPPeerList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []BGPPeer `json:"items"`
}
