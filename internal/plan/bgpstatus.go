// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/clarion-lb/clarion/internal/bgp"
	"github.com/clarion-lb/clarion/internal/lb"
)

// ProtocolBGP is MetalLB's word for the protocol, used in events and metrics.
const ProtocolBGP = "bgp"

// BGPStatus is the content of one ServiceBGPStatus object.
type BGPStatus struct {
	// Name is the name of the object. It follows from Node and Service, so that a speaker
	// that restarts finds its own objects and two speakers never write the same one.
	Name    string
	Node    string
	Service lb.Key
	// Peers are the names of the peers that are to get an address of the Service, sorted.
	Peers []string
}

// BGPStatuses returns the status objects that this node must keep, sorted by Service: one for
// each Service of which it advertises an address.
func BGPStatuses(d BGP) []BGPStatus {
	at := map[lb.Key]int{}
	var out []BGPStatus
	for i := range d.Why {
		w := &d.Why[i]
		if len(w.Peers) == 0 {
			continue
		}
		k, ok := at[w.Service]
		if !ok {
			at[w.Service] = len(out)
			out = append(out, BGPStatus{
				Name: BGPStatusName(d.Self, w.Service), Node: d.Self, Service: w.Service, Peers: slices.Clone(w.Peers),
			})
			continue
		}
		peers := slices.Concat(out[k].Peers, w.Peers)
		slices.Sort(peers)
		out[k].Peers = slices.Compact(peers)
	}
	slices.SortFunc(out, func(a, b BGPStatus) int { return a.Service.Compare(b.Service) })
	return out
}

// BGPStatusName returns the name of the object in which a node reports on a Service.
func BGPStatusName(node string, service lb.Key) string {
	// Names of nodes, namespaces and Services hold no slash, so the text is unambiguous.
	s := sha256.Sum256([]byte(node + "/" + service.String()))
	return "bgp-" + hex.EncodeToString(s[:10])
}

// BGPTransitions returns the events for the way from one plan to the next, in the order of
// next.Why: nodeAssigned when a Service gets its first peer on this node, withdrawn when it
// loses its last one. An unknown next says nothing, and an unknown prev counts as having
// advertised nothing. A Service that is gone gets no event.
func BGPTransitions(prev, next BGP) []Event {
	if !next.Known {
		return nil
	}
	before, after := advertisedServices(prev), advertisedServices(next)
	done := map[lb.Key]bool{}
	announcing := fmt.Sprintf("announcing from node %q with protocol %q", next.Self, ProtocolBGP) // for all of them
	var out []Event
	for i := range next.Why {
		w := &next.Why[i]
		if before[w.Service] == after[w.Service] || done[w.Service] {
			continue
		}
		done[w.Service] = true
		e := Event{Service: w.Service, Reason: lb.NodeAssigned, Message: announcing}
		if !after[w.Service] {
			e.Reason = lb.Withdrawn
			e.Message = fmt.Sprintf("no longer announcing from node %q with protocol %q: %s", next.Self, ProtocolBGP, w.Text())
		}
		out = append(out, e)
	}
	return out
}

// advertisedServices are the Services with at least one address that a peer gets.
func advertisedServices(d BGP) map[lb.Key]bool {
	out := map[lb.Key]bool{}
	for i := range d.Why {
		if len(d.Why[i].Peers) > 0 {
			out[d.Why[i].Service] = true
		}
	}
	return out
}

// Text says the reason in words that fit after "not advertised here:".
func (w *Advertised) Text() string {
	switch w.Reason {
	case lb.NodeAssigned:
		return "advertised by this node"
	case lb.NoMatchingAdvertisement:
		return "no BGPAdvertisement selects its pool, the Service and this node"
	case lb.NoPeer:
		return "no BGPPeer of this node gets the address"
	case bgp.ConflictingAdvertisements:
		return "two BGPAdvertisements give it different local preferences"
	case lb.NoSpeaker:
		return "the cluster has no node of this name"
	default:
		e := Explanation{Reason: w.Reason}
		return e.Text()
	}
}

// SessionState is the content of one BGPSessionState object.
type SessionState struct {
	Name          string // follows from Node and BGPPeer
	Node, BGPPeer string
	Peer, VRF     string
	BGP, BFD      string
	Reason        lb.Reason
	Message       string
	Since         time.Time
}

// SessionStates returns what a node reports of its sessions. watched are the sessions of BFD by
// the name of the peer that they watch.
func SessionStates(node string, sessions []bgp.Session, watched map[string]bgp.Watched, now time.Time) []SessionState {
	out := make([]SessionState, 0, len(sessions))
	for i := range sessions {
		s := &sessions[i]
		h := sha256.Sum256([]byte(node + "/" + s.Name))
		state := SessionState{
			Name: "session-" + hex.EncodeToString(h[:10]), Node: node, BGPPeer: s.Name, Peer: s.Link, VRF: s.VRF,
			BGP: string(s.Phase), BFD: "N/A", Reason: s.Reason, Message: s.Detail, Since: s.Since,
		}
		if s.Address.IsValid() {
			state.Peer = s.Address.String()
		}
		if w, found := watched[s.Name]; found {
			state.BFD = w.Status.State.String()
			if text := bgp.Unwatched(s, w, now); text != "" {
				if s.Reason != "" { // of the same session, so both are told
					text += "; " + s.Detail
				}
				state.Reason, state.Message = bgp.BFDNotUp, text
			}
		}
		out = append(out, state)
	}
	return out
}
