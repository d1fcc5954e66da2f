// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/clarion-lb/clarion/internal/members"
)

// memberMetrics are Clarion's own: MetalLB tells nothing of its membership.
type memberMetrics struct {
	loop   *loop
	gauges []memberMetric
	counts []memberMetric
}

// memberMetric is one figure, with the value of its only label if it has one.
type memberMetric struct {
	desc  *prometheus.Desc
	label []string
	of    func(members.Observed) float64
}

func newMemberMetrics(l *loop) *memberMetrics {
	describe := func(name, help string, label ...string) *prometheus.Desc {
		return prometheus.NewDesc("clarion_membership_"+name, help, label, nil)
	}
	peers := describe("peers", "Number of other speakers that are alive, and of known ones that are not.", "state")
	changes := describe("changes_total", "Number of times that another speaker joined, went, or was found silent by the direct watch.", "change")
	fences := describe("fences_total", "Number of times that this speaker fell silent until its peers answered, because it stood still, was found gone, or heard of its own death.", "cause")
	of := func(d *prometheus.Desc, label string, f func(members.Counts) uint64) memberMetric {
		return memberMetric{d, []string{label}, func(o members.Observed) float64 { return float64(f(o.Counts)) }}
	}
	return &memberMetrics{
		loop: l,
		gauges: []memberMetric{
			{describe("proven", "1 while this speaker counts itself and may answer."), nil, func(o members.Observed) float64 { return boolean(o.Claims) }},
			{peers, []string{"alive"}, func(o members.Observed) float64 { return float64(o.Alive) }},
			{peers, []string{"missing"}, func(o members.Observed) float64 { return float64(o.Missing) }},
			{describe("lateness", "0 while peers answer in time; more means that this node or its network is slow."), nil,
				func(o members.Observed) float64 { return float64(o.Health) }},
			{describe("keys", "Number of keys accepted in the gossip: 2 or more during a rotation, 0 in clear text."), nil,
				func(o members.Observed) float64 { return float64(o.Keys) }},
		},
		counts: []memberMetric{
			of(changes, "joined", func(c members.Counts) uint64 { return c.Joined }),
			of(changes, "gone", func(c members.Counts) uint64 { return c.Gone }),
			of(changes, "silent", func(c members.Counts) uint64 { return c.Found }),
			of(fences, "stalled", func(c members.Counts) uint64 { return c.Stalls }),
			of(fences, "accused", func(c members.Counts) uint64 { return c.Accused }),
			of(fences, "refuted", func(c members.Counts) uint64 { return c.Refuted }),
		},
	}
}

// Describe implements prometheus.Collector.
func (m *memberMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, all := range [][]memberMetric{m.gauges, m.counts} {
		for _, one := range all {
			ch <- one.desc
		}
	}
}

// Collect implements prometheus.Collector. Without membership there is nothing to tell.
func (m *memberMetrics) Collect(ch chan<- prometheus.Metric) {
	seen := m.loop.members.Observe()
	if seen.Off {
		return
	}
	for _, one := range m.gauges {
		ch <- prometheus.MustNewConstMetric(one.desc, prometheus.GaugeValue, one.of(seen), one.label...)
	}
	for _, one := range m.counts {
		ch <- prometheus.MustNewConstMetric(one.desc, prometheus.CounterValue, one.of(seen), one.label...)
	}
}
