// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"slices"
	"strings"
	"testing"
)

func TestFlags(t *testing.T) {
	env := map[string]string{"NAME": "from-env", "PORT": "7", "BAD": "x"}
	define := func() (*Flags, *string, *int) {
		f := NewFlags("test", func(k string) string { return env[k] })
		name, port := f.String("name", "", "a name"), f.Int("port", 1, "a port")
		f.Env("name", "NAME")
		f.Env("port", "PORT")
		f.Ignore("old", "it was never needed")
		return f, name, port
	}
	t.Run("the command line wins over the environment", func(t *testing.T) {
		f, name, port := define()
		if _, err := f.Parse([]string{"--name=from-line"}); err != nil {
			t.Fatal(err)
		}
		if *name != "from-line" || *port != 7 {
			t.Errorf("name %q, port %d", *name, *port)
		}
	})
	t.Run("an ignored flag is answered with the reason", func(t *testing.T) {
		f, _, _ := define()
		notices, err := f.Parse([]string{"--old=3", "--name", "x"})
		if err != nil || !slices.Equal(notices, []string{"flag --old has no effect: it was never needed"}) {
			t.Errorf("%q, %v", notices, err)
		}
	})
	t.Run("the value of an ignored flag may be a word of its own", func(t *testing.T) {
		f, name, _ := define()
		notices, err := f.Parse([]string{"--old", "enabled", "-old", "3", "--name", "x", "--old"})
		if err != nil || len(notices) != 1 || *name != "x" {
			t.Errorf("name %q, notices %q, %v", *name, notices, err)
		}
		for _, args := range [][]string{{"--old", "a", "b"}, {"--old=a", "b"}, {"--", "b"}, {"--name", "x", "b"}} {
			f, _, _ := define()
			if _, err := f.Parse(args); err == nil || !strings.Contains(err.Error(), args[len(args)-1]) {
				t.Errorf("%q: got %v, want an error that names the last word", args, err)
			}
		}
	})
	t.Run("a bad value in the environment names the variable", func(t *testing.T) {
		f, _, _ := define()
		f.Env("port", "BAD")
		if _, err := f.Parse(nil); err == nil || !strings.Contains(err.Error(), `BAD="x"`) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("arguments without a flag are refused", func(t *testing.T) {
		f, _, _ := define()
		if _, err := f.Parse([]string{"surplus"}); err == nil {
			t.Error("accepted")
		}
	})
	t.Run("a missing flag is named with its variable", func(t *testing.T) {
		env["NAME"] = ""
		f, _, _ := define()
		if _, err := f.Parse(nil); err != nil {
			t.Fatal(err)
		}
		if err := f.Require("name"); err == nil || !strings.Contains(err.Error(), "--name (or NAME)") {
			t.Errorf("got %v", err)
		}
	})
}
