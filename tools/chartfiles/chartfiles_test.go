// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
)

func TestTheChartHasEverythingOfConfig(t *testing.T) {
	files, err := generate("../../config")
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for name, text := range files {
		folder, _, _ := strings.Cut(name, "/")
		count[folder]++
		if folder == "crds" && strings.Count(string(text), "helm.sh/resource-policy: keep") != 1 {
			t.Errorf("%s would go with the release", name)
		}
		// Templates put the release's namespace into policies, and its name into rules.
		if folder == "rules" && (strings.Contains(string(text), "- memberlist\n") || strings.Contains(string(text), "- controller\n")) {
			t.Errorf("%s names what is named after the release", name)
		}
	}
	if count["crds"] < 9 || count["admission-policies"] == 0 || count["rules"] < 5 || len(files["alerts.yaml"]) == 0 || len(files["excludel2.yaml"]) == 0 {
		t.Errorf("generated %v", count)
	}
}

func TestAMissingFolderIsAnError(t *testing.T) {
	if _, err := generate(t.TempDir()); err == nil {
		t.Error("no error")
	}
}
