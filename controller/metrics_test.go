// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/clarion-lb/clarion/internal/alloc"
	"github.com/clarion-lb/clarion/internal/kube"
	"github.com/clarion-lb/clarion/internal/metricdoc"
)

func metricsThatAre(ready error) *metrics {
	services := kube.NewServiceWriter(slog.New(slog.DiscardHandler), fake.NewClientset(), func() {}, func() bool { return true })
	return newMetrics(services, func() error { return ready })
}

// gathered returns how many samples each metric has, and the value of the last.
func gathered(t *testing.T, m *metrics) (samples map[string]int, values map[string]float64) {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(m)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	samples, values = map[string]int{}, map[string]float64{}
	for _, f := range families {
		for _, s := range f.GetMetric() {
			samples[f.GetName()]++
			values[f.GetName()] = s.GetGauge().GetValue()
		}
	}
	return samples, values
}

func TestMetricsAreThoseOfThePage(t *testing.T) {
	if err := metricdoc.Compare("../docs/metrics.md", "controller", metricsThatAre(nil)); err != nil {
		t.Error(err)
	}
}

// A standby that has read everything is no reason for an alert, and has no figures of pools,
// whether it has never led or leads no more.
func TestOnlyTheLeaderTellsOfPools(t *testing.T) {
	const loaded, pools = "metallb_k8s_client_config_loaded_bool", "metallb_allocator_addresses_total"
	m := metricsThatAre(nil)
	check := func(when string, want int) {
		t.Helper()
		samples, values := gathered(t, m)
		if samples[pools] != want || values[loaded] != 1 {
			t.Errorf("%s: %d pools, loaded %v", when, samples[pools], values[loaded])
		}
	}
	check("standing by", 0)
	m.observe(&alloc.Result{Usage: []alloc.Usage{{Pool: "a"}, {Pool: "b"}}}, nil)
	check("leading", 2)
	m.forget()
	check("standing by again", 0)
	if _, values := gathered(t, metricsThatAre(errors.New("nodes not read yet"))); values[loaded] != 0 {
		t.Error("loaded before everything has been read")
	}
}
