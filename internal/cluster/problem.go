// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"cmp"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarion-lb/clarion/internal/lb"
)

// report collects the problems of one object.
type report struct {
	kind     string
	key      lb.Key
	problems []lb.Problem
}

func newReport(kind string, obj metav1.Object) *report {
	return &report{kind: kind, key: keyOf(obj)}
}

func keyOf(obj metav1.Object) lb.Key {
	return lb.Key{Namespace: obj.GetNamespace(), Name: obj.GetName()}
}

// field reports a mistake that leaves the rest of the object in use.
func (r *report) field(path, format string, args ...any) {
	r.add(lb.InvalidConfiguration, path, false, fmt.Sprintf(format, args...))
}

// reject reports a mistake for which the whole object is left out.
func (r *report) reject(path, format string, args ...any) {
	r.add(lb.InvalidConfiguration, path, true, fmt.Sprintf(format, args...))
}

func (r *report) add(reason lb.Reason, path string, ignored bool, message string) {
	r.problems = append(r.problems, lb.Problem{
		Kind: r.kind, Object: r.key, Field: path, Reason: reason, Message: message, Ignored: ignored,
	})
}

// compareProblems orders problems by kind, object and field.
func compareProblems(a, b lb.Problem) int {
	return cmp.Or(
		cmp.Compare(a.Kind, b.Kind),
		a.Object.Compare(b.Object),
		cmp.Compare(a.Field, b.Field),
		cmp.Compare(a.Message, b.Message),
	)
}

// index writes the path of a list entry.
func index(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }
