// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// A listening socket that Go makes for Multipath TCP takes no TCP MD5 key.
//go:debug multipathtcp=0

// Command speaker announces, on one node, the addresses of Services that this node owns. It runs
// in the network namespace of the host and needs the capability NET_RAW.
package main

import (
	"context"
	"errors"
	"hash/fnv"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/clarion-lb/clarion/internal/cluster"
	"github.com/clarion-lb/clarion/internal/daemon"
	"github.com/clarion-lb/clarion/internal/kube"
	"github.com/clarion-lb/clarion/internal/l2"
	"github.com/clarion-lb/clarion/internal/l2/wire"
	"github.com/clarion-lb/clarion/internal/lb"
	"github.com/clarion-lb/clarion/internal/link"
	"github.com/clarion-lb/clarion/internal/members"
)

// version is set at link time.
var version = "dev"

// How long the goodbye to the other speakers and the handover of addresses may take. Both
// together stay below the two seconds that kubelet grants before it kills.
const (
	goodbyeTimeout  = 500 * time.Millisecond
	handoverTimeout = time.Second
)

func main() { daemon.Main("speaker", run) }

func run(stop context.Context, args []string, getenv func(string) string) error {
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
	log.Info("starting", "version", version, "node", o.node, "namespace", o.Namespace, "class", o.Class)
	p, err := assemble(o, log)
	if err != nil {
		return err
	}
	return p.run(stop)
}

// program is the speaker with all its parts, not yet running.
type program struct {
	options
	log      *slog.Logger
	watcher  *kube.Watcher
	owner    *kube.Owner
	reviewer *kube.Reviewer
	loop     *loop
}

// assemble makes the parts and asks nobody: a speaker must start while the API server is away.
func assemble(o options, log *slog.Logger) (*program, error) {
	clients, err := kube.Connect(o.Kubeconfig, "clarion-speaker/"+version)
	if err != nil {
		return nil, err
	}
	owner := kube.NewOwner(log, clients.Builtin, o.Namespace, o.Pod)
	l := &loop{log: log, node: o.node, bindPort: o.bindPort(), kick: make(chan struct{}, 1)}
	watcher := kube.NewWatcher(log, l.kicked)
	if err := l.watch(watcher, clients, o, owner); err != nil {
		return nil, err
	}
	l.members, err = members.New(o.membership(), log)
	if err != nil {
		return nil, err
	}
	l.candidacy = newCandidacy(l.members.SetInterfaces)
	l.nodes, err = newNodeWatch(l.members, o.bind().Addr(), o.watchPort(), log)
	if err != nil {
		return nil, err
	}
	exclude, err := readExcludedInterfaces(o.excludeFile)
	if err != nil {
		return nil, err
	}
	l.layer2 = l2.Config{
		Exclude: exclude, Seed: seed(o.node), RefreshMin: o.refresh, RefreshMax: 2 * o.refresh, Fresh: freshFor,
		Verify: true,
	}
	l.wire, err = wire.New(wire.Options{Machine: l.layer2, Log: log, Notify: l.kicked, MayAnswer: l.mayAnswer})
	if err != nil {
		return nil, err
	}
	l.rivals = newRivals(log, l.wire, l.members, l.kicked)
	if err := l.newBGP(o); err != nil {
		return nil, err
	}
	l.links = link.New(log, func(links []lb.Link) {
		l.wire.SetLinks(links)
		l.note(links)
		if bind := o.bind(); bind.IsValid() {
			l.members.SetLinkUp(members.LinkUp(links, bind.Addr()))
		}
		l.bgp.kicked()
		l.kicked()
	})
	l.config = kube.NewConfigWriter(log, clients.V1beta1, kube.SpeakerStateMeta(o.Namespace, o.node), owner)
	l.events = kube.NewEvents(log, clients.Builtin.CoreV1(), kube.EventSource{Component: "metallb-speaker", Host: o.node})
	return &program{options: o, log: log, watcher: watcher, owner: owner, reviewer: kube.NewReviewer(clients.Builtin), loop: l}, nil
}

func (l *loop) watch(w *kube.Watcher, c kube.Clients, o options, owner *kube.Owner) error {
	var err error
	l.sources, err = kube.WatchForAnnouncement(w, c, o.Namespace, cluster.Settings{
		LoadBalancerClass: o.Class, IgnoreExcludeLB: o.ignoreExcludeLB,
	})
	if err != nil {
		return err
	}
	if o.bind().IsValid() {
		speakers, err := kube.WatchSpeakers(w, c, o.Namespace, o.mlLabels)
		if err != nil {
			return err
		}
		l.speakers = &speakers
	}
	l.statuses, err = kube.NewL2StatusWriter(w, c, o.Namespace, owner, l.log)
	if err != nil {
		return err
	}
	l.bgpStatuses, err = kube.NewBGPStatusWriter(w, c, kube.Reporter{Log: l.log, Namespace: o.Namespace, Node: o.node, Owner: owner})
	return err
}

// kicked says that something changed.
func (l *loop) kicked() {
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

// run runs the parts until one fails or stop ends, then hands over and lets the parts go.
func (p *program) run(stop context.Context) error {
	l := p.loop
	g := daemon.NewGroup(context.WithoutCancel(stop))
	g.Go("watch", p.watcher.Run)
	g.Go("own pod", p.owner.Run)
	g.Go("links", l.links.Run)
	g.Go("members", l.members.Run)
	if l.nodes != nil {
		g.Go("sessions between speakers", l.nodes.manager.Run)
		g.Go("node watch", l.nodes.Run)
	}
	g.Go("wire", l.wire.Run)
	g.Go("confirm", l.confirm)
	g.Go("neighbours", l.bgp.watchNeighbours)
	g.Go("advertise", l.bgp.Run)
	g.Go("events", l.events.Run)
	g.Go("layer 2 status", l.statuses.Run)
	g.Go("BGP status", l.bgpStatuses.RunServices)
	g.Go("session status", l.bgpStatuses.RunSessions)
	g.Go("configuration state", l.config.Run)
	g.Go("announce", func(ctx context.Context) error {
		both, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(stop, cancel)()
		if err := l.Run(both); err != nil || ctx.Err() != nil {
			return err
		}
		p.handOver(ctx)
		return nil
	})
	daemon.Endpoints{
		HealthHost: "127.0.0.1", HealthPort: p.HealthPort, Ready: l.ready,
		MetricsHost: p.host, MetricsPort: p.MetricsPort, Metrics: newMetrics(l), Profiles: p.Profiles,
		MetricsTLS: p.MetricsTLS, Review: p.reviewer.Review,
	}.Serve(g, p.log)
	return g.Wait()
}

// handOver leaves in an order that loses no packet: the loop has stopped looking at the view,
// the others are told, and the wire goes on answering until the new owners have spoken.
func (p *program) handOver(ctx context.Context) {
	begin := time.Now()
	// No member any more, and answering until others do; unless it was none before, because it
	// was stopped and wakes up to find that it is to end.
	p.loop.leaving.Store(p.loop.mayAnswer())
	var bgp sync.WaitGroup
	bgp.Go(func() { p.loop.stopAdvertising(ctx) })
	defer bgp.Wait()
	goodbye, cancel := context.WithTimeout(ctx, goodbyeTimeout)
	defer cancel()
	if err := p.loop.members.Leave(goodbye); err != nil {
		p.log.Warn("say goodbye to the other speakers", "error", err)
	}
	linger, cancel := context.WithTimeout(ctx, handoverTimeout)
	defer cancel()
	if err := p.loop.wire.Leave(linger); err != nil {
		p.log.Warn("leave", "error", err)
	}
	p.log.Info("handed over", "took", time.Since(begin).Round(time.Millisecond))
}

// ready says whether the loop has something to stand on.
func (l *loop) ready() error {
	if err := l.sources.Ready(); err != nil {
		return err
	}
	if !l.members.View().Known {
		return errors.New("membership not proven yet")
	}
	return nil
}

// seed gives each node its own jitter, the same after every restart.
func seed(node string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(node)) // never fails
	return h.Sum64()
}

// bind is where the membership listens; invalid when it is off.
func (o options) bind() netip.AddrPort {
	if o.mlBindAddr == "" || o.mlLabels == "" {
		return netip.AddrPort{}
	}
	addr, err := netip.ParseAddr(o.mlBindAddr)
	if err != nil { // parse has checked it
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(addr, o.bindPort())
}
