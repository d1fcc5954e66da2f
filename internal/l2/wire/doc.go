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
//
// The kernel is no member of the solicited-node groups: it would walk the list of its groups
// for each multicast packet of IPv6 that arrives. Further AF_PACKET sockets, which receive
// nothing, have the interface deliver the groups' frames, and package mld tells routers and
// snooping switches of them. What the kernel tells of its own groups comes from the same
// address, so a group that it has, too, is not left by us; one that it leaves may be missing
// at a switch with fast leave until its next general query.
//
// The process needs CAP_NET_RAW and no other capability: it covers AF_PACKET sockets, their
// filters and memberships, and raw ICMPv6 sockets. The receive buffers are asked for without
// force, so net.core.rmem_max bounds them.
package wire
