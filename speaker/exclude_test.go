// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"sigs.k8s.io/yaml"
)

func TestExcludedInterfaces(t *testing.T) {
	folder := t.TempDir()
	if got, err := readExcludedInterfaces(filepath.Join(folder, "none")); err != nil || got != nil {
		t.Errorf("without a file: %q, %v; want nil, which stands for the defaults", got, err)
	}
	for text, want := range map[string][]string{
		"announcedInterfacesToExclude:\n- ^veth.*\n- ^lo$\n": {"^veth.*", "^lo$"},
		"announcedInterfacesToExclude: []\n":                 {},
		"":                                                   {},
	} {
		path := filepath.Join(folder, "excludel2.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := readExcludedInterfaces(path); err != nil || got == nil || !slices.Equal(got, want) {
			t.Errorf("%q: %#v, %v; want %q", text, got, err, want)
		}
	}
}

// A file that is there never counts as none: the defaults exclude what it may not.
func FuzzParseExcludedInterfaces(f *testing.F) {
	f.Add([]byte("announcedInterfacesToExclude:\n- ^veth.*\n- ^lo$\n"))
	f.Add([]byte("announcedInterfacesToExclude: null"))
	f.Add([]byte("announcedInterfacesToExclude: [1, ~, \"[\"]"))
	f.Add([]byte("announcedinterfacestoexclude: [a]\nother: {}"))
	f.Add([]byte("a: &a [*a]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := parseExcludedInterfaces(data)
		if err != nil {
			return
		}
		if got == nil {
			t.Fatal("a file was read as no file")
		}
		text, err := yaml.Marshal(map[string][]string{"announcedInterfacesToExclude": got})
		if err != nil {
			t.Fatal(err)
		}
		if again, err := parseExcludedInterfaces(text); err != nil || !slices.Equal(again, got) {
			t.Errorf("%q written down is %q, %v", got, again, err)
		}
	})
}
