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
spec: {addresses: ["%s"]}
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
  ipFamilies: [%s]
  selector: {app: echo}
  ports: [{port: 8090, targetPort: 80, protocol: UDP}]
`

// l2Family is what is measured of a family. A cluster of both families is the same for either.
type l2Family struct {
	kind       string // as a Service has it
	lab        string // the lab's word for the cluster
	pool, many string // the addresses of one Service, and those of many
	prefix     string // of the results' names
}

func l2Families() map[string]l2Family {
	return map[string]l2Family{
		"ipv4": {"IPv4", "ipv4", "192.168.101.1-192.168.101.9", "192.168.102.0/23", "l2/"},
		"ipv6": {"IPv6", "dual", "fd00:100::2:1-fd00:100::2:9", "fd00:100::3:0/118", "l2/ipv6/"},
	}
}

// benchL2 measures what happens when the owner of an address stops in different ways: how
// long a client that asks every 10 ms is without answers, for how long nobody answers on the
// wire, where another host asks every 10 ms, and for how long two do. The client may notice
// nothing while the wire is silent: a node whose speaker is dead goes on forwarding for those
// clients that know its hardware address.
func benchL2(ctx context.Context, e *env) (out []Result, err error) {
	if err := e.knowsFaults(); err != nil {
		return nil, err
	}
	down, err := e.lab.Fresh(ctx, labctl.Options{
		Nodes: 4, IPFamily: e.family.lab, Controller: e.controller, Speaker: e.speaker, RestartDelay: "8s",
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, down()) }()
	addr, err := e.startL2(ctx)
	if err != nil {
		return nil, err
	}
	for _, f := range l2Faults() {
		if !e.chosen(f.name) {
			continue
		}
		got, faultErr := e.measureFault(ctx, f, addr, e.runs)
		out, err = append(out, got...), errors.Join(err, faultErr)
		if faultErr != nil && !errors.Is(faultErr, errNoFigures) {
			return out, err // the cluster is not what it was
		}
	}
	if !e.chosen(manyFault) && !e.chosen(rollingManyFault().name) {
		return out, err
	}
	got, manyErr := e.measureWithMany(ctx, addr)
	return append(out, got...), errors.Join(err, manyErr)
}

// measureWithMany measures the faults for which there are many addresses.
func (e *env) measureWithMany(ctx context.Context, addr string) (out []Result, err error) {
	addrs, err := e.makeMany(ctx)
	if err != nil {
		return nil, err
	}
	if f := rollingManyFault(); e.chosen(f.name) {
		out, err = e.measureFault(ctx, f, addrs[0], min(e.runs, manyRuns))
		if err != nil && !errors.Is(err, errNoFigures) {
			return out, err
		}
	}
	if e.chosen(manyFault) {
		got, manyErr := e.measureMany(ctx, addr, addrs)
		out, err = append(out, got...), errors.Join(err, manyErr)
	}
	return out, err
}

// knowsFaults fails if a fault is asked for that there is not.
func (e *env) knowsFaults() error {
	known := []string{manyFault, rollingManyFault().name}
	for _, f := range l2Faults() {
		known = append(known, f.name)
	}
	for _, name := range e.faults {
		if !slices.Contains(known, name) {
			return fmt.Errorf("there is no fault %q, but %s", name, strings.Join(known, ", "))
		}
	}
	return nil
}

func (e *env) chosen(fault string) bool {
	return len(e.faults) == 0 || slices.Contains(e.faults, fault)
}

// startL2 brings up three nodes and one Service, whose pod runs on none of the nodes that
// the address can move between: a fourth node carries it.
func (e *env) startL2(ctx context.Context) (addr string, err error) {
	const podNode = "n4"
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
	if err := e.lab.Apply(ctx, fmt.Sprintf(l2Objects, e.family.pool, podNode, e.family.kind)); err != nil {
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
