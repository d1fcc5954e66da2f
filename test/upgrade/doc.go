// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Package upgrade tests docs/upgrade-from-metallb.md. On a lab cluster it builds what
// MetalLB leaves behind, runs the commands of that page, which it reads from the page itself, and
// looks at the Services all the time. MetalLB's own programs are not run: its objects are
// written as it writes them, and its pods are played. It contains nothing else.
package upgrade
