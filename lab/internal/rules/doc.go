// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Package rules holds the test that API servers from Kubernetes 1.30 on accept the rules of
// config/crd and config/admission-policies: that they compile with the CEL of 1.29, which 1.30 has
// for new rules, and that their estimated costs stay within the limits. The estimates are those
// of the Kubernetes that the lab is made of. It is in this module because this one has Kubernetes.
package rules
