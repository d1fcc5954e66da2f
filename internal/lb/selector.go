// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package lb

import "slices"

// Operator is how a Requirement compares a label. The names are those of
// metav1.LabelSelectorOperator.
type Operator uint8

// The operators of a label selector. An equality in matchLabels is In with one value.
const (
	In Operator = iota
	NotIn
	Exists
	DoesNotExist
)

// Requirement is one condition on one label.
type Requirement struct {
	Key    string
	Op     Operator
	Values []string // sorted; used by In and NotIn only
}

// Selector is a conjunction of requirements. The empty selector matches everything,
// as an empty metav1.LabelSelector does.
type Selector []Requirement

// Matches says whether the labels satisfy every requirement.
func (s Selector) Matches(labels map[string]string) bool {
	for _, r := range s {
		if !r.matches(labels) {
			return false
		}
	}
	return true
}

func (r Requirement) matches(labels map[string]string) bool {
	v, ok := labels[r.Key]
	switch r.Op {
	case In:
		return ok && slices.Contains(r.Values, v)
	case NotIn:
		return !ok || !slices.Contains(r.Values, v)
	case Exists:
		return ok
	default: // DoesNotExist
		return !ok
	}
}

// Selectors is a disjunction of selectors: MetalLB's lists of selectors are ORed.
type Selectors []Selector

// MatchesAny says whether at least one selector matches. An empty list matches nothing;
// callers for whom "none given" means "all" must say so themselves.
func (s Selectors) MatchesAny(labels map[string]string) bool {
	return slices.ContainsFunc(s, func(sel Selector) bool { return sel.Matches(labels) })
}
