// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Command lab runs a real Kubernetes cluster on one Linux machine. The nodes
// are network namespaces; etcd, the Kubernetes programs, kubectl and the
// hollow kubelet are all inside this one binary and are chosen by argv[0].
package main

import (
	_ "embed"
	"os"
	"path/filepath"

	"github.com/clarion-lb/clarion/lab/internal/cli"
)

//go:embed debian-packages.txt
var packages string

func main() {
	if run, ok := programs()[filepath.Base(os.Args[0])]; ok {
		os.Exit(run())
	}
	os.Exit(cli.Run(packages))
}
