// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Package l2 is the ARP and NDP behaviour of this node as one pure machine: which links an
// address is announced on, what to answer, when to send gratuitous announcements and how
// fast, who else claims an address, and when a released address falls silent.
//
// It decides neither who owns an address (package elect) nor what to do about a rival (the
// caller reads Conflicts). It opens no socket and reads no clock: the host hands over
// frames as Query values and the time as an argument, executes the returned Actions in
// order, and calls Tick again at Deadline. Package l2/wire is that host.
//
// # Announcement schedule
//
// An address that appears on a link is announced at once and again after 0.1, 0.3, 0.7, 1.5
// and 3 s (Config.Burst). An IPv4 round is a gratuitous ARP request and a gratuitous ARP
// reply, since some equipment believes only one of the two forms; an IPv6 round is one
// unsolicited neighbour advertisement to all nodes with the override flag (RFC 4861 7.2.6).
// The burst starts again when the link comes back, changes its hardware address or is
// re-created, and when the caller asks with Reannounce.
//
// After the burst each address is refreshed with one frame every 60 to 120 s (uniformly at
// random), below the usual 300 s of a switch's forwarding table. Above about 4,500 addresses
// on a link the interval stretches so that refreshing stays under 50 frames/s.
//
// # Pacing
//
// Per link and family at most Config.Rate announcements a second (1,000) leave after an
// initial burst of Config.Depth frames (512). The first frame of an address that was just
// taken over goes before all repeats, so 500 addresses are on the wire at once and 10,000
// within 10 s. Answers to requests are never paced.
//
// # Links
//
// A link can carry addresses when it is broadcast, uses ARP, has no master, has an Ethernet
// address and no exclusion matches its name; for IPv6 it also needs a link-local address.
// An advertisement that names interfaces uses all of those. Otherwise the link whose
// prefix holds the address is used, exactly one when several do (carrier, then
// longest prefix, then the present one, then the lowest index); when none does, every link is used.
package l2
