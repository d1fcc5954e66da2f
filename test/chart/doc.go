// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Package chart tests the Helm chart with Helm's own library: lint, what the templates give for
// the main variants (goldens), and installing, upgrading and uninstalling on a lab cluster. It is
// a module of its own, so that Helm's dependencies do not mix with Clarion's.
package chart
