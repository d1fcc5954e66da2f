// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clarion-lb/clarion/internal/bfd"
	"github.com/clarion-lb/clarion/internal/bfd/udp"
	"github.com/clarion-lb/clarion/internal/bgp"
	"github.com/clarion-lb/clarion/internal/lb"
)

// bgpMetrics are MetalLB's, with the labels of its FRR mode. A peer is told by its address, as
// MetalLB does; sessions that share one, with different source addresses, are added up.
type bgpMetrics struct {
	loop *loop
	bgp  []sessionMetric[bgp.Session]
	bfd  []sessionMetric[udp.Status]
}

// sessionMetric is one figure of a session.
type sessionMetric[T any] struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(*T) float64
}

func sessionMetricOf[T any](kind prometheus.ValueType, name, help string, of func(*T) float64) sessionMetric[T] {
	return sessionMetric[T]{prometheus.NewDesc(name, help, []string{"peer", "vrf"}, nil), kind, of}
}

func newBGPMetrics(l *loop) *bgpMetrics {
	m := &bgpMetrics{loop: l}
	gauge := func(name, help string, of func(*bgp.Session) float64) {
		m.bgp = append(m.bgp, sessionMetricOf(prometheus.GaugeValue, "metallb_bgp_"+name, help, of))
	}
	count := func(name, what string, of func(*bgp.Messages) uint64) {
		m.bgp = append(m.bgp, sessionMetricOf(prometheus.CounterValue, "metallb_bgp_"+name, "Number of BGP "+what+".",
			func(s *bgp.Session) float64 { return float64(of(&s.Messages)) }))
	}
	gauge("session_up", "BGP session state (1 is up, 0 is down).", func(s *bgp.Session) float64 { return boolean(s.Phase == bgp.Established) })
	gauge("announced_prefixes_total", "Number of prefixes announced in the session.", func(s *bgp.Session) float64 { return float64(s.Announced) })
	gauge("pending_prefixes_total", "Number of prefixes that are still to be announced.", func(s *bgp.Session) float64 { return float64(s.Pending) })
	gauge("received_prefixes_total", "Number of prefixes that the peer sends. None is used.", func(s *bgp.Session) float64 { return float64(s.Received) })
	count("opens_sent", "open messages sent", func(c *bgp.Messages) uint64 { return c.OpensSent })
	count("opens_received", "open messages received", func(c *bgp.Messages) uint64 { return c.OpensReceived })
	count("notifications_sent", "notification messages sent", func(c *bgp.Messages) uint64 { return c.NotificationsSent })
	count("updates_total", "update messages sent", func(c *bgp.Messages) uint64 { return c.UpdatesSent })
	count("updates_total_received", "update messages received", func(c *bgp.Messages) uint64 { return c.UpdatesReceived })
	count("keepalives_sent", "keepalive messages sent", func(c *bgp.Messages) uint64 { return c.KeepalivesSent })
	count("keepalives_received", "keepalive messages received", func(c *bgp.Messages) uint64 { return c.KeepalivesReceived })
	count("route_refresh_sent", "route refresh messages sent", func(c *bgp.Messages) uint64 { return c.RefreshesSent })
	count("total_sent", "messages sent", func(c *bgp.Messages) uint64 { return c.TotalSent })
	count("total_received", "messages received", func(c *bgp.Messages) uint64 { return c.TotalReceived })
	m.bfd = bfdMetrics()
	return m
}

func bfdMetrics() []sessionMetric[udp.Status] {
	count := func(name, what string, of func(*udp.Counters) uint64) sessionMetric[udp.Status] {
		return sessionMetricOf(prometheus.CounterValue, "metallb_bfd_"+name, "Number of "+what+".",
			func(s *udp.Status) float64 { return float64(of(&s.Counters)) })
	}
	return []sessionMetric[udp.Status]{
		sessionMetricOf(prometheus.GaugeValue, "metallb_bfd_session_up", "BFD session state (1 is up, 0 is down).",
			func(s *udp.Status) float64 { return boolean(s.Session.State == bfd.Up) }),
		count("control_packet_input", "BFD control packets received", func(c *udp.Counters) uint64 { return c.ControlIn }),
		count("control_packet_output", "BFD control packets sent", func(c *udp.Counters) uint64 { return c.ControlOut }),
		count("echo_packet_input", "BFD echo packets received", func(c *udp.Counters) uint64 { return c.EchoIn }),
		count("echo_packet_output", "BFD echo packets sent", func(c *udp.Counters) uint64 { return c.EchoOut }),
		count("session_up_events", "times that the BFD session came up", func(c *udp.Counters) uint64 { return c.Ups }),
		count("session_down_events", "times that the BFD session went down", func(c *udp.Counters) uint64 { return c.Downs }),
		count("zebra_notifications", "changes of the BFD session that the BGP session was told of", func(c *udp.Counters) uint64 { return c.Ups + c.Downs }),
	}
}

// Describe implements prometheus.Collector.
func (m *bgpMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, x := range m.bgp {
		ch <- x.desc
	}
	for _, x := range m.bfd {
		ch <- x.desc
	}
}

// Collect implements prometheus.Collector. It reads what the last look has seen.
func (m *bgpMetrics) Collect(ch chan<- prometheus.Metric) {
	seen := m.loop.bgp.Observe()
	collect(ch, m.bgp, seen.Sessions, func(s *bgp.Session) [2]string {
		return [2]string{sessionPeer(s), vrfLabel(s.VRF)}
	})
	collect(ch, m.bfd, seen.BFD, func(s *udp.Status) [2]string {
		return [2]string{s.Target.Peer.WithZone("").String(), vrfLabel(s.Target.VRF)}
	})
}

// collect adds the figures of the sessions with the same labels up.
func collect[T any](ch chan<- prometheus.Metric, metrics []sessionMetric[T], sessions []T, labels func(*T) [2]string) {
	for _, x := range metrics {
		sum := map[[2]string]float64{}
		for i := range sessions {
			sum[labels(&sessions[i])] += x.of(&sessions[i])
		}
		for l, v := range sum {
			ch <- prometheus.MustNewConstMetric(x.desc, x.kind, v, l[0], l[1])
		}
	}
}

// sessionPeer is MetalLB's name for a peer: address and port, or the link while an unnumbered
// peer has not been found.
func sessionPeer(s *bgp.Session) string {
	if !s.Address.IsValid() {
		return s.Link
	}
	port := s.Port
	if port == 0 {
		port = lb.DefaultBGPPort
	}
	return netip.AddrPortFrom(s.Address.WithZone(""), port).String()
}

// vrfLabel is FRR's name for a VRF, and so MetalLB's: that of no VRF is "default".
func vrfLabel(vrf string) string {
	if vrf == "" {
		return "default"
	}
	return vrf
}

func boolean(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
