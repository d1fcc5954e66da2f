// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kubelet

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/clarion-lb/clarion/lab/internal/pod"
)

func TestPublishReplacesAllFilesInOneStep(t *testing.T) {
	dir := t.TempDir()
	me := owner{os.Getuid(), os.Getgid()}
	write := func(files map[string]pod.File) {
		t.Helper()
		if err := publish(dir, files, me); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(name, want string) {
		t.Helper()
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v, want %q", name, b, err, want)
		}
	}
	write(map[string]pod.File{"a": {Data: []byte("1"), Mode: 0o600}, "sub/b": {Data: []byte("2"), Mode: 0o644}})
	expect("a", "1")
	expect("sub/b", "2")
	before, _ := os.Readlink(filepath.Join(dir, dataLink))
	write(map[string]pod.File{"a": {Data: []byte("1"), Mode: 0o600}, "sub/b": {Data: []byte("2"), Mode: 0o644}})
	if after, _ := os.Readlink(filepath.Join(dir, dataLink)); after != before {
		t.Error("the same files were published again")
	}
	write(map[string]pod.File{"a": {Data: []byte("3"), Mode: 0o600}})
	expect("a", "3")
	if _, err := os.Lstat(filepath.Join(dir, "sub")); !os.IsNotExist(err) {
		t.Errorf("a removed file's name is still there: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, before)); !os.IsNotExist(err) {
		t.Errorf("the old generation is still there: %v", err)
	}
	write(nil)
	if _, err := os.Lstat(filepath.Join(dir, "a")); !os.IsNotExist(err) {
		t.Errorf("an emptied volume still holds a file: %v", err)
	}
}
