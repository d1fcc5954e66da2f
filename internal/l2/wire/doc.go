// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Package wire runs an l2.Machine on real interfaces: it opens packet sockets, decodes what
// they receive, executes the machine's actions and wakes it at its deadline. It decides
// nothing about addresses; whatever it must choose is a question of sockets.
//
// Per link and family there is one AF_PACKET socket with a filter in the kernel, used for
// receiving and sending. NDP uses it too: a raw ICMPv6 socket never sees the unicast probes
// of a neighbour (RFC 4861 7.3.3), because the announced address is not bound to this host
// and the kernel would try to forward them, and it could not send from that address.
// Solicited-node groups are joined on separate ndp sockets, so that the kernel reports them
// to snooping switches; these receive nothing.
//
// The process needs CAP_NET_RAW and no other capability: it covers AF_PACKET sockets, their
// filters and raw ICMPv6 sockets, and joining a group needs none. The receive buffers are
// asked for without force, so net.core.rmem_max bounds them.
package wire
