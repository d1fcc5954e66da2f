// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Package story tells what a person does with Clarion and sees, on a lab cluster: a real
// Kubernetes control plane, a real kube-proxy on every node, and a client on the LAN that is
// no node. Run it with `make test-lab`; it needs root and bin/lab.
package story
