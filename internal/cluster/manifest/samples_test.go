// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/clarion-lb/clarion/internal/cluster"
)

// The samples that Clarion ships, which have the shapes of MetalLB's, are all used, with nothing
// left out. That the API server takes them is tested in test/crd.
func TestSamplesAreUnderstood(t *testing.T) {
	files, err := filepath.Glob("../../../config/samples/*.yaml")
	if err != nil || len(files) < 18 {
		t.Fatalf("%d samples, error %v", len(files), err)
	}
	var all [][]byte
	for _, name := range files {
		if filepath.Base(name) != "kustomization.yaml" {
			all = append(all, readFile(t, name))
		}
	}
	understood(t, bytes.Join(all, []byte("\n---\n")))
}

// What helm installed and kubectl printed carries labels, annotations, statuses and the server's
// own metadata. They change nothing.
func TestInstalledObjectsAreUnderstood(t *testing.T) {
	understood(t, readFile(t, "testdata/installed.yaml"))
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// understood expects that everything in a file is used as it is.
func understood(t *testing.T, data []byte) {
	t.Helper()
	o, ignored, err := Read(data)
	if err != nil || ignored > 0 {
		t.Fatalf("ignored %d, error %v", ignored, err)
	}
	o.SecretsListed = true
	for _, secret := range o.Secrets { // as the API server does
		secret.Data = map[string][]byte{}
		for k, v := range secret.StringData {
			secret.Data[k] = []byte(v)
		}
	}
	s, problems := cluster.Compile(o)
	for _, p := range problems {
		if p.Field == "spec.holdTime" && !p.Ignored {
			continue // 0s is used as MetalLB's default, which its user is told
		}
		t.Errorf("%s %s %s: %s", p.Kind, p.Object, p.Field, p.Message)
	}
	for what, n := range map[string][2]int{
		"pools": {len(o.Pools), len(s.Pools)}, "layer-2 advertisements": {len(o.L2Advertisements), len(s.L2)},
		"BGP advertisements": {len(o.BGPAdvertisements), len(s.BGP)}, "peers": {len(o.BGPPeers), len(s.Peers)},
	} {
		if n[0] == 0 || n[0] != n[1] {
			t.Errorf("of %d %s %d are used", n[0], what, n[1])
		}
	}
}
