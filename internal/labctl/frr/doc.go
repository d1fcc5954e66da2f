// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Package frr runs FRR's zebra, bgpd and bfdd from Debian in a network namespace, and reads what
// they know. The tests of BGP, the stories and the benchmarks have their router from here. What a
// router shall be like is the caller's text; this package writes the text only for the one
// kind of router that several need, the one that all nodes of a lab peer with.
package frr
