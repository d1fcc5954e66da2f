// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Package gobgp carries out what package bgp decides, with the engine github.com/osrg/gobgp. It is
// the engine's only importer. Every peer has a small server of its own, so that it can have
// its own router ID, AS number, VRF and routes, and so that a peer that is slow, hostile or dead
// delays nobody else.
//
// What surprised us in the engine, and where it is handled: the identity of a peer cannot be
// edited reliably, so a changed peer is deleted and added (bgp.Steps). A peer that is deleted
// and added connects after one to two seconds, one that fell back by itself after six or
// more (slot.reconnect). Servers write process-wide variables when they start, so they are
// started before there is traffic and then reused (pool). All of a server waits for the last write
// to a peer that it deletes (guard). Next hops of the other family are
// ours to choose (nexthop). Why a session ended is only in the log (engineLog). Received routes are
// kept as they came, whatever a policy says (importOwn), and its limit for them counts all of them
// at every UPDATE (maxReceived).
package gobgp
