// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net/netip"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clarion-lb/clarion/internal/l2"
	"github.com/clarion-lb/clarion/internal/lb"
	"github.com/clarion-lb/clarion/internal/plan"
)

// scrapeTimeout bounds how long a scrape waits for the packet loop.
const scrapeTimeout = 2 * time.Second

// metrics reads the last plan and the wire's counters at scrape time. Names and labels are
// MetalLB's.
type metrics struct {
	loop      *loop
	announced *prometheus.Desc
	updates   *prometheus.Desc
	errors    *prometheus.Desc
	loaded    *prometheus.Desc
	stale     *prometheus.Desc
	layer2    []layer2Metric
	rival     *prometheus.Desc
	rivals    *prometheus.Desc
	bgp       *bgpMetrics
	members   *memberMetrics
}

type layer2Metric struct {
	desc *prometheus.Desc
	of   func(l2.Counters) uint64
}

func newMetrics(l *loop) *metrics {
	layer2 := func(name, help string, of func(l2.Counters) uint64) layer2Metric {
		return layer2Metric{prometheus.NewDesc("metallb_layer2_"+name, help, []string{"ip"}, nil), of}
	}
	return &metrics{
		loop: l, bgp: newBGPMetrics(l), members: newMemberMetrics(l),
		announced: prometheus.NewDesc("metallb_speaker_announced",
			"1 for each address of a Service that this node announces.", []string{"service", "protocol", "node", "ip"}, nil),
		updates: prometheus.NewDesc("metallb_k8s_client_updates_total",
			"Number of times that the whole cluster was looked at after a change.", nil, nil),
		errors: prometheus.NewDesc("metallb_k8s_client_update_errors_total",
			"Number of those times in which nothing was changed, because something was not known yet.", nil, nil),
		loaded: prometheus.NewDesc("metallb_k8s_client_config_loaded_bool",
			"1 once the configuration has been read and applied.", nil, nil),
		stale: prometheus.NewDesc("metallb_k8s_client_config_stale_bool",
			"Always 0: an object that cannot be used is left out alone and never holds back the others.", nil, nil),
		rival: prometheus.NewDesc("clarion_layer2_rival",
			"1 for each address of this node that somebody else uses: a host outside the cluster, or the speaker of the node given.",
			[]string{"ip", "interface", "mac", "node", "withheld"}, nil),
		rivals: prometheus.NewDesc("clarion_layer2_rival_frames_total",
			"Number of frames in which somebody else claimed the address.", []string{"ip"}, nil),
		layer2: []layer2Metric{
			layer2("requests_received", "Number of ARP requests and neighbour solicitations for the address.",
				func(c l2.Counters) uint64 { return c.Requests }),
			layer2("responses_sent", "Number of ARP replies and solicited neighbour advertisements sent for the address.",
				func(c l2.Counters) uint64 { return c.Responses }),
			layer2("gratuitous_sent", "Number of gratuitous ARP frames and unsolicited neighbour advertisements sent for the address.",
				func(c l2.Counters) uint64 { return c.Gratuitous }),
		},
	}
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.announced, m.updates, m.errors, m.loaded, m.stale, m.rival, m.rivals} {
		ch <- d
	}
	for _, l := range m.layer2 {
		ch <- l.desc
	}
	m.bgp.Describe(ch)
	m.members.Describe(ch)
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.MustNewConstMetric(m.updates, prometheus.CounterValue, float64(m.loop.passes.Load()))
	ch <- prometheus.MustNewConstMetric(m.errors, prometheus.CounterValue, float64(m.loop.waits.Load()))
	ch <- prometheus.MustNewConstMetric(m.stale, prometheus.GaugeValue, 0)
	m.bgp.Collect(ch)
	m.members.Collect(ch)
	if last := m.loop.lastBGP.Load(); last != nil {
		for i := range last.Why {
			if w := &last.Why[i]; len(w.Peers) > 0 {
				m.gauge(ch, w.Service, plan.ProtocolBGP, w.Addr)
			}
		}
	}
	desired := m.loop.last.Load()
	if desired == nil {
		ch <- prometheus.MustNewConstMetric(m.loaded, prometheus.GaugeValue, 0)
		return
	}
	ch <- prometheus.MustNewConstMetric(m.loaded, prometheus.GaugeValue, 1)
	for _, a := range desired.L2 {
		for _, k := range a.Services {
			m.gauge(ch, k, plan.Layer2, a.Addr)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	seen, err := m.loop.wire.Observe(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(m.layer2[0].desc, err)
		return
	}
	for addr, c := range seen.Counters {
		for _, l := range m.layer2 {
			ch <- prometheus.MustNewConstMetric(l.desc, prometheus.CounterValue, float64(l.of(c)), addr.String())
		}
		if c.Conflicts > 0 {
			ch <- prometheus.MustNewConstMetric(m.rivals, prometheus.CounterValue, float64(c.Conflicts), addr.String())
		}
	}
	for _, r := range seen.Conflicts {
		ch <- prometheus.MustNewConstMetric(m.rival, prometheus.GaugeValue, 1,
			r.Addr.String(), r.Link, r.MAC.String(), r.Node, strconv.FormatBool(r.Withheld))
	}
}

func (m *metrics) gauge(ch chan<- prometheus.Metric, service lb.Key, protocol string, addr netip.Addr) {
	ch <- prometheus.MustNewConstMetric(m.announced, prometheus.GaugeValue, 1,
		service.String(), protocol, m.loop.node, addr.String())
}
