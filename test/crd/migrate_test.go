// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package crd

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/clarion-lb/clarion/internal/migrate"
)

// What `kubectl clarion migrate` makes of each old configuration in its goldens can be applied
// as a whole.
func TestMigratedObjectsAreAccepted(t *testing.T) {
	files, err := filepath.Glob("../../internal/migrate/testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]bool{}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			golden, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			result, problems := migrate.Translate(golden.Files[0].Data, namespace)
			text, err := result.YAML()
			if err != nil {
				t.Fatal(err)
			}
			if !migrate.Complete(problems) {
				return // nothing to apply; the golden says why
			}
			made, err := objects(string(text))
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range made {
				kinds[o.GetKind()] = true
				create(t, o)
			}
		})
	}
	for _, kind := range []string{"IPAddressPool", "L2Advertisement", "BGPAdvertisement", "BGPPeer", "BFDProfile", "Community"} {
		if !kinds[kind] {
			t.Errorf("no golden makes a %s", kind)
		}
	}
}
