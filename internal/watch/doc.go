// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Package watch judges whether a node that fell silent is gone, faster than the membership
// can and whatever the size of the cluster. It decides when to ask whom, when silence counts
// as death, and how a node that was wrongly declared gone comes back. It does not decide who
// watches whom (package plan), hears nothing itself (package bfd), and elects nobody.
//
// # From silence to a finding
//
// A session with a peer that was up and expired is a suspicion, no more. The watcher pings the
// silent node itself and asks up to three others to do the same, who answer Yes or No.
//
//   - One Yes, or an answer to the own ping, ends it: the path is broken or the thread that
//     keeps the session was late, and the membership alone judges.
//   - Nobody got an answer, and at least one said so: the finding Gone goes to every member.
//     A watcher that hears no helper either is itself the one that is cut off, and finds
//     nothing. Only where there is no third node does the own ping decide alone.
//
// So a forged or lost packet of a session cannot take a node out; at worst it hides a death,
// which the membership then finds in its own time.
//
// # From a finding to equal views
//
// Who receives Gone leaves the node out of its view at once. So does the node itself, if it is
// alive: it stops claiming, proves its place among its peers as after any standstill, and says
// Here, whereupon everybody counts it again. A finding that neither the membership confirms
// nor the node denies is forgotten after Config.Forget.
//
// Views differ only while a message travels, and then only by the silent node. Its addresses
// are with it or with the next candidate in line, never with a third node, because removing
// one node from a view changes the owner of that node's addresses only (I4).
//
// After a finding that was denied the watcher leaves that node to the membership for ten
// seconds, and twice as long each further time, so that a starved node does not flap.
package watch
