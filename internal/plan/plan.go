// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"net/netip"
	"slices"

	"github.com/clarion-lb/clarion/internal/elect"
	"github.com/clarion-lb/clarion/internal/lb"
)

// Desired is what one node must announce.
type Desired struct {
	// Known is false when an input was not known yet. Such a Desired is empty and must not
	// be applied: the caller changes nothing (I7).
	Known bool
	// Waiting says which input is missing when Known is false.
	Waiting lb.Reason
	// Self is the node that the plan is for.
	Self string
	// L2 are the addresses to answer for, sorted.
	L2 []lb.Announcement
	// Claims are the addresses that this node should enter into the shared record of owners
	// (elect.Record) as its own, sorted: those that it owns by election and not by the
	// record, and those that it should take over for balance. A plan made from the record
	// with these claims announces the latter too. Without election options there are none.
	Claims []netip.Addr
	// Recorded are the addresses whose owners belong in the record, sorted.
	Recorded []netip.Addr
	// Back are the addresses that this node should claim once they have been listed for as
	// long as each says, sorted: see Patience.
	Back []MoveBack
	// Watch are the nodes, sorted, to hold a session with that tells at once when one of the
	// two falls silent.
	Watch []string
	// Conflicts are the foreign hosts that use these addresses: see WithConflicts.
	Conflicts []Conflict
	// Why has one entry for each address of each Service, in the order of the snapshot's
	// Services and of the addresses in the Service's status. Their Nodes are left out: ask
	// Explain for those.
	Why []Explanation
}

// Explanation says why a node does or does not announce an address for a Service.
type Explanation struct {
	Service lb.Key
	Addr    netip.Addr
	// Announced is true when this node announces the address for the Service.
	Announced bool
	// Owner is the node that owns the address, "" when none can. With a shared address it
	// may be owned for the sake of another Service.
	Owner string
	// Reason is NodeAssigned when Announced, otherwise what stands in the way.
	Reason lb.Reason
	// Absent is true with AnnounceFailed when the interfaces that the advertisements name do not
	// exist on this node; otherwise they cannot announce the address now.
	Absent bool
	// Nodes are the verdicts on all nodes of the cluster, sorted by name; none when Reason
	// holds for the Service whatever the node.
	Nodes []NodeVerdict
}

// NodeVerdict says what one node is to an address.
type NodeVerdict struct {
	Node string
	// Rank is the place of a candidate, 1 for the owner; 0 when the node is no candidate.
	Rank int
	// Weight is the sum of the preferred weights that apply.
	Weight int
	// Reason is NodeAssigned for the owner, NotOwner for the other candidates, otherwise
	// why the node is no candidate.
	Reason lb.Reason
}

// Planner makes plans for one node, remembering hashes from pass to pass. What it returns
// depends on the arguments alone. The zero Planner is ready for use; it is not safe for
// concurrent use.
type Planner struct {
	elector elect.Elector
}

// ForNode returns what the node self must announce. It is Planner.ForNode without memory.
func ForNode(self string, s lb.Snapshot, v lb.View) Desired {
	return new(Planner).ForNode(self, s, v)
}

// ForNode returns what the node self must announce. Slices of the result may share memory
// with the snapshot and with each other, so nobody may change them.
func (p *Planner) ForNode(self string, s lb.Snapshot, v lb.View) Desired {
	if missing := unknown(s, v); missing != "" {
		return Desired{Self: self, Waiting: missing}
	}
	p.elector.Forget()
	f := newFacts(self, s, v, &p.elector)
	d := Desired{Known: true, Self: self, Why: f.explanations()}
	groups := f.groups()
	f.elect(groups, &d)
	for i := range groups {
		f.decide(&groups[i], &d)
	}
	d.Watch = f.watch(groups)
	slices.SortFunc(d.L2, func(a, b lb.Announcement) int { return a.Addr.Compare(b.Addr) })
	return d
}

// unknown returns what the inputs still lack, "" when nothing. A cluster without a single
// node is one that has not been listed: this speaker runs on a node.
func unknown(s lb.Snapshot, v lb.View) lb.Reason {
	if !v.Known {
		return lb.MembershipUnknown
	}
	return clusterUnknown(s)
}

// clusterUnknown returns ClusterUnknown while the snapshot lacks something.
func clusterUnknown(s lb.Snapshot) lb.Reason {
	if len(s.Nodes) == 0 {
		return lb.ClusterUnknown
	}
	for i := range s.Services {
		if svc := &s.Services[i]; len(svc.Assigned) > 0 && !svc.Endpoints.Known {
			return lb.ClusterUnknown
		}
	}
	return ""
}
