// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"flag"
	"fmt"
	"strings"
)

// Flags is a flag set whose flags can also be set by environment and which answers flags of
// MetalLB that mean nothing here with an explanation instead of "not defined".
type Flags struct {
	*flag.FlagSet
	getenv  func(string) string
	fromEnv []envFlag
	ignored map[string]string
	// ignoredEnv are variables that have no effect here, and why.
	ignoredEnv []ignoredEnv
}

type envFlag struct{ flag, env string }

type ignoredEnv struct{ name, why string }

// NewFlags returns an empty set for a program. Getenv is os.Getenv outside of tests.
func NewFlags(program string, getenv func(string) string) *Flags {
	return &Flags{
		FlagSet: flag.NewFlagSet(program, flag.ContinueOnError),
		getenv:  getenv,
		ignored: map[string]string{},
	}
}

// Env lets an environment variable give the value of a flag that is absent from the command line.
func (f *Flags) Env(flagName, variable string) {
	f.fromEnv = append(f.fromEnv, envFlag{flagName, variable})
	if fl := f.Lookup(flagName); fl != nil {
		fl.Usage += fmt.Sprintf(" (environment: %s)", variable)
	}
}

// Ignore accepts a flag of MetalLB's that has no effect here; why is logged when it is used.
func (f *Flags) Ignore(name, why string) {
	f.ignored[name] = why
	f.Var(ignoredValue{}, name, "accepted and ignored: "+why)
}

// IgnoreEnv accepts an environment variable of MetalLB's that has no effect here; why is logged
// when it is set.
func (f *Flags) IgnoreEnv(variable, why string) {
	f.ignoredEnv = append(f.ignoredEnv, ignoredEnv{variable, why})
}

// Parse reads the command line and the environment, and returns one line for every flag and
// variable that was given and has no effect.
func (f *Flags) Parse(args []string) (notices []string, err error) {
	if err := f.parse(args); err != nil {
		return nil, err
	}
	given := map[string]bool{}
	f.Visit(func(fl *flag.Flag) {
		given[fl.Name] = true
		if why, ok := f.ignored[fl.Name]; ok {
			notices = append(notices, fmt.Sprintf("flag --%s has no effect: %s", fl.Name, why))
		}
	})
	for _, e := range f.ignoredEnv {
		if f.getenv(e.name) != "" {
			notices = append(notices, fmt.Sprintf("environment %s has no effect: %s", e.name, e.why))
		}
	}
	for _, e := range f.fromEnv {
		v := f.getenv(e.env)
		if v == "" || given[e.flag] {
			continue
		}
		if err := f.Set(e.flag, v); err != nil {
			return nil, fmt.Errorf("environment %s=%q: %w", e.env, v, err)
		}
	}
	return notices, nil
}

// parse reads the command line. The flag package ends at a word that is neither a flag nor the
// value of one; behind an ignored flag that word can only be its value.
func (f *Flags) parse(args []string) error {
	for {
		if err := f.FlagSet.Parse(args); err != nil {
			return err
		}
		left := f.NArg()
		if left == 0 {
			return nil
		}
		read := args[:len(args)-left]
		if len(read) == 0 || !f.ignores(read[len(read)-1]) {
			return fmt.Errorf("unexpected argument %q", f.Arg(0))
		}
		args = f.Args()[1:]
	}
}

// ignores says whether a word of the command line is an ignored flag, "-name" or "--name".
func (f *Flags) ignores(word string) bool {
	name, ok := strings.CutPrefix(word, "-")
	if !ok {
		return false
	}
	_, ignored := f.ignored[strings.TrimPrefix(name, "-")]
	return ignored
}

// ignoredValue takes any value, or none ("--flag", "--flag=x"); for "--flag x" see Flags.parse.
type ignoredValue struct{}

func (ignoredValue) Set(string) error { return nil }
func (ignoredValue) String() string   { return "" }

// IsBoolFlag lets "--flag" stand alone. MetalLB's manifests always write "--flag=value".
func (ignoredValue) IsBoolFlag() bool { return true }

// Require returns an error that names every flag without a value.
func (f *Flags) Require(names ...string) error {
	var missing []string
	for _, n := range names {
		if fl := f.Lookup(n); fl == nil || fl.Value.String() == "" {
			missing = append(missing, f.describe(n))
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("missing %s", strings.Join(missing, ", "))
	}
	return nil
}

func (f *Flags) describe(name string) string {
	for _, e := range f.fromEnv {
		if e.flag == name {
			return fmt.Sprintf("--%s (or %s)", name, e.env)
		}
	}
	return "--" + name
}
