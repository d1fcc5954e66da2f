// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"errors"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/clarion-lb/clarion/internal/lb"
)

func space(name, version, label string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: name, ResourceVersion: version, Labels: map[string]string{"l": label}, Annotations: map[string]string{"a": "b"},
	}}
}

// namespaces are copies of Namespaces and a count of the kicks since it was last read.
func namespaces() (c *copies[*corev1.Namespace, *corev1.Namespace], kicks func() int) {
	n := 0
	c = newCopies(func(now, _ *corev1.Namespace) *corev1.Namespace { stripNamespace(now); return now },
		sameNamespace, func() { n++ })
	return c, func() int { defer func() { n = 0 }(); return n }
}

func TestCopiesAreUnknownUntilTheFirstList(t *testing.T) {
	c, kicks := namespaces()
	store := Store[*corev1.Namespace]{c}
	if store.Synced() {
		t.Error("synced before anything was read")
	}
	if err := c.Replace(nil, "1"); err != nil {
		t.Fatal(err)
	}
	if !store.Synced() || kicks() != 1 {
		t.Error("that there is nothing was not told")
	}
}

func TestCopiesKickForWhatMatters(t *testing.T) {
	c, kicks := namespaces()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	listed, err := c.Transformer()(space("a", "1", "x"))
	must(err)
	must(c.Replace([]any{listed, space("b", "2", "x")}, "2"))
	kicks()
	for _, tc := range []struct {
		what string
		do   func() error
		want int
	}{
		{"the same list again", func() error { return c.Replace([]any{space("a", "1", "x"), space("b", "2", "x")}, "2") }, 0},
		{"a new version that nobody cares about", func() error { return c.Update(space("a", "3", "x")) }, 0},
		{"a new label", func() error { return c.Update(space("a", "4", "y")) }, 1},
		{"the version that is there", func() error { return c.Update(space("a", "4", "z")) }, 0},
		{"a new object", func() error { return c.Add(space("c", "5", "x")) }, 1},
		{"a deletion", func() error { return c.Delete(space("b", "6", "x")) }, 1},
		{"a list that lacks one", func() error { return c.Replace([]any{space("a", "4", "y")}, "7") }, 1},
		{"a list with another one", func() error { return c.Replace([]any{space("d", "8", "y")}, "8") }, 1},
	} {
		must(tc.do())
		if got := kicks(); got != tc.want {
			t.Errorf("%s: %d kicks, want %d", tc.what, got, tc.want)
		}
	}
	names := make([]string, 0, 1)
	for _, n := range (Store[*corev1.Namespace]{c}).List() {
		names = append(names, n.Name)
		if n.Annotations != nil {
			t.Errorf("%s was not stripped", n.Name)
		}
	}
	if !slices.Equal(names, []string{"d"}) {
		t.Errorf("left are %q", names)
	}
	if _, found := (Store[*corev1.Namespace]{c}).Get(lb.Key{Name: "d"}); !found {
		t.Error("d is not found by its key")
	}
}

// A server that starts refuses for a moment what it will allow.
func TestOnlyALastingRefusalIsAnError(t *testing.T) {
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "services"}, "", errors.New("rules not read"))
	start := time.Unix(0, 0)
	for name, tc := range map[string]struct {
		err  error
		at   []time.Duration // of attempts
		want bool            // of the last one
	}{
		"the first":                 {forbidden, []time.Duration{0}, false},
		"a moment later":            {forbidden, []time.Duration{0, time.Second}, false},
		"when it lasts":             {forbidden, []time.Duration{0, time.Second, refusalPatience}, true},
		"again after long":          {forbidden, []time.Duration{0, time.Hour}, false},
		"while it slowly repeats":   {forbidden, []time.Duration{0, watchRetryMost, 2 * watchRetryMost}, true},
		"that is a lost connection": {errors.New("refused"), []time.Duration{0, refusalPatience}, false},
	} {
		var r refusal
		got := false
		for _, at := range tc.at {
			got = r.lasts(tc.err, start.Add(time.Hour).Add(at))
		}
		if got != tc.want {
			t.Errorf("%s: lasts is %t, want %t", name, got, tc.want)
		}
	}
}
