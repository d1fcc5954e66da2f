// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// CommunitySpec names BGP communities.
type CommunitySpec struct {
	// Communities that BGPAdvertisements can refer to by name.
	// +optional
	// +kubebuilder:validation:MaxItems=4096
	Communities []CommunityAlias `json:"communities,omitempty"`
}

// CommunityAlias is a name for a BGP community.
// +kubebuilder:validation:XValidation:rule=`has(self.value) && (self.value.matches('^(([0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]):([0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])|large(:([0-9]{1,9}|[1-3][0-9]{9}|4[0-2][0-9]{8})){3})$') || self.value.startsWith('rt:') || self.value.startsWith('soo:') || self.value.startsWith('ext:'))`,message="value must be a community such as 65000:100, with two numbers up to 65535, or a large one such as large:65000:1:2, with three up to 4294967295, or an extended one"
// +kubebuilder:validation:XValidation:rule=`!has(self.value) || !self.value.matches('^(rt|soo|ext):') || self.value.matches('^((rt|soo):(([0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]):([0-9]{1,9}|[1-3][0-9]{9}|4[0-2][0-9]{8})|([0-9]{1,9}|[1-3][0-9]{9}|4[0-2][0-9]{8}):([0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))|ext:0x[0-9A-Fa-f]{16})$')`,message="an extended community is rt:65000:100 or soo:65000:100, where one of the two numbers may be up to 4294967295 and the other up to 65535, or ext:0x and 16 hexadecimal digits"
type CommunityAlias struct {
	// Name that BGPAdvertisements use. Unique among all Community objects.
	// +optional
	Name string `json:"name,omitempty"`

	// Value is a community such as `65000:100`, a large community such as `large:65000:1:2`, or an
	// extended one: a route target such as `rt:65000:100`, a site of origin such as `soo:65000:100`, or
	// `ext:0x` and 16 hexadecimal digits. MetalLB has no extended ones.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Value string `json:"value,omitempty"`
}

// CommunityStatus says what is wrong with a Community. The controller alone writes it.
type CommunityStatus struct {
	// Conditions tell whether the object is in use (type `Valid`), and why not.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// Community is a list of names for BGP communities.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
type Community struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   CommunitySpec   `json:"spec,omitempty"`
	Status CommunityStatus `json:"status,omitempty"`
}

// CommunityList is a list of Communities.
// +kubebuilder:object:root=true
type CommunityList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Community `json:"items"`
}
