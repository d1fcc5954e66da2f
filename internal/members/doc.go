// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Package members knows which speakers are alive. It runs the gossip of
// hashicorp/memberlist, which nothing else imports, and gives a lb.View and a kick.
//
// It decides who is a member, whether that answer may be used at all, and whether this
// node may count itself. It does not decide who owns an address, and knows neither
// Services nor the apiserver: once peers are known it works without either.
//
// # When the view may be used
//
// A view is unknown (Known is false, so nothing changes anywhere) until the start has been
// proved. The proof is one of:
//
//   - a peer answered, and every other known peer has been tried once or three peers
//     answered. "Every other" matters when two speakers start together: each would answer
//     the other at once although neither has heard yet of the third one, which is alive;
//   - the list of peers is known and empty: nobody else can own anything;
//   - every known peer was tried and none answered for the grace time of 3 s. A live
//     speaker answers a ping within a round trip, and pings go out every 200 ms, so 3 s is
//     15 lost pings and three attempts by TCP, 1 s each. The price is paid only by a
//     speaker that starts while all others are dead.
//
// Without a list of peers there is no proof and the view stays unknown.
//
// # When this node counts itself
//
// A view without its own node is how a speaker is told to stop: the election then picks
// others, and every address here is withdrawn. That is the case
//
//   - while the node's own link is down (SetLinkUp);
//   - when the process stood still for longer than its peers need to declare it dead
//     (SIGSTOP, a suspended machine, a starved processor): what it remembers may be out of date;
//   - when it hears that others found it gone, by the direct watch or the gossip;
//   - after Leave.
//
// In all but the last case the node counts itself again after the proof described above, for
// which only answers since then count, each of them a whole exchange of states. After the first two it
// also waits as long as its peers need at least to declare it dead, but at most a second: what
// they found out before it listened again may reach it after their answers. Until then it tells
// that it could announce on no interface, so that others do not elect it.
// Because a process that wakes up runs all its goroutines at once, View and Fresh compare
// the clock with the last beat themselves and do not wait for a timer to notice.
//
// # Direct watch
//
// Sessions with a few members (SetSessions) say faster than the gossip when one falls silent.
// Package watch judges; its messages and pings travel in the gossip. A member that it finds
// gone is left out of the view until the gossip agrees or the member proves to be there. A node
// that hears that it was found gone does not count itself until it has proved its place.
//
// # Healing
//
// memberlist never speaks again to a node that both sides have declared dead. Every
// known peer that is no member is therefore pinged each 200 ms and joined when it answers;
// beyond eight missing peers the interval grows so that at most 40 pings leave per second.
//
// # What speakers tell each other
//
// Each tells, as memberlist's meta data of its node, on which interfaces it could announce,
// and shares a record of who owned which address last (package elect): changes go out with
// the gossip, several times each, and all of it is exchanged when one joins another and every
// 30 s. Both are parts of the View. MetalLB's speakers pass over the one and the other.
package members
