// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// object is what is checked of each.
type object struct {
	Kind     string
	Metadata struct{ Name, Namespace string }
	Spec     struct {
		Template struct {
			Spec struct {
				Containers []struct {
					Image           string
					SecurityContext struct {
						Capabilities struct{ Add []string }
					}
				}
			}
		}
	}
}

func rendered(t *testing.T, folder string) []object {
	t.Helper()
	text, err := render("../../config/"+folder, "registry.example.com/clarion", "v1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	var all []object
	for doc := range strings.SplitSeq(string(text), "\n---\n") {
		var o object
		if err := yaml.Unmarshal([]byte(doc), &o); err != nil {
			t.Fatal(err)
		}
		all = append(all, o)
	}
	return all
}

func TestTheInstallNamesTheImagesOfTheRelease(t *testing.T) {
	want := map[string]string{
		"Deployment": "registry.example.com/clarion/clarion-controller:v1.2.3",
		"DaemonSet":  "registry.example.com/clarion/clarion-speaker:v1.2.3",
	}
	for _, o := range rendered(t, "native") {
		for _, c := range o.Spec.Template.Spec.Containers {
			if c.Image != want[o.Kind] {
				t.Errorf("%s %s runs %s", o.Kind, o.Metadata.Name, c.Image)
			}
			delete(want, o.Kind)
		}
	}
	if len(want) > 0 {
		t.Errorf("nothing runs %v", want)
	}
}

func TestWhatOthersNeedComesFirst(t *testing.T) {
	last := map[string]int{}
	first := map[string]int{}
	for i, o := range rendered(t, "native") {
		last[o.Kind] = i
		if _, ok := first[o.Kind]; !ok {
			first[o.Kind] = i
		}
	}
	for _, pair := range [][2]string{
		{"Namespace", "ServiceAccount"}, {"CustomResourceDefinition", "ValidatingAdmissionPolicy"},
		{"ServiceAccount", "Deployment"}, {"ConfigMap", "DaemonSet"}, {"RoleBinding", "Deployment"},
	} {
		if last[pair[0]] > first[pair[1]] {
			t.Errorf("a %s comes after a %s", pair[0], pair[1])
		}
	}
}

func TestEveryFolderRendersInTheNamespace(t *testing.T) {
	cluster := map[string]bool{
		"Namespace": true, "CustomResourceDefinition": true, "ClusterRole": true, "ClusterRoleBinding": true,
		"ValidatingAdmissionPolicy": true, "ValidatingAdmissionPolicyBinding": true,
	}
	for folder := range files() {
		for _, o := range rendered(t, folder) {
			if (o.Metadata.Namespace == "metallb-system") == cluster[o.Kind] {
				t.Errorf("%s: %s %s is in namespace %q", folder, o.Kind, o.Metadata.Name, o.Metadata.Namespace)
			}
		}
	}
}

// overlay makes a kustomization, of %s for config/, and returns its folder.
func overlay(t *testing.T, format string) string {
	t.Helper()
	dir := t.TempDir()
	config, err := filepath.Abs("../../config")
	if err != nil {
		t.Fatal(err)
	}
	relative, err := filepath.Rel(dir, config)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(format, "%s", relative)
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// The kustomization for another namespace is that of docs/install.md.
func TestAnotherNamespaceIsNamedEverywhere(t *testing.T) {
	page, err := os.ReadFile("../../docs/install.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(page), "```kustomization\n")
	text, _, _ = strings.Cut(text, "```")
	if !found || !strings.Contains(text, "path/to/config") {
		t.Fatalf("docs/install.md has no kustomization: %q", text)
	}
	out, err := render(overlay(t, strings.ReplaceAll(text, "path/to/config", "%s")), "", "dev")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "metallb-system") && !strings.Contains(line, "name: metallb-system:") { // of ClusterRoles
			t.Errorf("left of the other namespace: %s", strings.TrimSpace(line))
		}
	}
	if n := strings.Count(string(out), "namespace: lb\n"); n < 10 || !strings.Contains(string(out), "name: lb\n") {
		t.Errorf("%d objects are in namespace lb", n)
	}
}
