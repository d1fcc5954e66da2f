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
	MetricsTLS  TLS
	Review      Review // who may read metrics, unless they are served in clear text
	Metrics     prometheus.Collector
	Profiles    string // "host:port" for net/http/pprof; "" for none
}

// Serve adds the servers to the group.
func (e Endpoints) Serve(g *Group, log *slog.Logger) {
	alive := func() error { return nil } // a process that answers is alive
	g.Go("health", func(ctx context.Context) error {
		return Serve(ctx, net.JoinHostPort(e.HealthHost, strconv.Itoa(e.HealthPort)), nil, Health(alive, e.Ready))
	})
	if e.MetricsPort != 0 {
		g.Go("metrics", func(ctx context.Context) error { return e.serveMetrics(ctx, log) })
	}
	if e.Profiles != "" {
		g.Go("profiles", func(ctx context.Context) error { return Serve(ctx, e.Profiles, nil, Profiles()) })
	}
}

func (e Endpoints) serveMetrics(ctx context.Context, log *slog.Logger) error {
	config, err := e.MetricsTLS.Config(e.MetricsHost)
	if err != nil {
		return err
	}
	page := e.page(log)
	if config != nil {
		page = guard(log, e.Review, page)
	}
	return Serve(ctx, net.JoinHostPort(e.MetricsHost, strconv.Itoa(e.MetricsPort)), config, page)
}

func (e Endpoints) page(log *slog.Logger) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(e.Metrics, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics",
		promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn)}))
	return mux
}
