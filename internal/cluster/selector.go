// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"cmp"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/selection"

	"github.com/clarion-lb/clarion/internal/lb"
)

// nothing returns the selector that no labels satisfy. It stands for a selector that cannot
// be read: leaving that out could empty a list whose emptiness means "everything".
func nothing() lb.Selector { return lb.Selector{{Op: lb.In}} }

// compileSelectors reads a list of selectors, of which one has to match. The result is nil if
// and only if the list is empty.
func compileSelectors(r *report, path string, in []metav1.LabelSelector) lb.Selectors {
	if len(in) == 0 {
		return nil
	}
	out := make(lb.Selectors, 0, len(in))
	for i := range in {
		at := index(path, i)
		sel := compileSelector(r, at, &in[i])
		if slices.ContainsFunc(out, func(o lb.Selector) bool { return compareSelectors(o, sel) == 0 }) {
			if len(sel) == 0 || sel[0].Key != "" { // an unreadable one was reported already
				r.field(at, "repeats an earlier selector; remove it")
			}
			continue
		}
		out = append(out, sel)
	}
	slices.SortFunc(out, compareSelectors)
	return out
}

// compileSelector reads one selector. One that cannot be read selects nothing.
func compileSelector(r *report, path string, in *metav1.LabelSelector) lb.Selector {
	parsed, err := metav1.LabelSelectorAsSelector(in)
	if err != nil {
		r.field(path, "invalid label selector: %v; until it is corrected it selects nothing", err)
		return nothing()
	}
	requirements, selectable := parsed.Requirements()
	if !selectable {
		return nothing()
	}
	sel := make(lb.Selector, 0, len(requirements))
	for i := range requirements {
		req := lb.Requirement{Key: requirements[i].Key(), Op: operator(requirements[i].Operator())}
		if req.Op == lb.In || req.Op == lb.NotIn {
			req.Values = slices.Sorted(slices.Values(requirements[i].ValuesUnsorted()))
		}
		sel = append(sel, req)
	}
	slices.SortFunc(sel, compareRequirements)
	before := len(sel)
	sel = slices.CompactFunc(sel, func(a, b lb.Requirement) bool { return compareRequirements(a, b) == 0 })
	if len(sel) < before {
		r.field(path, "states a condition twice; remove one of them")
	}
	return sel
}

func operator(op selection.Operator) lb.Operator {
	switch op {
	case selection.NotIn:
		return lb.NotIn
	case selection.Exists:
		return lb.Exists
	case selection.DoesNotExist:
		return lb.DoesNotExist
	default: // In, and the equality of matchLabels
		return lb.In
	}
}

func compareSelectors(a, b lb.Selector) int { return slices.CompareFunc(a, b, compareRequirements) }

func compareRequirements(a, b lb.Requirement) int {
	return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Op, b.Op), slices.Compare(a.Values, b.Values))
}

// sortedNames returns the names sorted and without duplicates, which it reports. The result
// is nil if and only if there are none.
func sortedNames(r *report, path string, in []string) []string {
	if len(in) == 0 {
		return nil
	}
	out := make([]string, 0, len(in))
	for i, name := range in {
		if slices.Contains(out, name) {
			r.field(index(path, i), "repeats %q; remove it", name)
			continue
		}
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}
