// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Command licenses finds the licences of all Go modules that are linked into programs on any of
// some platforms, fails if one has none or one that is not on the list, and writes their texts into
// one file, which whoever passes the programs on has to pass on as well.
package main

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// allowed are the licences of what may be linked, each with what it asks of us.
func allowed() map[string]string {
	return map[string]string{
		"Apache-2.0":   "the text and its notices travel with the programs",
		"BSD-2-Clause": "the text travels with the programs",
		"BSD-3-Clause": "the text travels with the programs",
		"ISC":          "the text travels with the programs",
		"MIT":          "the text travels with the programs",
		"MPL-2.0":      "files under it stay unmodified, and the text says where they are: in the module of that version",
	}
}

func main() {
	if err := run(os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(os.Stderr, "licenses: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	f := flag.NewFlagSet("licenses", flag.ContinueOnError)
	dir := f.String("C", ".", "folder of the module that the programs are in")
	notices := f.String("notices", "", "file to write the texts to")
	if err := f.Parse(args); err != nil {
		return err
	}
	var modules []module
	for _, arg := range f.Args() {
		platforms, programs, ok := strings.Cut(arg, "=")
		if !ok {
			return fmt.Errorf("%q is not of the form linux/amd64,linux/arm/v7=./program,./other", arg)
		}
		for _, platform := range strings.Split(platforms, ",") {
			more, err := linked(*dir, platform, strings.Split(programs, ","))
			if err != nil {
				return err
			}
			modules = union(modules, more)
		}
	}
	std, err := standardLibrary()
	if err != nil {
		return err
	}
	modules = union(modules, []module{std})
	c, err := newClassifier()
	if err != nil {
		return err
	}
	var problems []error
	count := map[string]int{}
	for i := range modules {
		m := &modules[i]
		if err := c.classify(m); err != nil {
			problems = append(problems, err)
			continue
		}
		for _, l := range m.licences {
			count[l]++
			if allowed()[l] == "" {
				problems = append(problems, fmt.Errorf("%s is under %s, which is not on the list", m.Path, l))
			}
		}
	}
	if err := errors.Join(problems...); err != nil {
		return err
	}
	for _, l := range slices.Sorted(maps.Keys(count)) {
		fmt.Printf("%4d modules under %s\n", count[l], l)
	}
	if *notices == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(*notices), 0o755); err != nil { //nolint:gosec // no secret
		return fmt.Errorf("make folder: %w", err)
	}
	if err := os.WriteFile(*notices, []byte(text(modules)), 0o644); err != nil { //nolint:gosec // no secret
		return fmt.Errorf("write notices: %w", err)
	}
	return nil
}

// text is everything that the authors want to be passed on.
func text(modules []module) string {
	var b strings.Builder
	b.WriteString("What is linked into the programs of Clarion beside its own code, and under which licence.\n")
	for _, m := range modules {
		fmt.Fprintf(&b, "\n%s\n%s %s (%s)\n", strings.Repeat("=", 80), m.Path, m.Version, strings.Join(m.licences, ", "))
		for _, file := range m.files {
			fmt.Fprintf(&b, "\n%s\n\n%s\n", strings.Repeat("-", 80), strings.TrimSpace(string(file.text)))
		}
	}
	return b.String()
}
