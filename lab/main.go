// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	name := filepath.Base(os.Args[0])
	if run, ok := components()[name]; ok {
		os.Exit(run())
	}
	fmt.Fprintln(os.Stderr, "lab: not yet")
	os.Exit(2)
}
