// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/clarion-lb/clarion/internal/labctl"
	"github.com/clarion-lb/clarion/internal/labctl/frr"
)

const (
	bgpNodeASN, bgpRouterASN = 64512, 64513
	bgpPool                  = "10.200.0.0/16"
)

// bgpObjects is what every part of the benchmark runs with.
const bgpObjects = `
apiVersion: metallb.io/v1beta1
kind: BFDProfile
metadata: {name: fast, namespace: metallb-system}
spec: {receiveInterval: 50, transmitInterval: 50, detectMultiplier: 3}
---
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: bgp, namespace: metallb-system}
spec: {addresses: ["` + bgpPool + `"]}
---
apiVersion: metallb.io/v1beta1
kind: BGPAdvertisement
metadata: {name: bgp, namespace: metallb-system}
`

// bgpPod answers on one node.
const bgpPod = `
---
apiVersion: v1
kind: Pod
metadata: {name: echo-%[1]s, labels: {app: echo}}
spec:
  nodeName: %[1]s
  containers:
  - {name: echo, image: echo, ports: [{containerPort: 80, protocol: UDP}, {containerPort: 80}]}
`

// bgpFabric is a lab whose nodes peer with FRR on the router host, which the client is behind.
type bgpFabric struct {
	*cluster
	nodes  int
	router *frr.Router
	dir    string
}

// benchBGP measures BGP as the router and a client behind it see it: what a start, a Service, a
// failure and a planned end take, and what many Services cost.
func benchBGP(ctx context.Context, e *env) (out []Result, err error) {
	parts := []struct {
		name  string
		nodes int
		run   func(context.Context, *env, *bgpFabric) ([]Result, error)
	}{
		{"three nodes", 3, measureBGPPaths},
		{"many routes", 1, measureBGPScale},
	}
	for _, p := range parts {
		f, stop, err := startBGP(ctx, e, p.nodes)
		if err != nil {
			return out, fmt.Errorf("%s: %w", p.name, err)
		}
		got, err := p.run(ctx, e, f)
		out = append(out, got...)
		stop()
		if err != nil {
			return out, fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return out, nil
}

// startBGP brings up the lab, the implementation and the router. There are no peers yet.
func startBGP(ctx context.Context, e *env, nodes int) (*bgpFabric, func(), error) {
	down, err := e.lab.Fresh(ctx, labctl.Options{Nodes: nodes, Controller: e.controller, Speaker: e.speaker, RestartDelay: "1s"})
	if err != nil {
		return nil, nil, err
	}
	f := &bgpFabric{nodes: nodes}
	stop := func() {
		if f.router != nil {
			f.router.Stop()
		}
		if f.cluster != nil {
			f.close()
		}
		if err := errors.Join(down(), os.RemoveAll(f.dir)); err != nil {
			fmt.Println(err)
		}
	}
	if err := f.start(ctx, e); err != nil {
		stop()
		return nil, nil, err
	}
	return f, stop, nil
}

func (f *bgpFabric) start(ctx context.Context, e *env) (err error) {
	if f.dir, err = os.MkdirTemp("", "clarion-frr-"); err != nil {
		return fmt.Errorf("make folder for FRR: %w", err)
	}
	if err := e.profile.install(ctx, e.lab); err != nil {
		return err
	}
	if err := e.lab.Ready(ctx); err != nil {
		return err
	}
	config := frr.Fabric{ASN: bgpRouterASN, NodeASN: bgpNodeASN, RouterID: "192.168.100.1", BFDInterval: 50, EachNeighbor: []string{"bfd profile fast"}}
	objects := bgpObjects
	for n := range f.nodes {
		config.Neighbors = append(config.Neighbors, neighbor(n+1))
		objects += fmt.Sprintf(bgpPod, fmt.Sprintf("n%d", n+1))
	}
	f.router, err = frr.Start(ctx, frr.Options{Netns: e.lab.Netns("router"), Dir: f.dir, Config: config.Config()})
	if err != nil {
		return err
	}
	if err := e.lab.Apply(ctx, objects); err != nil {
		return err
	}
	f.cluster, err = connect(ctx, e.lab)
	return err
}

// neighbor is the address by which the router knows a node.
func neighbor(n int) string { return frr.NodeAddress(n, false).String() }

// peer configures the session of every node with the router, with more lines of its spec, and waits
// until all are up.
func (f *bgpFabric) peer(ctx context.Context, spec ...string) error {
	manifest := fmt.Sprintf("apiVersion: metallb.io/v1beta2\nkind: BGPPeer\nmetadata: {name: router, namespace: metallb-system}\nspec:\n"+
		"  myASN: %d\n  peerASN: %d\n  peerAddress: 192.168.100.1\n  %s\n", bgpNodeASN, bgpRouterASN, strings.Join(spec, "\n  "))
	if err := f.lab.Apply(ctx, manifest); err != nil {
		return err
	}
	return f.established(ctx)
}

// unpeer ends the sessions and waits until they have.
func (f *bgpFabric) unpeer(ctx context.Context) error {
	if _, err := f.lab.Kubectl(ctx, "-n", labctl.Namespace, "delete", "bgppeer", "router"); err != nil {
		return err
	}
	return labctl.Eventually(ctx, time.Minute, func(ctx context.Context) error {
		all, err := f.router.Neighbors(ctx)
		if err != nil {
			return err
		}
		for addr, n := range all {
			if n.State == "Established" {
				return fmt.Errorf("session with %s goes on", addr)
			}
		}
		return nil
	})
}

func (f *bgpFabric) established(ctx context.Context) error {
	return labctl.Eventually(ctx, 2*time.Minute, func(ctx context.Context) error {
		all, err := f.router.Neighbors(ctx)
		if err != nil {
			return err
		}
		for addr, n := range all {
			if n.State != "Established" {
				return fmt.Errorf("session with %s is %s", addr, n.State)
			}
		}
		return nil
	})
}

// sessions counts the sessions that ever came up.
func (f *bgpFabric) sessions(ctx context.Context) (int, error) {
	all, err := f.router.Neighbors(ctx)
	total := 0
	for _, n := range all {
		total += n.ConnectionsEstablished
	}
	return total, err
}

// cameUp returns when the session with a node came up after a moment.
func (f *bgpFabric) cameUp(ctx context.Context, n int, after time.Time) (time.Time, error) {
	var at time.Time
	err := labctl.Eventually(ctx, time.Minute, func(context.Context) error {
		changes := f.router.SessionChanges()
		i := slices.IndexFunc(changes, func(c frr.SessionChange) bool { return c.Up && c.Neighbor == neighbor(n) && c.Time.After(after) })
		if i < 0 {
			return fmt.Errorf("no session with %s", neighbor(n))
		}
		at = changes[i].Time
		return nil
	})
	return at, err
}

// restartSpeaker deletes the speaker's pod of a node, as an upgrade does, and returns the process
// of the new one.
func (f *bgpFabric) restartSpeaker(ctx context.Context, node string) (process, error) {
	old, err := runningProcess(ctx, f.lab, "speaker", node, 0)
	if err != nil {
		return old, err
	}
	if _, err := f.lab.Kubectl(ctx, "-n", labctl.Namespace, "delete", "pod", "-l", "component=speaker",
		"--field-selector", "spec.nodeName="+node, "--wait=false"); err != nil {
		return old, err
	}
	return runningProcess(ctx, f.lab, "speaker", node, old.pid)
}

// medians turns samples into results.
func medians(name string, samples []time.Duration, p50, worst float64) []Result {
	slices.Sort(samples)
	return []Result{
		{name + " p50", milliseconds(percentile(samples, 50)), "ms", p50, Lower},
		{name + " worst", milliseconds(samples[len(samples)-1]), "ms", worst, Lower},
	}
}
