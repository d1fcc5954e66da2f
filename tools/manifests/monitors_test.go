// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/prometheus/prometheus/promql/parser"
	"sigs.k8s.io/yaml"
)

// monitoring returns the objects of the Prometheus operator that an installation by the manifests
// or by the chart has, by where they are from; the latter are in the goldens of the chart's tests.
func monitoring(t *testing.T) map[string][]string {
	t.Helper()
	files := map[string]string{}
	text, err := render("../../config/prometheus", "", "dev")
	if err != nil {
		t.Fatal(err)
	}
	files["config/prometheus"] = string(text)
	goldens, err := filepath.Glob("../../test/chart/testdata/*.golden")
	if err != nil || len(goldens) == 0 {
		t.Fatalf("no goldens of the chart: %v", err)
	}
	for _, path := range goldens {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		manifest, _, _ := strings.Cut(string(text), "\n# NOTES\n")
		files[filepath.Base(path)] = manifest
	}
	out := map[string][]string{}
	for name, text := range files {
		for doc := range strings.SplitSeq("\n"+text, "\n---\n") {
			if strings.Contains(doc, "\napiVersion: monitoring.coreos.com/v1\n") || strings.HasPrefix(doc, "apiVersion: monitoring.coreos.com/v1\n") {
				out[name] = append(out[name], doc)
			}
		}
	}
	return out
}

// TestTheOperatorKnowsEveryField: a field that is misspelt or at the wrong place is dropped by the
// API server, and nothing is scraped then.
func TestTheOperatorKnowsEveryField(t *testing.T) {
	seen := map[string]bool{}
	for from, docs := range monitoring(t) {
		for _, doc := range docs {
			var o object
			if err := yaml.Unmarshal([]byte(doc), &o); err != nil {
				t.Fatalf("%s: %v", from, err)
			}
			into := map[string]any{
				"ServiceMonitor": &monitoringv1.ServiceMonitor{}, "PodMonitor": &monitoringv1.PodMonitor{}, "PrometheusRule": &monitoringv1.PrometheusRule{},
			}[o.Kind]
			if into == nil {
				t.Errorf("%s: kind %s", from, o.Kind)
				continue
			}
			seen[o.Kind] = true
			if err := yaml.UnmarshalStrict([]byte(doc), into); err != nil {
				t.Errorf("%s: %s %s: %v", from, o.Kind, o.Metadata.Name, err)
			}
		}
	}
	if len(seen) != 3 {
		t.Errorf("only found %v", seen)
	}
}

// listed matches the names in the tables of docs/metrics.md.
var listed = regexp.MustCompile("(?m)^\\| `([a-z0-9_]+)` \\|")

// TestAlertsAskForMetricsThatExist parses each alert, and looks at what could make it fail or keep
// silent in Prometheus.
func TestAlertsAskForMetricsThatExist(t *testing.T) {
	page, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{"up": true}
	for _, m := range listed.FindAllStringSubmatch(string(page), -1) {
		known[m[1]] = true
	}
	alerts := 0
	for from, docs := range monitoring(t) {
		for _, doc := range docs {
			var rule monitoringv1.PrometheusRule
			if err := yaml.Unmarshal([]byte(doc), &rule); err != nil || rule.Kind != monitoringv1.PrometheusRuleKind {
				continue
			}
			for _, g := range rule.Spec.Groups {
				for _, r := range g.Rules {
					alerts++
					checkAlert(t, from+": "+r.Alert, r.Expr.String(), known)
				}
			}
		}
	}
	if alerts < 10 {
		t.Errorf("only %d alerts", alerts)
	}
}

func checkAlert(t *testing.T, name, expr string, known map[string]bool) {
	t.Helper()
	parsed, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	parser.Inspect(parsed, func(n parser.Node, _ []parser.Node) error {
		switch n := n.(type) {
		case *parser.VectorSelector:
			if !known[n.Name] {
				t.Errorf("%s asks for %q, which docs/metrics.md does not list", name, n.Name)
			}
		case *parser.BinaryExpr:
			if n.LHS.Type() != parser.ValueTypeVector || n.RHS.Type() != parser.ValueTypeVector {
				break
			}
			// Two controllers may tell of a pool at a time; many-to-many is an error.
			for _, side := range []parser.Expr{n.LHS, n.RHS} {
				switch side.(type) {
				case *parser.AggregateExpr, *parser.BinaryExpr:
				default:
					t.Errorf("%s: %s is matched without being aggregated", name, side)
				}
			}
		}
		return nil
	})
}
