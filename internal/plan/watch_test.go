// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/clarion-lb/clarion/internal/elect"
	"github.com/clarion-lb/clarion/internal/lb"
)

// sessions returns what each node of a cluster is to watch.
func sessions(s lb.Snapshot, v lb.View) map[string][]string {
	out := map[string][]string{}
	for _, n := range s.Nodes {
		out[n.Name] = ForNode(n.Name, s, v).Watch
	}
	return out
}

func TestBothEndsOfASessionKnowOfIt(t *testing.T) {
	held := 0
	eachSeed(t, func(t *testing.T, _ *rand.Rand, s lb.Snapshot, v lb.View) {
		all := sessions(s, v)
		for node, peers := range all {
			held += len(peers)
			if len(peers) > maxSessions || !slices.IsSorted(peers) || slices.Contains(peers, node) {
				t.Fatalf("%s watches %v", node, peers)
			}
			for _, p := range peers {
				if !slices.Contains(all[p], node) {
					t.Fatalf("%s watches %s, which watches %v", node, p, all[p])
				}
			}
		}
	})
	if held == 0 {
		t.Error("nobody watched anybody")
	}
}

// The next in line learns of the owner's death by itself, not from others.
func TestHeirsWatchTheOwner(t *testing.T) {
	s, v := newCluster(newService("a", "192.0.2.1")), everyone()
	var candidates []lb.Candidate
	for _, n := range s.Nodes {
		candidates = append(candidates, lb.Candidate{Node: n.Name})
	}
	line := elect.Ranked(s.Services[0].Assigned[0], candidates)
	all := sessions(s, v)
	for _, heir := range line[1:4] {
		if !slices.Contains(all[heir], line[0]) {
			t.Errorf("the line is %v, and %s watches %v", line, heir, all[heir])
		}
	}
	if slices.Contains(all[line[4]], line[0]) {
		t.Errorf("%s, the last in line, watches the owner %s", line[4], line[0])
	}
}

func TestNothingToInheritNothingToWatch(t *testing.T) {
	for node, peers := range sessions(newCluster(), everyone()) {
		if len(peers) > 0 {
			t.Errorf("%s watches %v", node, peers)
		}
	}
}

func TestWatchingCostsTheSameInEveryCluster(t *testing.T) {
	for _, nodes := range []int{10, 200} {
		s, v := bigCluster(1000, nodes)
		total, unwatched := 0, 0
		for _, n := range s.Nodes[:10] {
			d := ForNode(n.Name, s, v)
			total += len(d.Watch)
			if len(d.Watch) < watchers {
				unwatched++
			}
		}
		if total > 10*2*watchers+10 || unwatched > 0 {
			t.Errorf("%d nodes: ten of them hold %d sessions, %d have fewer than %d", nodes, total, unwatched, watchers)
		}
	}
}
