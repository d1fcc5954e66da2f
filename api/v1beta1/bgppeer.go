// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// BGPPeerSpec says how to reach a BGP router and what to tell it. It has every field of
// v1beta2, under the same names and with the same meaning: the API server converts between the
// versions by changing nothing but apiVersion, so what one version can hold the other must too.
// +kubebuilder:validation:XValidation:rule=`self.myASN != 0`,message="myASN must not be 0: set the AS number of this side"
// +kubebuilder:validation:XValidation:rule=`(has(self.peerASN) && self.peerASN != 0) || has(self.dynamicASN)`,message="peerASN and dynamicASN are both missing: set one of them"
// +kubebuilder:validation:XValidation:rule=`!has(self.peerASN) || self.peerASN == 0 || !has(self.dynamicASN)`,message="peerASN and dynamicASN exclude each other: remove one of them"
// +kubebuilder:validation:XValidation:rule=`(has(self.peerAddress) && size(self.peerAddress) > 0) || (has(self.interface) && size(self.interface) > 0)`,message="peerAddress and interface are both missing: set one of them"
// +kubebuilder:validation:XValidation:rule=`!(has(self.peerAddress) && size(self.peerAddress) > 0) || !(has(self.interface) && size(self.interface) > 0)`,message="peerAddress and interface exclude each other: remove one of them"
// +kubebuilder:validation:XValidation:rule=`!has(self.ebgpMultiHop) || !self.ebgpMultiHop || !has(self.peerASN) || self.peerASN != self.myASN`,message="ebgpMultiHop is for peers of another AS: remove it, or correct peerASN or myASN"
// +kubebuilder:validation:XValidation:rule=`!(has(self.password) && size(self.password) > 0) || !has(self.passwordSecret) || !has(self.passwordSecret.name) || size(self.passwordSecret.name) == 0`,message="password and passwordSecret exclude each other: remove one of them"
// +kubebuilder:validation:XValidation:rule=`!has(self.holdTime) || !has(self.keepaliveTime) || duration(self.keepaliveTime) <= duration(self.holdTime)`,message="keepaliveTime must not exceed holdTime: a third of it is usual"
// +kubebuilder:validation:XValidation:rule=`!has(self.listenPort) || (has(self.peerAddress) && size(self.peerAddress) > 0)`,message="listenPort is for a peer with a peerAddress: set it, or remove listenPort"
// +kubebuilder:validation:XValidation:rule=`!has(self.listenPort) || !has(self.peerPort) || self.peerPort == 0 || self.peerPort == 179`,message="peerPort has no meaning with listenPort, because the peer connects: remove one of them"
// +kubebuilder:validation:XValidation:rule=`!has(self.listenPort) || !has(self.connectTime)`,message="connectTime has no meaning with listenPort, because the peer connects: remove one of them"
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
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule=`size(self) == 0 || self.matches('^(((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])[.]){3}(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])|(([0-9A-Fa-f]{1,4}:){6}([0-9A-Fa-f]{1,4}:[0-9A-Fa-f]{1,4}|[0-9.]{7,15})|([0-9A-Fa-f]{1,4}(:[0-9A-Fa-f]{1,4})*)?::(([0-9A-Fa-f]{1,4}:)*([0-9A-Fa-f]{1,4}|[0-9.]{7,15}))?))$')`,message="peerAddress must be an IP address such as 192.0.2.1"
	Address string `json:"peerAddress,omitempty"`

	// Interface is the name of the interface that an unnumbered session uses. Either this or
	// `peerAddress`.
	// +optional
	Interface string `json:"interface,omitempty"`

	// SrcAddress is the local IP address of the session. Absent means the one that the route to
	// the peer gives.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule=`size(self) == 0 || self.matches('^(((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])[.]){3}(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])|(([0-9A-Fa-f]{1,4}:){6}([0-9A-Fa-f]{1,4}:[0-9A-Fa-f]{1,4}|[0-9.]{7,15})|([0-9A-Fa-f]{1,4}(:[0-9A-Fa-f]{1,4})*)?::(([0-9A-Fa-f]{1,4}:)*([0-9A-Fa-f]{1,4}|[0-9.]{7,15}))?))$')`,message="sourceAddress must be an IP address such as 192.0.2.1"
	SrcAddress string `json:"sourceAddress,omitempty"`

	// Port of the peer. 0 means 179.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=65535
	Port uint16 `json:"peerPort,omitempty"`

	// ListenPort makes the session passive: the speaker waits on this TCP port of the node for
	// the peer to connect, and never connects itself. It listens on `sourceAddress` if that is
	// set; two peers cannot have the same port and address. Absent means that the speaker connects.
	// Ports below 1024 would need the capability NET_BIND_SERVICE and are refused.
	// +optional
	// +kubebuilder:validation:XValidation:rule=`self >= 1024`,message="listenPort must be 1024 or more: the speaker would need the capability NET_BIND_SERVICE for less"
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	ListenPort uint16 `json:"listenPort,omitempty"`

	// HoldTime that is asked for: 3 s and more. 0 would be a session without hold timer, which
	// outlives a dead peer: it is accepted, reported, and 90 s are used. Absent means three times
	// `keepaliveTime`, or 90 s if that is absent too.
	// +optional
	// +kubebuilder:validation:XValidation:rule=`duration(self) == duration('0s') || duration(self) >= duration('3s')`,message="holdTime must be 0s, or 3s and more"
	HoldTime *metav1.Duration `json:"holdTime,omitempty"`

	// KeepaliveTime is the interval between keepalives, at most `holdTime`. Absent means a third of
	// it.
	// +optional
	// +kubebuilder:validation:XValidation:rule=`duration(self) >= duration('0s')`,message="keepaliveTime must not be negative"
	KeepaliveTime *metav1.Duration `json:"keepaliveTime,omitempty"`

	// ConnectTime is the wait between attempts to connect, 1 s to 65535 s in whole seconds.
	// +optional
	// +kubebuilder:validation:XValidation:rule=`duration(self) >= duration('1s') && duration(self) <= duration('65535s')`,message="connectTime must be from 1s to 65535s"
	// +kubebuilder:validation:XValidation:rule=`duration(self).getMilliseconds() == duration(self).getSeconds() * 1000`,message="connectTime must be in whole seconds"
	ConnectTime *metav1.Duration `json:"connectTime,omitempty"`

	// RouterID of this side, in the form of an IPv4 address. Absent means that the speaker
	// chooses one for its node.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule=`size(self) == 0 || self.matches('^(((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])[.]){3}(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])|(([0-9A-Fa-f]{1,4}:){6}([0-9A-Fa-f]{1,4}:[0-9A-Fa-f]{1,4}|[0-9.]{7,15})|([0-9A-Fa-f]{1,4}(:[0-9A-Fa-f]{1,4})*)?::(([0-9A-Fa-f]{1,4}:)*([0-9A-Fa-f]{1,4}|[0-9.]{7,15}))?))$')`,message="routerID must be written as an IP address, such as 192.0.2.1"
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
	// +kubebuilder:validation:XValidation:rule=`self == oldSelf`,message="enableGracefulRestart cannot be changed: delete the BGPPeer and create it anew"
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
// +kubebuilder:deprecatedversion:warning="v1beta1 is deprecated, please use v1beta2"
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Address",type=string,JSONPath=`.spec.peerAddress`
// +kubebuilder:printcolumn:name="ASN",type=string,JSONPath=`.spec.peerASN`
// +kubebuilder:printcolumn:name="BFD Profile",type=string,JSONPath=`.spec.bfdProfile`
// +kubebuilder:printcolumn:name="Multi Hops",type=string,JSONPath=`.spec.ebgpMultiHop`
// +kubebuilder:printcolumn:name="Valid",type=string,priority=10,JSONPath=`.status.conditions[?(@.type=="Valid")].status`
type BGPPeer struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +kubebuilder:validation:Required
	// +kubebuilder:pruning:PreserveUnknownFields
	Spec   BGPPeerSpec   `json:"spec"`
	Status BGPPeerStatus `json:"status,omitempty"`
}

// BGPPeerList is a list of BGPPeers.
// +kubebuilder:object:root=true
type BGPPeerList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []BGPPeer `json:"items"`
}
