// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
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

// benchL2 measures what happens when the owner of an address stops in different ways: how
// long a client that asks every 10 ms is without answers, for how long nobody answers on the
// wire, where another host asks every 10 ms, and for how long two do. The client may notice
// nothing while the wire is silent: a node whose speaker is dead goes on forwarding for those
// clients that know its hardware address.
func benchL2(ctx context.Context, e *env) (out []Result, err error) {
	if err := e.lab.Down(ctx); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, e.lab.Down(context.WithoutCancel(ctx))) }()
	addr, err := e.startL2(ctx)
	if err != nil {
		return nil, err
	}
	known := []string{manyFault}
	for _, f := range l2Faults() {
		known = append(known, f.name)
		if !e.chosen(f.name) {
			continue
		}
		got, err := e.measureFault(ctx, f, addr)
		out = append(out, got...)
		if err != nil {
			return out, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	for _, name := range e.faults {
		if !slices.Contains(known, name) {
			return out, fmt.Errorf("there is no fault %q, but %s", name, strings.Join(known, ", "))
		}
	}
	if e.chosen(manyFault) {
		got, err := e.measureMany(ctx, addr)
		out = append(out, got...)
		if err != nil {
			return out, fmt.Errorf("%s: %w", manyFault, err)
		}
	}
	return out, nil
}

func (e *env) chosen(fault string) bool {
	return len(e.faults) == 0 || slices.Contains(e.faults, fault)
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
