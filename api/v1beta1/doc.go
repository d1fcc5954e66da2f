// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Package v1beta1 holds the Go types of metallb.io/v1beta1, field for field those that
// MetalLB users have in their clusters, plus a few optional fields that change nothing
// while they are absent. It says what an object looks like and which values one object may
// have; what objects mean together is decided elsewhere.
//
// +groupName=metallb.io
// +kubebuilder:object:generate=true
package v1beta1
