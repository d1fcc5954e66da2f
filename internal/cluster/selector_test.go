// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// A selector matches what Kubernetes says it matches, and nothing if it cannot be read.
func FuzzSelector(f *testing.F) {
	f.Add("app", "web", "tier", "In", "gold", "app", "web")
	f.Add("", "", "app", "Exists", "", "app", "")
	f.Add("", "", "app", "DoesNotExist", "", "x", "y")
	f.Add("a", "b", "app", "NotIn", "web", "a", "b")
	f.Add("not a key", "x", "y", "Near", "z", "", "")
	f.Fuzz(func(t *testing.T, key, value, exprKey, op, exprValue, labelKey, labelValue string) {
		in := metav1.LabelSelector{}
		if key != "" {
			in.MatchLabels = map[string]string{key: value}
		}
		if exprKey != "" {
			expr := metav1.LabelSelectorRequirement{Key: exprKey, Operator: metav1.LabelSelectorOperator(op)}
			if exprValue != "" {
				expr.Values = []string{exprValue, value}
			}
			in.MatchExpressions = append(in.MatchExpressions, expr)
		}
		set := map[string]string{labelKey: labelValue}
		var r report
		got := compileSelector(&r, "spec", &in).Matches(set)
		want := false
		if reference, err := metav1.LabelSelectorAsSelector(&in); err == nil {
			want = reference.Matches(labels.Set(set))
		} else if len(r.problems) != 1 {
			t.Fatalf("%+v cannot be read, and the problems are %v", in, r.problems)
		}
		if got != want {
			t.Fatalf("%+v matches %v: %v, Kubernetes says %v", in, set, got, want)
		}
	})
}
