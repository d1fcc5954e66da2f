// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const oldConfig = "address-pools: [{name: a, protocol: layer2, addresses: [192.0.2.0/24]}]"

// runPlugin runs the command line as a user would, without a cluster.
func runPlugin(t *testing.T, stdin string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	var out, errs bytes.Buffer
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(&out)
	root.SetErr(&errs)
	err = root.ExecuteContext(t.Context())
	return out.String(), errs.String(), err
}

func TestMigrateReadsFileAndStandardInput(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(oldConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	fromFile, _, err := runPlugin(t, "", "migrate", "-f", file, "-n", "lb")
	if err != nil {
		t.Fatal(err)
	}
	fromInput, _, err := runPlugin(t, oldConfig, "migrate", "-f", "-", "-n", "lb", "-o", "yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"kind: IPAddressPool", "kind: L2Advertisement", "namespace: lb"} {
		if !strings.Contains(fromFile, want) {
			t.Errorf("no %q in\n%s", want, fromFile)
		}
	}
	if fromFile != fromInput {
		t.Errorf("standard input gives\n%s", fromInput)
	}
}

func TestMigrateSaysWhatItCannotTranslate(t *testing.T) {
	stdout, stderr, err := runPlugin(t, strings.Replace(oldConfig, "layer2", "ospf", 1), "migrate", "-f", "-")
	if err == nil || stdout != "" {
		t.Errorf("printed %q, error %v", stdout, err)
	}
	if want := `cannot translate: address-pools[0] ("a"): protocol: ospf is neither layer2 nor bgp`; !strings.Contains(stderr, want) {
		t.Errorf("said %q, want %q in it", stderr, want)
	}
}

func TestMigrateNamesWhatIsWrongWithTheCommand(t *testing.T) {
	for want, args := range map[string][]string{
		"use yaml":                    {"migrate", "-f", "-", "-o", "json"},
		"read configuration":          {"migrate", "-f", "/does/not/exist"},
		"--configmap and --namespace": {"migrate", "--server", "http://127.0.0.1:1"},
		`unknown command "file"`:      {"migrate", "file"},
	} {
		if _, _, err := runPlugin(t, oldConfig, args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: error %v, want %q", args, err, want)
		}
	}
}
