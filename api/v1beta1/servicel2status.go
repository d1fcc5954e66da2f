// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ServiceL2StatusSpec is empty: the object only reports.
type ServiceL2StatusSpec struct{}

// ServiceL2StatusStatus says which node announces a Service by layer 2, and where.
type ServiceL2StatusStatus struct {
	// Node that announces the Service.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="Value is immutable"
	Node string `json:"node,omitempty"`

	// ServiceName is the name of the Service.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="Value is immutable"
	ServiceName string `json:"serviceName,omitempty"`

	// ServiceNamespace is the namespace of the Service.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="Value is immutable"
	ServiceNamespace string `json:"serviceNamespace,omitempty"`

	// Interfaces that the Service is announced on. Empty means every interface that layer 2 can
	// use, or the one whose subnet holds the address.
	// +optional
	Interfaces []InterfaceInfo `json:"interfaces,omitempty"`

	// Conditions tell what is wrong with the announcement: `AddressConflict` is True while a
	// host outside the cluster uses an address of the Service, and names it. There is none while all is well.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// ConditionAddressConflict is the type of a condition of a ServiceL2Status.
const ConditionAddressConflict = "AddressConflict"

// InterfaceInfo is a network interface of a node.
type InterfaceInfo struct {
	// Name of the interface.
	// +optional
	Name string `json:"name,omitempty"`
}

// ServiceL2Status reports which node announces a Service by layer 2. The speaker of that
// node alone writes it.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Allocated Node",type=string,JSONPath=`.status.node`
// +kubebuilder:printcolumn:name="Service Name",type=string,JSONPath=`.status.serviceName`
// +kubebuilder:printcolumn:name="Service Namespace",type=string,JSONPath=`.status.serviceNamespace`
// +kubebuilder:printcolumn:name="Conflict",type=string,priority=10,JSONPath=`.status.conditions[?(@.type=="AddressConflict")].message`
type ServiceL2Status struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   ServiceL2StatusSpec   `json:"spec,omitempty"`
	Status ServiceL2StatusStatus `json:"status,omitempty"`
}

// ServiceL2StatusList is a list of ServiceL2Statuses.
// +kubebuilder:object:root=true
type ServiceL2StatusList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ServiceL2Status `json:"items"`
}
