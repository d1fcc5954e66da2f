// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Package pod holds the kubelet's decisions that need nothing but values: which
// address a pod gets, what a container's environment, command line, files,
// user and capabilities are, what its status says, and how long it waits
// before a restart. It starts nothing and talks to nobody.
package pod
