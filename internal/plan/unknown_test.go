// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"testing"

	"github.com/clarion-lb/clarion/internal/lb"
)

// I7: what is not known yet is told apart from what is empty.
func TestI7UnknownInputsGiveAnUnknownPlan(t *testing.T) {
	unlisted := newService("b", "192.0.2.2")
	unlisted.Endpoints = lb.Endpoints{}
	noAddress := newService("b")
	noAddress.Endpoints = lb.Endpoints{}
	empty := newCluster(newService("a", "192.0.2.1"))
	empty.Nodes = nil
	tests := []struct {
		name     string
		snapshot lb.Snapshot
		view     lb.View
		want     lb.Reason // "" when the plan is known
	}{
		{"all known", newCluster(newService("a", "192.0.2.1")), everyone(), ""},
		{"nothing to announce", newCluster(), everyone(), ""},
		{"membership not joined", newCluster(newService("a", "192.0.2.1")), lb.View{Members: []string{"node-c"}}, lb.MembershipUnknown},
		{"membership off but not told so yet", newCluster(newService("a", "192.0.2.1")), lb.View{All: true}, lb.MembershipUnknown},
		{"endpoints not listed", newCluster(newService("a", "192.0.2.1"), unlisted), everyone(), lb.ClusterUnknown},
		{"endpoints not listed of a Service without address", newCluster(newService("a", "192.0.2.1"), noAddress), everyone(), ""},
		{"nodes not listed", empty, everyone(), lb.ClusterUnknown},
	}
	known := ForNode("node-c", newCluster(newService("a", "192.0.2.1")), everyone())
	for _, tt := range tests {
		d := ForNode("node-c", tt.snapshot, tt.view)
		if d.Waiting != tt.want || d.Known != (tt.want == "") {
			t.Errorf("%s: known %v, waiting %q, want waiting %q", tt.name, d.Known, d.Waiting, tt.want)
		}
		if d.Known {
			continue
		}
		if len(d.L2) > 0 || len(d.Why) > 0 {
			t.Errorf("%s: an unknown plan announces %v", tt.name, d.L2)
		}
		if e := Transitions(known, d); len(e) > 0 {
			t.Errorf("%s: events %v", tt.name, e)
		}
		for _, e := range Explain("node-c", tt.snapshot, tt.view, lb.Key{Namespace: "ns", Name: "a"}) {
			if e.Reason != tt.want {
				t.Errorf("%s: explained with %q, want %q", tt.name, e.Reason, tt.want)
			}
		}
		if stale := StaleL2Statuses(d, tt.view, L2Statuses(known)); len(stale) > 0 {
			t.Errorf("%s: deletes %v", tt.name, stale)
		}
	}
}
