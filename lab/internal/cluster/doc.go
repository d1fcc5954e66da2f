// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Package cluster brings a lab up and down and breaks it on request: it orders
// the work of packages host (networks), proc (processes), pki (identities) and
// state (memory), and holds the command lines of the Kubernetes components. It
// does not know what runs inside the pods.
package cluster
