// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Package metricdoc holds the metrics of a program against the tables of docs/metrics.md, for the
// programs' tests. It does not ask a running program.
package metricdoc

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// row is a line of a table: name, type, labels, programs.
var row = regexp.MustCompile("(?m)^\\| `((?:metallb|clarion)_[a-z0-9_]+)` \\| (gauge|counter) \\| ([a-z, ]*?) ?\\| (controller|speaker|both) \\|")

// description is what a description prints; its fields are not exported.
var description = regexp.MustCompile(`fqName: "([a-z0-9_]+)".*variableLabels: \{([a-z,]*)\}`)

// Compare says what the page tells of a program (controller or speaker) and the collector does not
// describe, and the other way round: names and labels.
func Compare(page, program string, c prometheus.Collector) error {
	text, err := os.ReadFile(page) //nolint:gosec // a test names it
	if err != nil {
		return fmt.Errorf("read the list of metrics: %w", err)
	}
	written := map[string]string{} // labels by name
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		if m[4] == program || m[4] == "both" {
			written[m[1]] = strings.ReplaceAll(m[3], " ", "")
		}
	}
	described, err := describe(c)
	if err != nil {
		return err
	}
	var errs []error
	for name, labels := range described {
		if told, ok := written[name]; !ok || told != labels {
			errs = append(errs, fmt.Errorf("%s has %s{%s}, the page %s{%s}", program, name, labels, name, told))
		}
		delete(written, name)
	}
	for _, name := range slices.Sorted(maps.Keys(written)) {
		errs = append(errs, fmt.Errorf("%s has no %s, which the page promises", program, name))
	}
	return errors.Join(errs...)
}

// describe returns the labels by name.
func describe(c prometheus.Collector) (map[string]string, error) {
	ch := make(chan *prometheus.Desc)
	go func() {
		defer close(ch)
		c.Describe(ch)
	}()
	out := map[string]string{}
	var errs []error
	for d := range ch {
		m := description.FindStringSubmatch(d.String())
		if m == nil {
			errs = append(errs, fmt.Errorf("no name and labels in %s", d))
			continue
		}
		out[m[1]] = m[2]
	}
	return out, errors.Join(errs...)
}
