// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"
)

// I8: the API server itself keeps one program from the fields of the other. What both may
// write are objects that each makes for itself, or that nobody stores.
func TestI8NoFieldHasTwoWriters(t *testing.T) {
	both := []string{"events", "tokenreviews", "subjectaccessreviews", "configurationstates", "configurationstates/status"}
	speaker := written(t, "speaker.yaml", "speaker-passwords.yaml")
	controller := written(t, "controller.yaml")
	for _, resource := range controller {
		if slices.Contains(speaker, resource) && !slices.Contains(both, resource) {
			t.Errorf("controller and speaker may both write %s", resource)
		}
	}
	for _, w := range []struct {
		who  string
		may  []string
		must string
	}{{"controller", controller, "services/status"}, {"speaker", speaker, "servicel2statuses/status"}} {
		if !slices.Contains(w.may, w.must) {
			t.Errorf("the %s may not write %s: is the reader of roles broken?", w.who, w.must)
		}
	}
}

// written returns the resources that the roles of some manifests let their holder write.
func written(t *testing.T, files ...string) (out []string) {
	t.Helper()
	for _, file := range files {
		data, err := os.ReadFile(filepath.Join("..", "..", "config", "rbac", file))
		if err != nil {
			t.Fatalf("read roles: %v", err)
		}
		for _, doc := range bytes.Split(data, []byte("\n---\n")) {
			var role rbacv1.ClusterRole // which has the rules where a Role has them
			if err := yaml.Unmarshal(doc, &role); err != nil {
				t.Fatalf("read %s: %v", file, err)
			}
			for _, r := range role.Rules {
				if slices.ContainsFunc(r.Verbs, func(verb string) bool { return !slices.Contains([]string{"get", "list", "watch"}, verb) }) {
					out = append(out, r.Resources...)
				}
			}
		}
	}
	return out
}

// ARCHITECTURE.md promises a test for each invariant, and tells how to run them.
func TestEveryInvariantHasATest(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "ARCHITECTURE.md"))
	if err != nil {
		t.Fatalf("read page: %v", err)
	}
	var tests []byte
	for _, p := range packages(t) {
		for _, name := range p.TestGoFiles {
			src, err := os.ReadFile(filepath.Join(p.Dir, name))
			if err != nil {
				t.Fatalf("read source: %v", err)
			}
			tests = append(tests, src...)
		}
	}
	invariants := regexp.MustCompile(`(?m)^\| (I[0-9]+) \|`).FindAllSubmatch(page, -1)
	if len(invariants) != 8 {
		t.Fatalf("%d invariants found, want 8", len(invariants))
	}
	for _, m := range invariants {
		if !bytes.Contains(tests, append([]byte("\nfunc Test"), m[1]...)) {
			t.Errorf("no test is named after %s", m[1])
		}
	}
}
