// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Package crd holds the tests of config/crd, config/admission-policies and config/samples on a
// real API server: which objects are accepted, which are refused, and what the user is told.
// MetalLB's own samples are among them; they are downloaded as part of its Go module.
// It brings up a lab of its own, or uses the cluster of $CLARION_LAB_KUBECONFIG. What
// the programs do with accepted objects is tested elsewhere. It contains nothing else.
package crd
