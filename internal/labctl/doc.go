// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Package labctl drives bin/lab, the lab cluster, for the demo, the stories and the
// benchmarks. The lab is a program of its own Go module, so that the dependencies of a whole
// Kubernetes stay out of Clarion's; this package knows its command line and nothing else.
package labctl
