// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestLicencesAreKnownByTheirTexts(t *testing.T) {
	mine, err := os.ReadFile("../../LICENSE")
	if err != nil {
		t.Fatal(err)
	}
	const isc = `Copyright (c) 2020 Somebody

Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby
granted, provided that the above copyright notice and this permission notice appear in all copies.

THE SOFTWARE IS PROVIDED "AS IS" AND THE AUTHOR DISCLAIMS ALL WARRANTIES WITH REGARD TO THIS SOFTWARE INCLUDING ALL
IMPLIED WARRANTIES OF MERCHANTABILITY AND FITNESS. IN NO EVENT SHALL THE AUTHOR BE LIABLE FOR ANY SPECIAL, DIRECT,
INDIRECT, OR CONSEQUENTIAL DAMAGES OR ANY DAMAGES WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS, WHETHER IN AN
ACTION OF CONTRACT, NEGLIGENCE OR OTHER TORTIOUS ACTION, ARISING OUT OF OR IN CONNECTION WITH THE USE OR PERFORMANCE OF
THIS SOFTWARE.
`
	c, err := newClassifier()
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []struct {
		name  string
		files map[string]string
		want  []string // nil: refused
	}{
		{"at the top", map[string]string{"LICENSE": string(mine)}, []string{"Apache-2.0"}},
		{"of a part that is linked", map[string]string{"LICENSE": string(mine), "part/COPYING.md": isc}, []string{"Apache-2.0", "ISC"}},
		{"of a part that is not linked", map[string]string{"LICENSE": string(mine), "other/LICENSE": isc}, []string{"Apache-2.0"}},
		{"none", map[string]string{"README": "free to use"}, nil},
		{"one that is no text of a licence", map[string]string{"LICENSE": "ask me"}, nil},
	} {
		t.Run(k.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range k.files {
				path := filepath.Join(dir, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			m := module{Path: "example.org/m", Version: "v1.0.0", Dir: dir, dirs: map[string]bool{dir: true, filepath.Join(dir, "part"): true}}
			err := c.classify(&m)
			if k.want == nil && err == nil || k.want != nil && (err != nil || !slices.Equal(m.licences, k.want)) {
				t.Errorf("got %v (%v), want %v", m.licences, err, k.want)
			}
		})
	}
}

func TestNoticesHoldEveryText(t *testing.T) {
	got := text([]module{{Path: "example.org/m", Version: "v1.0.0", licences: []string{"MIT"}, files: []licenceFile{{"LICENSE", []byte("be nice")}}}})
	for _, want := range []string{"example.org/m v1.0.0 (MIT)", "be nice"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in %q", want, got)
		}
	}
}

func TestTheUnionHasWhatAnyPlatformLinks(t *testing.T) {
	m := func(path string, dirs ...string) module {
		out := module{Path: path, dirs: map[string]bool{}}
		for _, d := range dirs {
			out.dirs[d] = true
		}
		return out
	}
	got := union([]module{m("b", "b", "b/linux"), m("a", "a")}, []module{m("b", "b", "b/windows"), m("c", "c")})
	var text []string
	for _, m := range got {
		text = append(text, m.Path+": "+strings.Join(slices.Sorted(maps.Keys(m.dirs)), " "))
	}
	if want := []string{"a: a", "b: b b/linux b/windows", "c: c"}; !slices.Equal(text, want) {
		t.Errorf("got %q, want %q", text, want)
	}
}
