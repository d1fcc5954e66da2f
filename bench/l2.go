// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/clarion-lb/clarion/internal/labctl"
)

// l2Objects is one address with a pod on every node, so that whichever node dies, the way
// through another works: what is measured is the move of the address.
const l2Objects = `
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: bench, namespace: metallb-system}
spec: {addresses: ["192.168.101.1-192.168.101.9"]}
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: bench, namespace: metallb-system}
---
apiVersion: v1
kind: Pod
metadata: {name: echo, labels: {app: echo}}
spec:
  nodeName: %s
  containers:
  - {name: echo, image: echo, ports: [{containerPort: 80, protocol: UDP}]}
---
apiVersion: v1
kind: Service
metadata: {name: echo}
spec:
  type: LoadBalancer
  selector: {app: echo}
  ports: [{port: 8090, targetPort: 80, protocol: UDP}]
`

// l2Fault is one way in which an owner stops, and how it is repaired.
type l2Fault struct {
	name       string
	strike     func(context.Context, labctl.Lab, string) error
	repair     func(context.Context, labctl.Lab, string) error
	p50, worst float64 // targets, in milliseconds
}

func l2Faults() []l2Fault {
	verb := func(args ...string) func(context.Context, labctl.Lab, string) error {
		return func(ctx context.Context, l labctl.Lab, node string) error {
			full := append([]string{args[0], node}, args[1:]...)
			return l.Fault(ctx, full...)
		}
	}
	// A new Pod, because the kubelet restarts the containers of the old one ever more slowly.
	replace := func(ctx context.Context, l labctl.Lab, node string) error {
		_, err := l.Kubectl(ctx, "-n", labctl.Namespace, "delete", "pod", "-l", "component=speaker",
			"--field-selector", "spec.nodeName="+node, "--wait=true")
		return err
	}
	return []l2Fault{
		{"speaker killed", verb("kill", "speaker"), replace, 400, 700},
		{"link cut", verb("link-down"), verb("link-up"), 400, 700},
		{"speaker terminated", verb("term", "speaker"), replace, 400, 700},
	}
}

// benchL2 measures what happens when the owner of an address stops in different ways: how
// long a client that asks every 10 ms is without answers, and how long it takes until another
// node announces the address. The first can be 0 while the second is not: a node whose
// speaker is dead goes on forwarding for those clients that know its hardware address.
func benchL2(ctx context.Context, e *env) (out []Result, err error) {
	if err := e.lab.Down(ctx); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, e.lab.Down(context.WithoutCancel(ctx))) }()
	addr, err := e.startL2(ctx)
	if err != nil {
		return nil, err
	}
	for _, f := range l2Faults() {
		got, err := e.measureFault(ctx, f, addr)
		out = append(out, got...)
		if err != nil {
			return out, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return out, nil
}

// startL2 brings up three nodes and one Service, whose pod runs on none of the nodes that
// the address can move between: a fourth node carries it.
func (e *env) startL2(ctx context.Context) (addr string, err error) {
	const podNode = "n4"
	err = e.lab.Up(ctx, labctl.Options{Nodes: 4, Controller: e.controller, Speaker: e.speaker, RestartDelay: "8s"})
	if err != nil {
		return "", err
	}
	if err := e.profile.install(ctx, e.lab); err != nil {
		return "", err
	}
	if err := e.lab.Ready(ctx); err != nil {
		return "", err
	}
	_, err = e.lab.Kubectl(ctx, "label", "node", podNode, "node.kubernetes.io/exclude-from-external-load-balancers=")
	if err != nil {
		return "", err
	}
	if err := e.lab.Apply(ctx, fmt.Sprintf(l2Objects, podNode)); err != nil {
		return "", err
	}
	return e.lab.Address(ctx, "default", "echo", time.Minute)
}

func (e *env) measureFault(ctx context.Context, f l2Fault, addr string) ([]Result, error) {
	var outages, silences []float64
	for i := range e.runs {
		before, err := e.lab.Owner(ctx, addr, time.Minute)
		if err != nil {
			return nil, err
		}
		var struck time.Time
		o, err := e.lab.Watch(ctx, net.JoinHostPort(addr, "8090"), 4*time.Second, func() error {
			struck = time.Now()
			return f.strike(ctx, e.lab, before)
		})
		if err != nil {
			return nil, err
		}
		silence, err := o.TakeOver(addr, before, struck)
		if err != nil {
			return nil, err
		}
		outages = append(outages, o.LostMS())
		silences = append(silences, milliseconds(silence))
		fmt.Printf("%s, run %d of %d: owner %s, %.0f ms without answers (%d of %d lost), new owner after %.0f ms\n",
			f.name, i+1, e.runs, before, o.LostMS(), o.Lost, o.Sent, milliseconds(silence))
		if err := f.repair(ctx, e.lab, before); err != nil {
			return nil, err
		}
		if err := e.settled(ctx, addr, before); err != nil {
			return nil, err
		}
	}
	slices.Sort(outages)
	slices.Sort(silences)
	name := "l2/" + f.name
	return []Result{
		{name + "/outage p50", outages[len(outages)/2], "ms", f.p50, Lower},
		{name + "/outage worst", outages[len(outages)-1], "ms", f.worst, Lower},
		{name + "/new owner p50", silences[len(silences)/2], "ms", f.p50, Lower},
		{name + "/new owner worst", silences[len(silences)-1], "ms", f.worst, Lower},
	}, nil
}

// settled waits until every speaker is Ready again and the address is back at the node that
// the default election prefers, or stays with another for ten seconds.
func (e *env) settled(ctx context.Context, addr, preferred string) error {
	if err := e.lab.Ready(ctx); err != nil {
		return err
	}
	begin := time.Now()
	return labctl.Eventually(ctx, time.Minute, func(ctx context.Context) error {
		now, err := e.lab.Owner(ctx, addr, 10*time.Second)
		if err == nil && now != preferred && time.Since(begin) < 10*time.Second {
			err = fmt.Errorf("%s owns the address, %s did before", now, preferred)
		}
		return err
	})
}
