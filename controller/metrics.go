// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clarion-lb/clarion/internal/alloc"
	"github.com/clarion-lb/clarion/internal/kube"
	"github.com/clarion-lb/clarion/internal/lb"
)

// metrics reads the last plan at scrape time. Names and labels are MetalLB's, so that its
// dashboards and alerts keep working. What follows from a plan, only the leader tells.
type metrics struct {
	services *kube.ServiceWriter
	ready    func() error // nil once everything has been read
	last     atomic.Pointer[observation]
	pools    []poolMetric
	updates  *prometheus.Desc
	errors   *prometheus.Desc
	loaded   *prometheus.Desc
	stale    *prometheus.Desc
	problems *prometheus.Desc
}

// observation is what one pass leaves for the next scrape.
type observation struct {
	usage    []alloc.Usage
	problems map[string]int // by kind
}

type poolMetric struct {
	desc *prometheus.Desc
	of   func(alloc.Usage) int64
}

func newMetrics(services *kube.ServiceWriter, ready func() error) *metrics {
	pool := func(name, help string, of func(alloc.Usage) int64) poolMetric {
		return poolMetric{prometheus.NewDesc("metallb_allocator_"+name, help, []string{"pool"}, nil), of}
	}
	return &metrics{
		services: services, ready: ready,
		pools: []poolMetric{
			pool("addresses_total", "Number of addresses that the pool can hand out.",
				func(u alloc.Usage) int64 { return saturate(total4(u), total6(u)) }),
			pool("addresses_in_use_total", "Number of addresses of the pool in use.",
				func(u alloc.Usage) int64 { return saturate(u.AssignedIPv4, u.AssignedIPv6) }),
			pool("ipv4_addresses_total", "Number of IPv4 addresses that the pool can hand out.", total4),
			pool("ipv4_addresses_in_use_total", "Number of IPv4 addresses of the pool in use.",
				func(u alloc.Usage) int64 { return u.AssignedIPv4 }),
			pool("ipv6_addresses_total", "Number of IPv6 addresses that the pool can hand out.", total6),
			pool("ipv6_addresses_in_use_total", "Number of IPv6 addresses of the pool in use.",
				func(u alloc.Usage) int64 { return u.AssignedIPv6 }),
			pool("services_allocated_total", "Number of Services that have an address of the pool.",
				func(u alloc.Usage) int64 { return int64(u.Services) }),
		},
		updates: prometheus.NewDesc("metallb_k8s_client_updates_total", "Number of Service status writes that the API server stored.", nil, nil),
		errors:  prometheus.NewDesc("metallb_k8s_client_update_errors_total", "Number of Service status writes that failed or conflicted.", nil, nil),
		loaded:  prometheus.NewDesc("metallb_k8s_client_config_loaded_bool", "1 once the configuration has been read.", nil, nil),
		stale: prometheus.NewDesc("metallb_k8s_client_config_stale_bool",
			"Always 0: an object that cannot be used is left out alone and never holds back the others.", nil, nil),
		problems: prometheus.NewDesc("clarion_config_problems",
			"Number of mistakes found in the objects of a kind, each told by an event and in the object's status.", []string{"kind"}, nil),
	}
}

func total4(u alloc.Usage) int64 { return saturate(u.AssignedIPv4, u.AvailableIPv4) }
func total6(u alloc.Usage) int64 { return saturate(u.AssignedIPv6, u.AvailableIPv6) }

// saturate adds counts of which one may be math.MaxInt64, which stands for "at least".
func saturate(a, b int64) int64 {
	if sum := a + b; sum >= a {
		return sum
	}
	return max(a, b)
}

// observe keeps what a pass found. Every kind has a count, so that an alert sees it return to 0.
func (m *metrics) observe(r *alloc.Result, problems []lb.Problem) {
	counts := map[string]int{
		"Service": 0, "IPAddressPool": 0, "L2Advertisement": 0, "BGPAdvertisement": 0, "BGPPeer": 0, "BFDProfile": 0, "Community": 0,
	}
	for _, p := range problems {
		counts[p.Kind]++
	}
	m.last.Store(&observation{usage: r.Usage, problems: counts})
}

// forget is for a leader that is none any more: its figures would stand beside those of the
// next one.
func (m *metrics) forget() { m.last.Store(nil) }

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.updates, m.errors, m.loaded, m.stale, m.problems} {
		ch <- d
	}
	for _, p := range m.pools {
		ch <- p.desc
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	counts := m.services.Counts()
	ch <- prometheus.MustNewConstMetric(m.updates, prometheus.CounterValue, float64(counts.Updates))
	ch <- prometheus.MustNewConstMetric(m.errors, prometheus.CounterValue, float64(counts.Errors))
	ch <- prometheus.MustNewConstMetric(m.stale, prometheus.GaugeValue, 0)
	loaded := 0.0
	if m.ready() == nil { // of a standby as well: its copies are what it will lead with
		loaded = 1
	}
	ch <- prometheus.MustNewConstMetric(m.loaded, prometheus.GaugeValue, loaded)
	last := m.last.Load()
	if last == nil {
		return
	}
	for kind, n := range last.problems {
		ch <- prometheus.MustNewConstMetric(m.problems, prometheus.GaugeValue, float64(n), kind)
	}
	for _, u := range last.usage {
		for _, p := range m.pools {
			ch <- prometheus.MustNewConstMetric(p.desc, prometheus.GaugeValue, float64(p.of(u)), u.Pool)
		}
	}
}
