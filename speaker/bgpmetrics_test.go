// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/clarion-lb/clarion/internal/bfd"
	"github.com/clarion-lb/clarion/internal/bfd/udp"
	"github.com/clarion-lb/clarion/internal/bgp"
)

// The names and labels are what dashboards made for MetalLB ask for.
func TestBGPMetricsAreThoseOfMetalLB(t *testing.T) {
	four, six := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("fe80::1")
	a := &advertiser{state: observedBGP{
		Sessions: []bgp.Session{
			{Name: "watched", Phase: bgp.Established, Address: four, Port: 179, Announced: 3, Pending: 1, Received: 2, Messages: bgp.Messages{
				OpensSent: 11, OpensReceived: 12, UpdatesSent: 13, UpdatesReceived: 14, NotificationsSent: 15, NotificationsReceived: 16,
				KeepalivesSent: 17, KeepalivesReceived: 18, RefreshesSent: 19, RefreshesReceived: 20, TotalSent: 21, TotalReceived: 22,
			}},
			{Name: "unwatched", Phase: bgp.Connecting, Address: six, Link: "eth0", VRF: "red"},
			{Name: "not-found", Phase: bgp.Idle, Link: "eth1"},
		},
		BFD: []udp.Status{{
			Target: bfd.Target{Peer: four}, Session: bfd.Status{State: bfd.Up},
			Counters: udp.Counters{ControlIn: 1, ControlOut: 2, EchoIn: 3, EchoOut: 4, Ups: 5, Downs: 6},
		}},
	}}
	want, err := os.ReadFile("testdata/bgpmetrics.txt")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), gathered(t, newBGPMetrics(&loop{bgp: a}))); diff != "" {
		t.Error(diff)
	}
}

// gathered writes the figures of a collector, sorted by name and labels.
func gathered(t *testing.T, c prometheus.Collector) string {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(c)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, f := range families {
		fmt.Fprintf(&b, "%s %s\n", strings.ToLower(f.GetType().String()), f.GetName())
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			fmt.Fprintf(&b, "  {%s} %v\n", strings.Join(labels, ","), m.GetGauge().GetValue()+m.GetCounter().GetValue())
		}
	}
	return b.String()
}
