// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Package node installs Clarion on nodes with a real kubelet, containerd and runc, as an operator
// does: from images, by the single-file manifest and then by the Helm chart. Its tests look at what
// only real containers show: rights of processes, rolling updates, drains, and what is left on a node
// afterwards. They need root, the lab, and `make test-node` has built what they install.
package node
