// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"slices"
	"strings"
	"testing"
)

func TestOwnFlagsAreTakenOnlyFromTheBeginning(t *testing.T) {
	for _, tc := range []struct {
		args, rest, name string
		bad              bool
	}{
		{args: "get pods -n x", rest: "get pods -n x", name: "clarion"},
		{args: "-n x get pods --name y", rest: "-n x get pods --name y", name: "clarion"},
		{args: "--name a n1 -- ip", rest: "n1 -- ip", name: "a"},
		{args: "--name=a --state-dir /s -- get", rest: "-- get", name: "a"},
		{args: "--name", bad: true},
		{args: "--name NO get", bad: true},
	} {
		a := &app{name: "clarion"}
		rest, err := a.ownFlags(strings.Fields(tc.args))
		if (err != nil) != tc.bad {
			t.Errorf("%s: error %v, want error = %v", tc.args, err, tc.bad)
			continue
		}
		if !tc.bad && (!slices.Equal(rest, strings.Fields(tc.rest)) || a.name != tc.name) {
			t.Errorf("%s: rest %q, name %q, want %q, %q", tc.args, rest, a.name, tc.rest, tc.name)
		}
	}
}

func TestCheckToolsNamesThePackage(t *testing.T) {
	err := checkTools("coreutils # sh: there\nsome-package # no-such-tool-here: why\n# a comment\n")
	if err == nil || !strings.Contains(err.Error(), "no-such-tool-here") || !strings.HasSuffix(err.Error(), " some-package") {
		t.Errorf("error %v does not name the tool and its package", err)
	}
	if err := checkTools("coreutils # sh: there\n"); err != nil {
		t.Errorf("nothing is missing: %v", err)
	}
}

func TestParseImages(t *testing.T) {
	for _, bad := range []string{"x", "x=", "=/bin/sh", "x=/no/such/file", "x=/etc", "x=/etc/passwd"} {
		if _, err := parseImages([]string{bad}); err == nil {
			t.Errorf("parseImages(%q): want an error", bad)
		}
	}
	got, err := parseImages([]string{"a=/bin/sh", "@speaker=/bin/ls"})
	if err != nil || got["a"] != "/bin/sh" || got["@speaker"] != "/bin/ls" {
		t.Errorf("parseImages = %v, %v", got, err)
	}
}
