// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/clarion-lb/clarion/internal/labctl"
)

// manyFault is a node that is powered off with many addresses on it.
const manyFault = "many addresses"

const (
	manyServices = 500
	manyRuns     = 5 // at most: each takes long
	manyTarget   = 1500
	manyNode     = "n1"
)

// manyObjects prefers one node for a pool of its own.
const manyObjects = `
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: many, namespace: metallb-system}
spec: {addresses: ["%s"], autoAssign: false}
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: many, namespace: metallb-system}
spec:
  ipAddressPools: [many]
  preferredNodeSelectors:
  - {weight: 100, preference: {matchLabels: {kubernetes.io/hostname: %s}}}
`

const manyService = `---
apiVersion: v1
kind: Service
metadata: {name: many-%03d, labels: {app: many}, annotations: {metallb.io/address-pool: many}}
spec:
  type: LoadBalancer
  allocateLoadBalancerNodePorts: false
  ipFamilies: [%s]
  selector: {app: echo}
  ports: [{port: 8090, targetPort: 80, protocol: UDP}]
`

// measureMany measures how long it takes until the last of many addresses of a dead node is
// announced again. As in measureFault, a run that gives no figures is counted.
func (e *env) measureMany(ctx context.Context, addr string, addrs []string) ([]Result, error) {
	var firsts, lasts []float64
	fewest, invalid := len(addrs), 0
	results := func() []Result { return manyResults(e.family.prefix, firsts, lasts, fewest, invalid) }
	for i := range min(e.runs, manyRuns) {
		took, err := e.strikeMany(ctx, addr, addrs)
		if err != nil && ctx.Err() != nil {
			return results(), err
		}
		if err != nil {
			invalid++
			fmt.Printf("%s, run %d: INVALID: %v\n", manyFault, i+1, err)
		} else {
			fewest = min(fewest, len(took))
			first, last := milliseconds(took[0]), milliseconds(took[len(took)-1])
			firsts, lasts = append(firsts, first), append(lasts, last)
			fmt.Printf("%s, run %d: %d addresses announced again after %.0f to %.0f ms\n", manyFault, i+1, len(took), first, last)
		}
		if err := e.lab.Fault(ctx, "power-on", manyNode); err != nil {
			return results(), err
		}
		if err := e.settled(ctx, addrs[0], manyNode); err != nil {
			return results(), err
		}
	}
	if len(lasts) == 0 {
		return results(), fmt.Errorf("%s: %w", manyFault, errNoFigures)
	}
	return results(), nil
}

func manyResults(prefix string, firsts, lasts []float64, fewest, invalid int) []Result {
	name := prefix + manyFault
	out := []Result{{name + "/invalid runs", float64(invalid), "runs", 0, Lower}}
	if len(lasts) == 0 {
		return out
	}
	slices.Sort(firsts)
	slices.Sort(lasts)
	return append(out,
		Result{name + "/on the dead node", float64(fewest), "addresses", 0, Higher},
		Result{name + "/first announced p50", firsts[len(firsts)/2], "ms", 0, Lower},
		Result{name + "/last announced p50", lasts[len(lasts)/2], "ms", manyTarget, Lower},
		Result{name + "/last announced worst", lasts[len(lasts)-1], "ms", manyTarget, Lower})
}

// makeMany creates the Services and returns their addresses.
func (e *env) makeMany(ctx context.Context) ([]string, error) {
	var objects strings.Builder
	fmt.Fprintf(&objects, manyObjects, e.family.many, manyNode)
	for i := range manyServices {
		fmt.Fprintf(&objects, manyService, i, e.family.kind)
	}
	if err := e.lab.Apply(ctx, objects.String()); err != nil {
		return nil, err
	}
	var addrs []string
	err := labctl.Eventually(ctx, 2*time.Minute, func(ctx context.Context) error {
		out, err := e.lab.Kubectl(ctx, "get", "services", "-l", "app=many", "-o", "jsonpath={.items[*].status.loadBalancer.ingress[0].ip}")
		if err != nil {
			return err
		}
		if addrs = strings.Fields(out); len(addrs) != manyServices {
			return fmt.Errorf("%d of %d Services have an address", len(addrs), manyServices)
		}
		return nil
	})
	return addrs, err
}

// strikeMany powers the node off and returns when its addresses were announced by others.
func (e *env) strikeMany(ctx context.Context, addr string, addrs []string) ([]time.Duration, error) {
	var struck time.Time
	o, err := e.lab.Watch(ctx, net.JoinHostPort(addr, "8090"), e.settle, func() error {
		if err := e.askOnce(ctx, addrs); err != nil {
			return err
		}
		time.Sleep(lead)
		struck = time.Now()
		return e.lab.Fault(ctx, "power-off", manyNode)
	})
	if err != nil {
		return nil, err
	}
	owners := o.Owners(struck)
	for a, host := range owners {
		if host != manyNode || !slices.Contains(addrs, a) {
			delete(owners, a)
		}
	}
	took, missing := o.TakeOvers(owners, struck)
	if len(missing) > 0 || len(took) == 0 {
		return nil, fmt.Errorf("%d addresses of %s were announced again, %d were not: %v", len(took), manyNode, len(missing), missing)
	}
	return took, nil
}
