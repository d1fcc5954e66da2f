// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package migrate_test

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
	"github.com/clarion-lb/clarion/internal/lb"
	"github.com/clarion-lb/clarion/internal/migrate"
)

func TestMain(m *testing.M) {
	flag.Bool("update", false, "rewrite the expectations")
	flag.Parse()
	os.Exit(m.Run())
}

func translate(t *testing.T, input []byte) (string, []migrate.Problem) {
	t.Helper()
	result, problems := migrate.Translate(input, "metallb-system")
	text, err := result.YAML()
	if err != nil {
		t.Fatal(err)
	}
	return string(text), problems
}

func list(problems []migrate.Problem) string {
	var b strings.Builder
	for _, p := range problems {
		b.WriteString(map[bool]string{true: "note: ", false: "rejected: "}[p.Note] + p.String() + "\n")
	}
	return b.String()
}

// TestGoldens translates the input.yaml of each testdata file and compares with want.yaml and
// problems.txt. "go test ./internal/migrate -update" rewrites them.
func TestGoldens(t *testing.T) {
	update := flag.Lookup("update").Value.String() == "true"
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("find goldens: %v, %d files", err, len(files))
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			golden, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			text, problems := translate(t, golden.Files[0].Data)
			got := &txtar.Archive{Comment: golden.Comment, Files: []txtar.File{golden.Files[0]}}
			for _, f := range []txtar.File{{Name: "want.yaml", Data: []byte(text)}, {Name: "problems.txt", Data: []byte(list(problems))}} {
				if len(f.Data) > 0 {
					got.Files = append(got.Files, f)
				}
			}
			if update {
				if err := os.WriteFile(file, txtar.Format(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(txtar.Format(golden)), string(txtar.Format(got))); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
			if migrate.Complete(problems) {
				checkMeaning(t, text)
			}
		})
	}
}

// checkMeaning compiles what was written as Clarion will. Nothing may be ignored, and nothing
// found fault with.
func checkMeaning(t *testing.T, text string) lb.Snapshot {
	t.Helper()
	objects, ignored, err := manifest.Read([]byte(text))
	if err != nil || ignored > 0 {
		t.Fatalf("read the result: %v, %d unknown objects in\n%s", err, ignored, text)
	}
	snapshot, problems := cluster.Compile(objects)
	for _, p := range problems {
		t.Errorf("compile the result: %s %s: %s: %s", p.Kind, p.Object, p.Field, p.Message)
	}
	return snapshot
}
