// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/tools/cache"

	"github.com/clarion-lb/clarion/internal/labctl"
)

// measureBGPScale measures many routes of one node: the rules that kube-proxy would write for them
// meanwhile are no concern of a speaker, so it stands still.
func measureBGPScale(ctx context.Context, e *env, f *bgpFabric) (out []Result, err error) {
	if err := f.lab.Fault(ctx, "stop", "n1", "kube-proxy"); err != nil {
		return nil, err
	}
	if err := f.peer(ctx); err != nil {
		return nil, err
	}
	const burst = 1000
	if out, err = f.measureBurst(ctx, burst); err != nil {
		return out, err
	}
	got, err := f.measureRestart(ctx, burst, 0, 0)
	if out = append(out, got...); err != nil || e.routes <= burst {
		return out, err
	}
	fmt.Printf("creating %d Services\n", e.routes)
	if err := f.createEchoes(ctx, "route", e.routes); err != nil {
		return out, err
	}
	if err := f.received(ctx, e.routes, 15*time.Minute); err != nil {
		return out, err
	}
	got, err = f.measureRestart(ctx, e.routes, 2000, 120)
	return append(out, got...), err
}

// createEchoes makes Services 0..n-1 where there are none yet.
func (f *bgpFabric) createEchoes(ctx context.Context, prefix string, n int) error {
	return inParallel(n, writers, func(i int) error {
		name := fmt.Sprintf("%s-%06d", prefix, i)
		if f.has(name) {
			return nil
		}
		s := service(name, corev1.ServiceTypeLoadBalancer)
		s.Spec.Selector = map[string]string{"app": "echo"}
		_, err := f.client.CoreV1().Services(benchNamespace).Create(ctx, s, metav1.CreateOptions{})
		return err
	})
}

func (c *cluster) has(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen[name].version != ""
}

// measureBurst creates Services as fast as the API server takes them, deletes them and creates
// them again: no session may notice.
func (f *bgpFabric) measureBurst(ctx context.Context, n int) ([]Result, error) {
	before, err := f.sessions(ctx)
	if err != nil {
		return nil, err
	}
	p, err := runningProcess(ctx, f.lab, "speaker", "n1", 0)
	if err != nil {
		return nil, err
	}
	used, err := p.usage()
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	if err := f.createEchoes(ctx, "route", n); err != nil {
		return nil, err
	}
	created := time.Now()
	if err := f.received(ctx, n, 5*time.Minute); err != nil {
		return nil, err
	}
	took := time.Since(begin)
	after, err := p.usage()
	if err != nil {
		return nil, err
	}
	fmt.Printf("%d Services created in %s, on the router after %s\n", n, created.Sub(begin).Round(time.Millisecond), took.Round(time.Millisecond))
	services := f.client.CoreV1().Services(benchNamespace)
	if err := inParallel(n, writers, func(i int) error {
		return services.Delete(ctx, fmt.Sprintf("route-%06d", i), metav1.DeleteOptions{})
	}); err != nil {
		return nil, err
	}
	if err := f.received(ctx, 0, time.Minute); err != nil {
		return nil, err
	}
	f.forget()
	if err := f.createEchoes(ctx, "route", n); err != nil {
		return nil, err
	}
	if err := f.received(ctx, n, 5*time.Minute); err != nil {
		return nil, err
	}
	now, err := f.sessions(ctx)
	name := fmt.Sprintf("bgp/%d new Services/", n)
	return []Result{
		{name + "on the router", took.Seconds(), "s", 0, Lower},
		{name + "last one after its creation", time.Duration(took - created.Sub(begin)).Seconds(), "s", 0, Lower},
		{name + "speaker CPU", (after.cpu - used.cpu).Seconds(), "s", 0, Lower},
		{fmt.Sprintf("bgp/sessions lost in %d Service changes", 3*n), float64(now - before), "sessions", 0, Lower},
	}, err
}

// forget drops what was seen of Services that are gone.
func (c *cluster) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = map[string]seen{}
}

// measureRestart ends the speaker and lets the new one announce everything. within, in
// milliseconds from the session, and memory, in MiB, are targets; 0 means none.
func (f *bgpFabric) measureRestart(ctx context.Context, routes int, within, memory float64) ([]Result, error) {
	p, err := f.restartSpeaker(ctx, "n1")
	if err != nil {
		return nil, err
	}
	had, err := f.updates(ctx) // the old speaker has said goodbye, the new one has no session yet
	if err != nil {
		return nil, err
	}
	up, err := f.cameUp(ctx, 1, p.started)
	if err != nil {
		return nil, err
	}
	if err := f.received(ctx, routes, 2*time.Minute); err != nil {
		return nil, err
	}
	done := time.Now()
	used, err := p.usage()
	if err != nil {
		return nil, err
	}
	has, err := f.updates(ctx)
	name := fmt.Sprintf("bgp/restart with %d routes/", routes)
	return []Result{
		{name + "start to session", up.Sub(p.started).Seconds(), "s", 0, Lower},
		{name + "session to all routes", milliseconds(done.Sub(up)), "ms", within, Lower},
		{name + "start to all routes", done.Sub(p.started).Seconds(), "s", 0, Lower},
		{name + "speaker CPU since start", used.cpu.Seconds(), "s", 0, Lower},
		{name + "peak memory", float64(used.peak) / (1 << 20), "MiB", memory, Lower},
		{name + "UPDATE messages", float64(has - had), "messages", 0, Lower},
	}, errors.Join(err, f.lab.Ready(ctx))
}

// received waits until the router has exactly so many prefixes of the first node.
func (f *bgpFabric) received(ctx context.Context, want int, limit time.Duration) error {
	return labctl.Eventually(ctx, limit, func(ctx context.Context) error {
		n, err := f.router.Prefixes(ctx, "ipv4", neighbor(1))
		if err == nil && n != want {
			err = fmt.Errorf("the router has %d prefixes, want %d", n, want)
		}
		return err
	})
}

func (f *bgpFabric) updates(ctx context.Context) (int, error) {
	all, err := f.router.Neighbors(ctx)
	return all[neighbor(1)].MessageStats.UpdatesRecv, err
}

// address is a Service's first address and when the watch showed it.
type address struct {
	addr netip.Addr
	at   time.Time
}

// waitAddress waits until a Service has an address.
func (c *cluster) waitAddress(ctx context.Context, name string) (address, error) {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		c.mu.Lock()
		s := c.seen[name]
		c.mu.Unlock()
		if s.assigned {
			return s.address, nil
		}
		select {
		case <-c.changed:
		case <-time.After(100 * time.Millisecond): // another waiter may have had the news
		case <-ctx.Done():
			return address{}, ctx.Err()
		}
	}
	return address{}, fmt.Errorf("service %s has no address after a minute", name)
}

// endpointClock knows when each Service first had a ready endpoint.
type endpointClock struct {
	mu sync.Mutex
	at map[string]time.Time
}

func (c *cluster) watchEndpoints(ctx context.Context) (*endpointClock, error) {
	clock := &endpointClock{at: map[string]time.Time{}}
	lw := cache.NewListWatchFromClient(c.client.DiscoveryV1().RESTClient(), "endpointslices", benchNamespace, fields.Everything())
	inf := cache.NewSharedInformer(lw, &discoveryv1.EndpointSlice{}, 0)
	_, err := inf.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { clock.saw(o) },
		UpdateFunc: func(_, o any) { clock.saw(o) },
	})
	if err != nil {
		return nil, fmt.Errorf("watch endpoints: %w", err)
	}
	go inf.RunWithContext(ctx)
	if !cache.WaitForCacheSync(ctx.Done(), inf.HasSynced) {
		return nil, errors.New("watch endpoints: not synced")
	}
	return clock, nil
}

func (c *endpointClock) saw(o any) {
	s, ok := o.(*discoveryv1.EndpointSlice)
	if !ok {
		return
	}
	for i := range s.Endpoints {
		if r := s.Endpoints[i].Conditions.Ready; r == nil || *r {
			c.mu.Lock()
			if name := s.Labels[discoveryv1.LabelServiceName]; c.at[name].IsZero() {
				c.at[name] = time.Now()
			}
			c.mu.Unlock()
			return
		}
	}
}

// ready returns when a Service that has a route had its first endpoint: it cannot have
// one without the other, but this watch may be later than the speaker's.
func (c *endpointClock) ready(name string) (time.Time, error) {
	for range 100 {
		c.mu.Lock()
		at := c.at[name]
		c.mu.Unlock()
		if !at.IsZero() {
			return at, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return time.Time{}, fmt.Errorf("service %s has no endpoint", name)
}
