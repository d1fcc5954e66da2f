// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Package cluster turns Kubernetes objects into the nouns of package lb. It is the only
// place that knows annotations, labels and fields of custom resources, and it decides what
// of an object can be used: a mistake becomes an lb.Problem at its own object and takes
// nothing else with it. It does not decide who gets an address or who announces it, and it
// performs no I/O.
package cluster
