// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"github.com/clarion-lb/clarion/internal/metricdoc"
)

func TestMetricsAreThoseOfThePage(t *testing.T) {
	if err := metricdoc.Compare("../docs/metrics.md", "speaker", newMetrics(&loop{})); err != nil {
		t.Error(err)
	}
}
