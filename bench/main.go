// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Command bench runs one named benchmark on a lab cluster, against any controller and speaker
// that speak the MetalLB API, prints a table and writes bench/out/NAME.json.
//
// What is installed, and with which flags, comes from a profile: a YAML file that names the
// manifests. The binaries come from -controller and -speaker, so that two versions, or two
// implementations, are measured by the same program on the same machine.
package main

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/clarion-lb/clarion/internal/labctl"
)

// benchmark measures something. It returns the figures it has, also with an error.
type benchmark func(ctx context.Context, e *env) ([]Result, error)

func benchmarks() map[string]benchmark {
	return map[string]benchmark{"alloc": benchAlloc, "bgp": benchBGP, "l2": benchL2, "plan": benchPlan}
}

// env is what a benchmark runs with.
type env struct {
	lab                 labctl.Lab
	controller, speaker string
	profile             profile
	runs                int
	faults              []string      // of l2; empty: all
	settle              time.Duration // of l2: how long a fault is watched
	family              l2Family
	sizes               []int
	creations, routes   int
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	do := func() error { return run(ctx, os.Args[1:]) }
	if len(os.Args) > 1 && os.Args[1] == askVerb {
		do = func() error { return ask(ctx, os.Args[2:]) }
	}
	if err := do(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	names := slices.Sorted(maps.Keys(benchmarks()))
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.Usage = func() {
		fmt.Fprintf(f.Output(), "usage: bench [flags] %s\n", strings.Join(names, "|"))
		f.PrintDefaults()
	}
	controller := f.String("controller", "bin/controller", "controller to measure")
	speaker := f.String("speaker", "bin/speaker", "speaker to measure")
	profilePath := f.String("profile", "", "what to install; default: bench/profiles/clarion.yaml")
	runs := f.Int("runs", 5, "runs of each fault; 20 for figures to compare (bgp, l2)")
	creations := f.Int("creations", 200, "Services created one at a time (bgp)")
	routes := f.Int("routes", 10_000, "routes of one node (bgp)")
	faults := f.String("faults", "", "faults to measure, comma separated; other results in the JSON file are kept (l2); default: all")
	family := f.String("family", "ipv4", "family of the addresses, ipv4 or ipv6; results of the other one in the JSON file are kept (l2)")
	settle := f.Duration("settle", 3*time.Second, "how long to watch after each fault; more for implementations that need more (l2)")
	sizes := f.String("sizes", "1000,5000,20000", "backlogs of Services, comma separated (alloc)")
	if err := f.Parse(args); err != nil {
		return err
	}
	measure, ok := benchmarks()[f.Arg(0)]
	if !ok || f.NArg() != 1 {
		f.Usage()
		return fmt.Errorf("name one benchmark: %s", strings.Join(names, ", "))
	}
	e, err := newEnv(*controller, *speaker, *profilePath, *sizes)
	if err != nil {
		return err
	}
	e.runs, e.creations, e.routes, e.settle = *runs, *creations, *routes, *settle
	if e.family, ok = l2Families()[*family]; !ok {
		return fmt.Errorf("family %q is neither ipv4 nor ipv6", *family)
	}
	merge := *faults != "" || *family != "ipv4"
	if *faults != "" {
		e.faults = strings.Split(*faults, ",")
	}
	results, err := measure(ctx, e)
	if err := printTable(os.Stdout, results); err != nil {
		return err
	}
	if len(results) > 0 {
		path, err := writeJSON(filepath.Join(e.lab.Root, "bench", "out"), f.Arg(0), results, merge)
		if err != nil {
			return err
		}
		fmt.Println("written to", path)
	}
	return err
}

func newEnv(controller, speaker, profilePath, sizes string) (*env, error) {
	lab, err := labctl.Open("bench", os.Stdout)
	if err != nil {
		return nil, err
	}
	e := &env{lab: lab, controller: controller, speaker: speaker}
	if profilePath == "" {
		profilePath = filepath.Join(lab.Root, "bench", "profiles", "clarion.yaml")
	}
	if e.profile, err = readProfile(profilePath); err != nil {
		return nil, err
	}
	for s := range strings.SplitSeq(sizes, ",") {
		var n int
		if _, err := fmt.Sscan(s, &n); err != nil || n < 1 {
			return nil, fmt.Errorf("size %q is no positive number", s)
		}
		e.sizes = append(e.sizes, n)
	}
	return e, nil
}
