// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Command controller gives addresses from the pools to the Services of type LoadBalancer. Several
// replicas may run; the one that holds the Lease works, the others stand by with warm caches.
package main

import (
	"context"
	"os"

	"github.com/clarion-lb/clarion/internal/cluster"
	"github.com/clarion-lb/clarion/internal/daemon"
	"github.com/clarion-lb/clarion/internal/kube"
)

// version is set at link time.
var version = "dev"

// leaseName is the Lease that replicas compete for, in Clarion's namespace.
const leaseName = "clarion-controller"

func main() { daemon.Main("controller", run) }

func run(ctx context.Context, args []string, getenv func(string) string) error {
	o, notices, err := parse(args, getenv)
	if err != nil {
		return err
	}
	log, err := daemon.NewLogger(os.Stderr, o.LogLevel)
	if err != nil {
		return err
	}
	for _, n := range notices {
		log.Warn(n)
	}
	log.Info("starting", "version", version, "namespace", o.Namespace, "class", o.Class)
	clients, err := kube.Connect(o.Kubeconfig, "clarion-controller/"+version)
	if err != nil {
		return err
	}
	if o.secret != "" {
		if err := kube.EnsureMemberlistSecret(ctx, clients.Builtin, o.Namespace, o.secret, o.deployment); err != nil {
			return err
		}
	}
	owner := kube.NewOwner(log, clients.Builtin, o.Namespace, o.Pod)

	kick := make(chan struct{}, 1)
	kicked := func() {
		select {
		case kick <- struct{}{}:
		default:
		}
	}
	watcher := kube.NewWatcher(log, kicked)
	term := kube.NewTerm()
	services := kube.NewServiceWriter(log, clients.Builtin, kicked, term.Holds)
	sources, err := kube.WatchForAllocation(watcher, clients, o.Namespace,
		cluster.Settings{LoadBalancerClass: o.Class}, services.Echo)
	if err != nil {
		return err
	}
	events := kube.NewEvents(log, clients.Builtin.CoreV1(), kube.EventSource{Component: "metallb-controller", Busy: services.Busy})
	l := &loop{
		log: log, kick: kick, sources: sources, services: services,
		status:  kube.NewStatusWriter(log, clients, kicked),
		config:  kube.NewConfigWriter(log, clients.V1beta1, kube.ControllerStateMeta(o.Namespace), owner),
		notices: newNotices(log, events),
		metrics: newMetrics(services, sources.Ready),
	}
	l.standby = standby{sources: sources, compiler: &l.compiler}

	g := daemon.NewGroup(ctx)
	g.Go("watch", watcher.Run)
	g.Go("own pod", owner.Run)
	g.Go("events", events.Run)
	lease := kube.Lease{Namespace: o.Namespace, Name: leaseName, Identity: o.identity(), Term: term}
	g.Go("lead", func(ctx context.Context) error {
		ready := l.standby.begin(ctx)
		defer ready()
		return kube.Lead(ctx, log, clients.Builtin, lease,
			func(ctx context.Context) error {
				if sources.CatchUp(ctx, log, clients, o.Namespace) != nil {
					return nil // asked to stop, or the Lease was lost
				}
				ready()
				return l.lead(ctx)
			})
	})
	daemon.Endpoints{
		HealthPort: o.HealthPort, Ready: sources.Ready,
		MetricsPort: o.MetricsPort, Metrics: l.metrics, Profiles: o.Profiles,
		MetricsTLS: o.MetricsTLS, Review: kube.NewReviewer(clients.Builtin).Review,
	}.Serve(g, log)
	return g.Wait()
}

// lead runs everything that writes. It returns when the last write has been answered.
func (l *loop) lead(ctx context.Context) error {
	defer l.metrics.forget()
	g := daemon.NewGroup(ctx)
	g.Go("service status", l.services.Run)
	g.Go("configuration status", l.status.Run)
	g.Go("configuration state", l.config.Run)
	g.Go("allocation", l.Run)
	return g.Wait()
}
