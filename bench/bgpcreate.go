// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarion-lb/clarion/internal/labctl/frr"
)

// creation is how one Service came to its route.
type creation struct {
	asked, created    time.Time   // the creation was answered when it was created
	address, endpoint time.Time   // as a watch shows them
	updates           []time.Time // the first UPDATE of each node arrives at the router; sorted
	first, all        time.Time   // the router's kernel has a path, has every node's
}

// ready is when a speaker could know all that it needs.
func (c *creation) ready() time.Time {
	if c.endpoint.After(c.address) {
		return c.endpoint
	}
	return c.address
}

// measureCreation creates Services one at a time.
func measureCreation(ctx context.Context, e *env, f *bgpFabric) ([]Result, error) {
	m, err := f.router.Monitor()
	if err != nil {
		return nil, err
	}
	defer m.Stop()
	updates, err := f.router.Updates()
	if err != nil {
		return nil, err
	}
	defer updates.Stop()
	watching, stop := context.WithCancel(ctx)
	defer stop()
	clock, err := f.watchEndpoints(watching)
	if err != nil {
		return nil, err
	}
	var s creationTimes
	for i := range e.creations {
		c, err := f.create(ctx, m, clock, fmt.Sprintf("route-%d", i))
		if err != nil {
			return nil, err
		}
		c.updates = updates.Between(c.asked, c.all) // later ones withdraw
		if len(c.updates) == 0 {
			return nil, fmt.Errorf("the route of Service %d came without an UPDATE", i)
		}
		s.add(&c, f.nodes)
	}
	return s.results(), nil
}

// creationTimes are how long parts of creations took.
type creationTimes struct {
	toUpdate, toRoute     []time.Duration // from the creation on
	firstNode, lastNode   []time.Duration // from the moment on when all is known, to the UPDATE
	firstRoute, lastRoute []time.Duration // the same to the kernel's route
}

// add adds a creation. A speaker may learn of everything before the benchmark does, so that its UPDATE
// is at the router before the address is seen here, or even before the creation is answered:
// that counts as no time at all.
func (s *creationTimes) add(c *creation, nodes int) {
	add := func(to *[]time.Duration, from, until time.Time) { *to = append(*to, max(0, until.Sub(from))) }
	add(&s.toUpdate, c.created, c.updates[0])
	add(&s.toRoute, c.created, c.first)
	add(&s.firstNode, c.ready(), c.updates[0])
	if len(c.updates) == nodes { // otherwise one came behind a KEEPALIVE in its segment, and was not seen
		add(&s.lastNode, c.ready(), c.updates[nodes-1])
	}
	add(&s.firstRoute, c.ready(), c.first)
	add(&s.lastRoute, c.ready(), c.all)
}

func (s *creationTimes) results() (out []Result) {
	for _, r := range []struct {
		what    string
		samples []time.Duration
		target  float64 // of p99, in milliseconds; 0 for none
	}{
		{"Service created to UPDATE at the router", s.toUpdate, 0},
		{"Service created to route", s.toRoute, 0},
		{"address and endpoint to UPDATE by the first node", s.firstNode, 50},
		{"address and endpoint to UPDATE by the last node", s.lastNode, 50},
		{"address and endpoint to route", s.firstRoute, 50},
		{"address and endpoint to path by every node", s.lastRoute, 0},
	} {
		if len(r.samples) == 0 {
			continue
		}
		slices.Sort(r.samples)
		out = append(out,
			Result{"bgp/" + r.what + " p50", milliseconds(percentile(r.samples, 50)), "ms", 0, Lower},
			Result{"bgp/" + r.what + " p99", milliseconds(percentile(r.samples, 99)), "ms", r.target, Lower})
	}
	return out
}

// create makes one Service, waits for its route, and removes it again.
func (f *bgpFabric) create(ctx context.Context, m *frr.Monitor, clock *endpointClock, name string) (c creation, err error) {
	s := service(name, corev1.ServiceTypeLoadBalancer)
	s.Spec.Selector = map[string]string{"app": "echo"}
	services := f.client.CoreV1().Services(benchNamespace)
	c.asked = time.Now()
	if _, err := services.Create(ctx, s, metav1.CreateOptions{}); err != nil {
		return c, fmt.Errorf("create service: %w", err)
	}
	c.created = time.Now()
	addr, err := f.waitAddress(ctx, name)
	if err != nil {
		return c, err
	}
	c.address = addr.at
	path := func(enough int) (time.Time, error) {
		change, err := m.Wait(ctx, 30*time.Second, func(r frr.RouteChange) bool {
			return r.Prefix.Addr() == addr.addr && r.Time.After(c.created) && len(r.Hops) >= enough
		})
		return change.Time, err
	}
	if c.first, err = path(1); err != nil {
		return c, err
	}
	if c.all, err = path(f.nodes); err != nil {
		return c, err
	}
	if c.endpoint, err = clock.ready(name); err != nil {
		return c, err
	}
	begin := time.Now()
	if err := services.Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
		return c, fmt.Errorf("delete service: %w", err)
	}
	_, err = m.Wait(ctx, 30*time.Second, func(r frr.RouteChange) bool {
		return r.Prefix.Addr() == addr.addr && r.Time.After(begin) && r.Deleted
	})
	return c, err
}
