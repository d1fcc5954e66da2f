// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package metricdoc

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestCompareFindsWhatDiffers(t *testing.T) {
	page := filepath.Join(t.TempDir(), "metrics.md")
	text := "| `clarion_a` | gauge | x, y | both | |\n| `clarion_b` | counter | | speaker | |\n| `clarion_c` | counter | | controller | |\n"
	if err := os.WriteFile(page, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	vec := func(name string, labels ...string) prometheus.Collector {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: "h"}, labels)
	}
	for _, c := range []struct {
		program   string
		collector prometheus.Collector
		want      string // "": nothing differs
	}{
		{"speaker", both{vec("clarion_a", "x", "y"), vec("clarion_b")}, ""},
		{"controller", both{vec("clarion_a", "x", "y"), vec("clarion_b")}, "clarion_b"},
		{"speaker", vec("clarion_a", "x", "y"), "no clarion_b"},
		{"speaker", both{vec("clarion_a", "x"), vec("clarion_b")}, "clarion_a{x}"},
	} {
		err := Compare(page, c.program, c.collector)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}

type both struct{ a, b prometheus.Collector }

func (b both) Describe(ch chan<- *prometheus.Desc) { b.a.Describe(ch); b.b.Describe(ch) }
func (b both) Collect(chan<- prometheus.Metric)    {}
