// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"strings"
	"testing"
)

func TestCutRules(t *testing.T) {
	for _, tc := range []struct {
		name string
		cut  Cut
		want []string
		not  []string
	}{
		{"both ways", Cut{From: "n1", To: "n2"},
			[]string{`iifname "n1" oifname "n2" counter drop`, `iifname "n2" oifname "n1" counter drop`}, []string{"th "}},
		{"one way", Cut{From: "n1", To: "n2", OneWay: true},
			[]string{`iifname "n1" oifname "n2" counter drop`}, []string{`iifname "n2"`}},
		{"only a port", Cut{From: "n1", To: "n2", OneWay: true, Ports: []uint{7946, 80}},
			[]string{"th sport { 7946, 80 } counter drop", "th dport { 7946, 80 } counter drop"}, []string{`"n2" counter`}},
	} {
		got := tc.cut.rules()
		for _, w := range tc.want {
			if !strings.Contains(got, w) {
				t.Errorf("%s: rules lack %q:\n%s", tc.name, w, got)
			}
		}
		for _, w := range tc.not {
			if strings.Contains(got, w) {
				t.Errorf("%s: rules hold %q:\n%s", tc.name, w, got)
			}
		}
	}
}
