// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/clarion-lb/clarion/internal/cluster"
	"github.com/clarion-lb/clarion/internal/lb"
)

type result struct {
	Snapshot lb.Snapshot
	Problems []lb.Problem
}

func compile(o cluster.Objects) (r result) {
	r.Snapshot, r.Problems = cluster.Compile(o)
	return r
}

func diff(a, b any) string {
	if reflect.DeepEqual(a, b) { // cmp takes a hundred times longer to say so
		return ""
	}
	return cmp.Diff(a, b, cmp.Comparer(func(x, y netip.Addr) bool { return x == y }), cmpopts.EquateEmpty())
}

const (
	worlds = 40
	steps  = 60
)

// I3: the order of the objects makes no difference.
func TestOrderOfObjectsDoesNotMatter(t *testing.T) {
	for seed := range uint64(worlds) {
		w := newWorld(seed)
		for range steps {
			w.step()
		}
		want := compile(w.Objects)
		if got := compile(w.shuffled()); diff(want, got) != "" {
			t.Fatalf("seed %d: shuffled objects compile to something else:\n%s", seed, diff(want, got))
		}
	}
}

func TestCompilerRemembersNothingWrong(t *testing.T) {
	for seed := range uint64(worlds) {
		w := newWorld(seed)
		var c cluster.Compiler
		for step := range steps {
			for range w.IntN(8) {
				w.step()
			}
			if w.IntN(20) == 0 {
				w.IgnoreExcludeLB = !w.IgnoreExcludeLB
			}
			want := compile(w.Objects)
			var got result
			got.Snapshot, got.Problems = c.Compile(w.shuffled())
			if diff(want, got) != "" {
				t.Fatalf("seed %d step %d: fresh -, remembering +:\n%s", seed, step, diff(want, got))
			}
		}
	}
}

// What a Compiler returned stays as it is, whatever it compiles afterwards.
func TestCompilerLeavesEarlierResultsAlone(t *testing.T) {
	w := newWorld(1)
	var c cluster.Compiler
	var s lb.Snapshot
	var problems []lb.Problem
	for step := range 300 {
		before := fmt.Sprint(s, problems)
		kept, keptProblems := s, problems
		w.step()
		s, problems = c.Compile(w.shuffled())
		if fmt.Sprint(kept, keptProblems) != before {
			t.Fatalf("step %d changed the result of the step before", step)
		}
	}
}

func TestResultsAreSorted(t *testing.T) {
	for seed := range uint64(worlds) {
		w := newWorld(seed)
		for range steps {
			w.step()
		}
		s := compile(w.Objects).Snapshot
		ok := slices.IsSortedFunc(s.Services, func(a, b lb.Service) int { return a.Key.Compare(b.Key) }) &&
			slices.IsSortedFunc(s.Released, lb.Key.Compare)
		if !ok || !sortedByName(s.Pools, func(p lb.Pool) string { return p.Name }) ||
			!sortedByName(s.Nodes, func(n lb.Node) string { return n.Name }) ||
			!sortedByName(s.L2, func(a lb.L2Advertisement) string { return a.Name }) {
			t.Fatalf("seed %d: not sorted: %+v", seed, s)
		}
	}
}

func sortedByName[T any](list []T, name func(T) string) bool {
	return slices.IsSortedFunc(list, func(a, b T) int { return strings.Compare(name(a), name(b)) })
}

func TestNoTwoRangesOverlap(t *testing.T) {
	for seed := range uint64(worlds) {
		w := newWorld(seed)
		for range 4 * steps {
			w.step()
		}
		var all []lb.Range
		for _, p := range compile(w.Objects).Snapshot.Pools {
			all = append(all, p.Ranges...)
		}
		for i, a := range all {
			for _, b := range all[:i] {
				if a.Overlaps(b) {
					t.Fatalf("seed %d: %s and %s overlap", seed, a, b)
				}
			}
		}
	}
}

// Per-object isolation: a new pool, however bad, changes nothing for the pools before it.
func TestYoungerPoolChangesNoOlderOne(t *testing.T) {
	for seed := range uint64(worlds) {
		w := newWorld(seed)
		for range 2 * steps {
			w.step()
		}
		before := compile(w.Objects)
		o := w.Objects
		newest := *pick(w, w.Pools...)
		newest.Name, newest.UID, newest.CreationTimestamp.Time = "newest", "uid-newest", newest.CreationTimestamp.AddDate(1, 0, 0)
		o.Pools = append(slices.Clone(o.Pools), &newest)
		after := compile(o)
		isNewest := func(p lb.Pool) bool { return p.Name == "newest" }
		left := slices.DeleteFunc(slices.Clone(after.Snapshot.Pools), isNewest)
		if d := diff(before.Snapshot.Pools, left); d != "" {
			t.Fatalf("seed %d: %s", seed, d)
		}
		for _, p := range after.Problems {
			if p.Object.Name != "newest" && !slices.Contains(before.Problems, p) {
				t.Fatalf("seed %d: the problem %+v is at another object", seed, p)
			}
		}
	}
}

// Every problem says which object it is about, what is wrong and, after a semicolon, the cure.
func TestProblemsNameObjectAndCure(t *testing.T) {
	for seed := range uint64(worlds) {
		w := newWorld(seed)
		for range steps {
			w.step()
		}
		for _, p := range compile(w.Objects).Problems {
			if p.Kind == "" || p.Object.Name == "" || p.Field == "" || p.Reason == "" || !slices.Contains([]byte(p.Message), ';') {
				t.Fatalf("seed %d: %+v", seed, p)
			}
		}
	}
}
