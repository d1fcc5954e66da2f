// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Package v1beta2 holds the Go types of metallb.io/v1beta2, which has one kind: BGPPeer, the
// form in which it is stored. It says what an object looks like and which values one object
// may have; what objects mean together is decided elsewhere.
//
// +groupName=metallb.io
// +kubebuilder:object:generate=true
package v1beta2
