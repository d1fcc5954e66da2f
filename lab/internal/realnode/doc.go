// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Package realnode makes a node of the lab run the real kubelet with
// containerd and runc from Debian, instead of the hollow kubelet. It writes
// their configuration, gives each node a mount namespace of its own, so that
// the mounts of its containers vanish with it, brings images in without a
// registry, and ends what a node leaves behind. What a node is and when it is
// switched on is decided by package cluster.
package realnode
