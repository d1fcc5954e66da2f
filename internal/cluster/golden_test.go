// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/clarion-lb/clarion/internal/cluster"
	"github.com/clarion-lb/clarion/internal/cluster/manifest"
)

// TestScenarios compiles the cluster.yaml of each testdata file and compares the snapshot and
// the problems with its want.txt. "go test -run Scenarios -update" rewrites the expectations.
func TestScenarios(t *testing.T) {
	update := flag.Lookup("update").Value.String() == "true"
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("find scenarios: %v, %d files", err, len(files))
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			scenario, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := compileScenario(t, scenario)
			if update {
				writeWant(t, file, scenario, got)
				return
			}
			if diff := cmp.Diff(section(scenario, "want.txt"), got); diff != "" {
				t.Errorf("%s: want -, got +:\n%s", file, diff)
			}
		})
	}
}

// The comment of a scenario may hold settings, one a line: "class: NAME",
// "ignore-exclude-lb", "endpoints: unknown", "secrets: unknown".
func compileScenario(t *testing.T, scenario *txtar.Archive) string {
	t.Helper()
	objects, ignored, err := manifest.Read([]byte(section(scenario, "cluster.yaml")))
	if err != nil || ignored > 0 {
		t.Fatalf("read scenario: %v, %d unknown objects", err, ignored)
	}
	objects.EndpointSlicesListed, objects.SecretsListed = true, true
	for line := range strings.Lines(string(scenario.Comment)) {
		switch key, value, _ := strings.Cut(strings.TrimSpace(line), ": "); key {
		case "class":
			objects.LoadBalancerClass = value
		case "ignore-exclude-lb":
			objects.IgnoreExcludeLB = true
		case "endpoints":
			objects.EndpointSlicesListed = value != "unknown"
		case "secrets":
			objects.SecretsListed = value != "unknown"
		}
	}
	return text(cluster.Compile(objects))
}

func section(a *txtar.Archive, name string) string {
	for _, f := range a.Files {
		if f.Name == name {
			return string(f.Data)
		}
	}
	return ""
}

func writeWant(t *testing.T, file string, scenario *txtar.Archive, got string) {
	t.Helper()
	for i, f := range scenario.Files {
		if f.Name == "want.txt" {
			scenario.Files = append(scenario.Files[:i:i], scenario.Files[i+1:]...)
			break
		}
	}
	scenario.Files = append(scenario.Files, txtar.File{Name: "want.txt", Data: []byte(got)})
	if err := os.WriteFile(file, txtar.Format(scenario), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestMain(m *testing.M) {
	flag.Bool("update", false, "rewrite the expectations of the scenarios")
	flag.Parse()
	os.Exit(m.Run())
}
