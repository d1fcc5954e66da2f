// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Longer files have always had a second subject in them.
const (
	maxLines     = 500
	maxTestLines = 800
)

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	for _, p := range packages(t) {
		if len(p.GoFiles) > 0 && p.Doc == "" {
			t.Errorf("%s has no package comment: say what it decides and what it does not", p.ImportPath)
		}
	}
}

func TestFilesFitInAHead(t *testing.T) {
	for _, p := range packages(t) {
		for _, name := range p.GoFiles {
			checkLength(t, filepath.Join(p.Dir, name), maxLines)
		}
		for _, name := range p.TestGoFiles {
			checkLength(t, filepath.Join(p.Dir, name), maxTestLines)
		}
	}
}

func checkLength(t *testing.T, path string, limit int) {
	t.Helper()
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("read source: %v", err)
	}
	if bytes.Contains(src, []byte("// Code generated")) {
		return
	}
	if n := bytes.Count(src, []byte("\n")); n > limit {
		t.Errorf("%s has %d lines, the limit is %d: find its second subject and give it a file", path, n, limit)
	}
}

func TestEverySourceFileNamesItsLicence(t *testing.T) {
	for _, p := range packages(t) {
		for _, name := range append(p.GoFiles, p.TestGoFiles...) {
			src, err := os.ReadFile(filepath.Join(p.Dir, name))
			if err != nil {
				t.Fatalf("read source: %v", err)
			}
			head, _, _ := strings.Cut(string(src), "\npackage ")
			if !strings.Contains(head, "SPDX-License-Identifier: Apache-2.0") && !strings.Contains(head, "Code generated") {
				t.Errorf("%s/%s has no SPDX line", p.rel(), name)
			}
		}
	}
}
