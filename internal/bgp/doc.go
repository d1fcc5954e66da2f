// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Package bgp decides which routes each BGP peer gets, what has to change for a session that
// runs, and whether BFD forbids a session now. It declares Router, which carries that out.
//
// It does not decide whether a Service may be announced from a node (package plan does), and it
// speaks no BGP: the engine is in bgp/gobgp.
package bgp
