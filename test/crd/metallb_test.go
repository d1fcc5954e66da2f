// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package crd

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// metallb is the release whose samples must be accepted, as a Go module.
const metallb = "go.universe.tf/metallb@v0.16.1"

// metallbSamples returns the manifests that MetalLB shows its users. They are not kept here, but
// read from MetalLB's own module, which go checks against its checksum database.
func metallbSamples(t *testing.T) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", metallb)
	cmd.Dir = t.TempDir() // outside of this module, which shall not depend on it
	out, err := cmd.Output()
	var module struct{ Dir, Error string }
	if jsonErr := json.Unmarshal(out, &module); jsonErr != nil || err != nil || module.Error != "" {
		t.Fatalf("download %s, which needs a network or a filled module cache: %v %s", metallb, err, module.Error)
	}
	paths, err := filepath.Glob(filepath.Join(module.Dir, "configsamples", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) != 18 {
		t.Errorf("%d samples in %s, want 18", len(paths), metallb)
	}
	return paths
}

// What MetalLB's users start from is accepted as it stands, each file by itself.
func TestMetalLBsSamplesAreAccepted(t *testing.T) {
	kinds := map[string]int{}
	for _, path := range metallbSamples(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			samples, err := objects(string(data))
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range samples {
				kinds[o.GetKind()]++
				accept(t, o)
			}
		})
	}
	for _, kind := range []string{"IPAddressPool", "L2Advertisement", "BGPAdvertisement", "BGPPeer", "BFDProfile", "Community"} {
		if kinds[kind] == 0 {
			t.Errorf("no sample of a %s", kind)
		}
	}
}

// accept stores an object of ours for the duration of a test, so that those after it are judged
// beside it; what is not ours is only validated. Unknown fields are mistakes.
func accept(t *testing.T, o *unstructured.Unstructured) {
	t.Helper()
	if o.GroupVersionKind().Group == "metallb.io" {
		expect(t, o, "") // strictly
		create(t, o)
		return
	}
	if o.GetNamespace() == "" {
		o.SetNamespace(metav1.NamespaceDefault) // as kubectl does
	}
	if !slices.Contains([]string{"Deployment", "Service"}, o.GetKind()) {
		t.Errorf("%s %s is of a kind that no sample had", o.GetKind(), o.GetName())
	}
	if err := dryCreate(t.Context(), o); err != nil {
		t.Errorf("%s %s: %v", o.GetKind(), o.GetName(), err)
	}
}
