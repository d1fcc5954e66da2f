// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Command package packs the Helm chart with the version of a release.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"

	"helm.sh/helm/v3/pkg/action"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintf(os.Stderr, "package: %v\n", err)
		os.Exit(1)
	}
}

func run() error {
	p := action.NewPackage()
	chart := flag.String("chart", "charts/clarion", "folder of the chart")
	version := flag.String("version", "dev", "version of the release, the tag of its images")
	flag.StringVar(&p.Destination, "out", "dist", "folder to write to")
	flag.Parse()
	p.AppVersion, p.Version = *version, chartVersion(*version)
	path, err := p.Run(*chart, nil)
	if err != nil {
		return fmt.Errorf("pack %s: %w", *chart, err)
	}
	fmt.Println(path)
	return nil
}

// chartVersion is the version of a release as Helm wants it, which is without "v" and a
// semantic version always.
func chartVersion(release string) string {
	v := strings.TrimPrefix(release, "v")
	if v == "" || v[0] < '0' || v[0] > '9' {
		return "0.0.0-" + release
	}
	return v
}
