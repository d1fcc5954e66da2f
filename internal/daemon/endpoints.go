// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Endpoints are the HTTP servers of a program.
type Endpoints struct {
	HealthHost  string // address to listen on; "" for all
	HealthPort  int
	Ready       func() error // why the program is not ready, or nil
	MetricsHost string
	MetricsPort int // 0: no metrics
	Metrics     prometheus.Collector
	Profiles    string // "host:port" for net/http/pprof; "" for none
}

// Serve adds the servers to the group.
func (e Endpoints) Serve(g *Group, log *slog.Logger) {
	serve := func(name, addr string, h http.Handler) {
		g.Go(name, func(ctx context.Context) error { return Serve(ctx, addr, h) })
	}
	alive := func() error { return nil } // a process that answers is alive
	serve("health", net.JoinHostPort(e.HealthHost, strconv.Itoa(e.HealthPort)), Health(alive, e.Ready))
	if e.MetricsPort != 0 {
		registry := prometheus.NewRegistry()
		registry.MustRegister(e.Metrics, collectors.NewGoCollector(),
			collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
		serve("metrics", net.JoinHostPort(e.MetricsHost, strconv.Itoa(e.MetricsPort)),
			promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn)}))
	}
	if e.Profiles != "" {
		serve("profiles", e.Profiles, Profiles())
	}
}
