// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
)

// Result is one figure of a benchmark, as it stands in bench/out/NAME.json.
type Result struct {
	Name   string  `json:"name"`
	Value  float64 `json:"value"`
	Unit   string  `json:"unit"`
	Target float64 `json:"target"` // 0: no target, the figure is there to compare with
	Better Better  `json:"better"`
}

// Better says in which direction a figure improves.
type Better string

// The values of Better.
const (
	Lower  Better = "lower"
	Higher Better = "higher"
)

// verdict says in words whether the target is met.
func (r Result) verdict() string {
	switch {
	case r.Target == 0:
		return ""
	case r.Better == Lower && r.Value <= r.Target, r.Better == Higher && r.Value >= r.Target:
		return "met"
	default:
		return "MISSED"
	}
}

func printTable(w io.Writer, results []Result) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tVALUE\tUNIT\tTARGET\t")
	for _, r := range results {
		target := "-"
		if r.Target != 0 {
			target = map[Better]string{Lower: "<= ", Higher: ">= "}[r.Better] + fmt.Sprintf("%.4g", r.Target)
		}
		fmt.Fprintf(t, "%s\t%.4g\t%s\t%s\t%s\n", r.Name, r.Value, r.Unit, target, r.verdict())
	}
	return t.Flush()
}

// writeJSON writes dir/name.json. With merge, results of other names that are there stay.
func writeJSON(dir, name string, results []Result, merge bool) (string, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", fmt.Errorf("make folder for results: %w", err)
	}
	if merge {
		old, err := readJSON(filepath.Join(dir, name+".json"))
		if err != nil {
			return "", err
		}
		results = append(slices.DeleteFunc(old, func(o Result) bool {
			return slices.ContainsFunc(results, func(r Result) bool { return r.Name == o.Name })
		}), results...)
	}
	data, err := json.MarshalIndent(results, "", "  ")
	if err != nil {
		return "", fmt.Errorf("encode results: %w", err)
	}
	path := filepath.Join(dir, name+".json")
	if err := os.WriteFile(path, append(data, '\n'), 0o600); err != nil {
		return "", fmt.Errorf("write results: %w", err)
	}
	return path, nil
}

// readJSON returns the results in a file, none if it does not exist.
func readJSON(path string) ([]Result, error) {
	data, err := os.ReadFile(path) //nolint:gosec // the path is the benchmark's own
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read results: %w", err)
	}
	var out []Result
	if err := json.Unmarshal(data, &out); err != nil {
		return nil, fmt.Errorf("read results from %s: %w", path, err)
	}
	return out, nil
}
