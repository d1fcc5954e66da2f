// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Package mld is the listener side of multicast listener discovery on one link, as one pure
// machine: which reports make routers and snooping switches send the link's groups here. It
// speaks MLDv2 (RFC 3810), and MLDv1 (RFC 2710) while a querier of that version is present.
//
// It decides neither which groups are joined nor does it have the link deliver their frames:
// that, sockets and the clock are the host's. The host hands over queries and the time,
// encodes the Messages it gets back and calls Tick again at Deadline. All groups are
// any-source groups (EXCLUDE with no sources), which is all that neighbour discovery needs.
//
// # What is sent when
//
// A join or leave is reported at once and [Robustness Variable] - 1 more times, at random
// within the second after the last time (RFC 3810 6.1; up to 10 s apart in MLDv1, where a
// leave is told only once). The variable is learned from queries, 2 until then.
//
// The answer to a general query is spread evenly over its Maximum Response Delay, from a
// random moment on, as RFC 3810 6.3 recommends; with one report to send that is the random
// delay of the RFC. Queries for a group are answered after a random delay of their own.
//
// Reports are filled up to 1,280 octets, the smallest MTU of IPv6: 61 groups each, 164
// reports for 10,000 groups, and none depends on the link's MTU. At most ten leave at once,
// and then one each millisecond; MLDv1, with one report a group, has fifty and five.
//
// # Deviations
//
// Reports of other listeners are not heard, so in MLDv1 they do not suppress ours (RFC 2710 4):
// snooping switches keep them from us anyway (RFC 4541 3), and a solicited-node group has
// hardly ever two members.
package mld
