// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Command controller gives addresses from the pools to the Services of type LoadBalancer. Several
// replicas may run; the one that holds the Lease works, the others stand by with warm caches.
package main

import (
	"context"
	"errors"
	"log/slog"
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
	for {
		// Without the Lease a replica begins anew and stands by. A process that ended would, too,
		// but after some API server outages the kubelet lets a container wait for minutes.
		p, err := assemble(o, log)
		if err != nil {
			return err
		}
		if err := p.run(ctx); !errors.Is(err, kube.ErrLeaseLost) {
			return err
		}
		log.Warn("beginning anew: " + kube.ErrLeaseLost.Error())
	}
}

// program is the controller with all its parts, which know nothing yet and do not run.
type program struct {
	options
	log     *slog.Logger
	clients kube.Clients
	watcher *kube.Watcher
	owner   *kube.Owner
	events  *kube.Events
	sources *kube.Sources
	term    *kube.Term
	loop    *loop
}

func assemble(o options, log *slog.Logger) (*program, error) {
	clients, err := kube.Connect(o.Kubeconfig, "clarion-controller/"+version)
	if err != nil {
		return nil, err
	}
	kick := make(chan struct{}, 1)
	kicked := func() {
		select {
		case kick <- struct{}{}:
		default:
		}
	}
	p := &program{
		options: o, log: log, clients: clients, watcher: kube.NewWatcher(log, kicked),
		owner: kube.NewOwner(log, clients.Builtin, o.Namespace, o.Pod), term: kube.NewTerm(),
	}
	services := kube.NewServiceWriter(log, clients.Builtin, kicked, p.term.Holds)
	p.sources, err = kube.WatchForAllocation(p.watcher, clients, o.Namespace,
		cluster.Settings{LoadBalancerClass: o.Class}, services.Echo)
	if err != nil {
		return nil, err
	}
	p.events = kube.NewEvents(log, clients.Builtin.CoreV1(), kube.EventSource{Component: "metallb-controller", Busy: services.Busy})
	p.loop = &loop{
		log: log, kick: kick, sources: p.sources, services: services,
		status:  kube.NewStatusWriter(log, clients, kicked),
		config:  kube.NewConfigWriter(log, clients.V1beta1, kube.ControllerStateMeta(o.Namespace), p.owner),
		notices: newNotices(log, p.events),
		metrics: newMetrics(services, p.sources.Ready),
	}
	p.loop.standby = standby{sources: p.sources, compiler: &p.loop.compiler}
	return p, nil
}

// run returns when ctx ends, or with kube.ErrLeaseLost, when all that the program does has ended.
func (p *program) run(ctx context.Context) error {
	g := daemon.NewGroup(ctx)
	g.Go("watch", p.watcher.Run)
	g.Go("own pod", p.owner.Run)
	if p.secret != "" {
		g.Go("memberlist secret", kube.MemberlistSecret{
			Log: p.log, Client: p.clients.Builtin, Namespace: p.Namespace, Name: p.secret, Deployment: p.deployment,
		}.Run)
	}
	g.Go("events", p.events.Run)
	g.Go("lead", p.compete)
	daemon.Endpoints{
		HealthPort: p.HealthPort, Ready: p.sources.Ready,
		MetricsPort: p.MetricsPort, Metrics: p.loop.metrics, Profiles: p.Profiles,
		MetricsTLS: p.MetricsTLS, Review: kube.NewReviewer(p.clients.Builtin).Review,
	}.Serve(g, p.log)
	return g.Wait()
}

// compete stands by with warm caches until this replica has the Lease, and then leads.
func (p *program) compete(ctx context.Context) error {
	ready := p.loop.standby.begin(ctx)
	defer ready()
	lease := kube.Lease{Namespace: p.Namespace, Name: leaseName, Identity: p.identity(), Term: p.term}
	return kube.Lead(ctx, p.log, p.clients.Builtin, lease, func(ctx context.Context) error {
		if p.sources.CatchUp(ctx, p.log, p.clients, p.Namespace) != nil {
			return nil // asked to stop, or the Lease was lost
		}
		ready()
		return p.loop.lead(ctx)
	})
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
