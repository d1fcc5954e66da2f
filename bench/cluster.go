// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/clarion-lb/clarion/internal/labctl"
)

const benchNamespace = "default"

// cluster is a bare client with its own watch on the Services: what a user would see, and when.
type cluster struct {
	lab    labctl.Lab
	client kubernetes.Interface
	cancel context.CancelFunc

	mu       sync.Mutex
	seen     map[string]seen
	assigned int                      // Services with an address
	last     time.Time                // when the last of them got it
	changed  chan struct{}            // one slot
	waiting  map[string]chan struct{} // closed when the Service of this name has its address
	names    atomic.Int64
}

type seen struct {
	version  string
	assigned bool
	address  address // the first, if assigned
}

func connect(ctx context.Context, lab labctl.Lab) (*cluster, error) {
	path, err := lab.Kubeconfig(ctx)
	if err != nil {
		return nil, err
	}
	cfg, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	cfg.QPS = -1
	cfg.UserAgent = "clarion-bench"
	cfg.ContentType = "application/vnd.kubernetes.protobuf"
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("build client: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	c := &cluster{lab: lab, client: client, cancel: cancel, seen: map[string]seen{}, waiting: map[string]chan struct{}{}, changed: make(chan struct{}, 1)}
	return c, c.watch(ctx)
}

func (c *cluster) watch(ctx context.Context) error {
	lw := cache.NewListWatchFromClient(c.client.CoreV1().RESTClient(), "services", benchNamespace, fields.Everything())
	inf := cache.NewSharedInformer(lw, &corev1.Service{}, 0)
	_, err := inf.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { c.saw(o) },
		UpdateFunc: func(_, o any) { c.saw(o) },
	})
	if err != nil {
		return fmt.Errorf("watch services: %w", err)
	}
	go inf.RunWithContext(ctx)
	if !cache.WaitForCacheSync(ctx.Done(), inf.HasSynced) {
		return errors.New("watch services: not synced")
	}
	return nil
}

func (c *cluster) saw(o any) {
	s, ok := o.(*corev1.Service)
	if !ok {
		return
	}
	c.mu.Lock()
	before := c.seen[s.Name]
	now := seen{s.ResourceVersion, len(s.Status.LoadBalancer.Ingress) > 0, before.address}
	if now.assigned && !before.assigned {
		now.address.at = time.Now()
		now.address.addr, _ = netip.ParseAddr(s.Status.LoadBalancer.Ingress[0].IP) // invalid for a host name
	}
	c.seen[s.Name] = now
	if now.assigned && !before.assigned {
		c.assigned++
		c.last = time.Now()
		if w := c.waiting[s.Name]; w != nil {
			close(w)
			delete(c.waiting, s.Name)
		}
	}
	c.mu.Unlock()
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

func (c *cluster) close() { c.cancel() }

// versions returns the resource version of every Service.
func (c *cluster) versions() map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make(map[string]string, len(c.seen))
	for k, s := range c.seen {
		out[k] = s.version
	}
	return out
}

// waitAssigned returns when the n-th Service got its address.
func (c *cluster) waitAssigned(ctx context.Context, n int, limit time.Duration) (time.Time, error) {
	deadline := time.After(limit)
	for {
		c.mu.Lock()
		got, last := c.assigned, c.last
		c.mu.Unlock()
		if got >= n {
			return last, nil
		}
		select {
		case <-c.changed:
		case <-deadline:
			return last, fmt.Errorf("%d of %d Services have an address after %s", got, n, limit)
		case <-ctx.Done():
			return last, ctx.Err()
		}
	}
}

func service(name string, kind corev1.ServiceType) *corev1.Service {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: benchNamespace, Name: name},
		Spec: corev1.ServiceSpec{
			Type:     kind,
			Ports:    []corev1.ServicePort{{Port: 80}},
			Selector: map[string]string{"app": "none"},
		},
	}
	if kind == corev1.ServiceTypeLoadBalancer {
		none := false // there are fewer node ports than Services here
		s.Spec.AllocateLoadBalancerNodePorts = &none
	}
	return s
}

// createServices creates n Services with several writers.
func (c *cluster) createServices(ctx context.Context, prefix string, n, writers int) error {
	return inParallel(n, writers, func(i int) error {
		s := service(fmt.Sprintf("%s-%06d", prefix, i), corev1.ServiceTypeLoadBalancer)
		_, err := c.client.CoreV1().Services(benchNamespace).Create(ctx, s, metav1.CreateOptions{})
		return err
	})
}

// createAndWait creates one Service and returns how long it took from the answer to the
// creation until the watch showed its address.
func (c *cluster) createAndWait(ctx context.Context) (time.Duration, error) {
	name := fmt.Sprintf("single-%06d", c.names.Add(1))
	assigned := make(chan struct{})
	c.mu.Lock()
	c.waiting[name] = assigned
	c.mu.Unlock()
	s := service(name, corev1.ServiceTypeLoadBalancer)
	if _, err := c.client.CoreV1().Services(benchNamespace).Create(ctx, s, metav1.CreateOptions{}); err != nil {
		return 0, fmt.Errorf("create service: %w", err)
	}
	begin := time.Now()
	select {
	case <-assigned:
		return time.Since(begin), nil
	case <-time.After(time.Minute):
		return 0, fmt.Errorf("service %s has no address after a minute", name)
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// timeRawWrites measures the limit: status writes by a bare client, on Services that the
// controller has been taken away from.
func (c *cluster) timeRawWrites(ctx context.Context, n int) (time.Duration, error) {
	if err := scale(ctx, c.lab, 0); err != nil {
		return 0, err
	}
	list, err := c.client.CoreV1().Services(benchNamespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return 0, fmt.Errorf("list services: %w", err)
	}
	var targets []*corev1.Service
	for i := range list.Items {
		s := &list.Items[i]
		if s.Spec.Type == corev1.ServiceTypeLoadBalancer && len(targets) < n {
			s.ManagedFields = nil
			s.Status = corev1.ServiceStatus{LoadBalancer: corev1.LoadBalancerStatus{
				Ingress: []corev1.LoadBalancerIngress{{IP: fmt.Sprintf("203.0.113.%d", len(targets)%250+1)}},
			}}
			targets = append(targets, s)
		}
	}
	begin := time.Now()
	err = inParallel(len(targets), writers, func(i int) error {
		_, err := c.client.CoreV1().Services(benchNamespace).UpdateStatus(ctx, targets[i], metav1.UpdateOptions{})
		return err
	})
	return time.Since(begin), err
}

// inParallel calls f with 0..n-1 from several goroutines and returns the joined errors.
func inParallel(n, writers int, f func(i int) error) error {
	var next atomic.Int64
	errs := make([]error, writers)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := f(i); err != nil {
					errs[w] = errors.Join(errs[w], err)
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
