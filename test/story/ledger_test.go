// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/clarion-lb/clarion/internal/labctl"
)

// connect returns a client, for stories in which starting kubectl would take too long.
func connect(t *testing.T) kubernetes.Interface {
	t.Helper()
	path, err := lab.Kubeconfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	cfg.QPS = -1
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// ledger watches all Services of a namespace and writes down who ever had which address. Its
// watch starts again after an outage of the API server.
type ledger struct {
	mu       sync.Mutex
	services map[string]string // name to address, "" while it has none
	holders  map[string]string // address to the name of the Service that has it now
	given    int               // how many times a Service without an address got one
	moves    []string          // every address that was taken away or replaced
	doubles  []string          // every address that two Services had at a time
}

func watchLedger(t *testing.T, client kubernetes.Interface, namespace string) *ledger {
	t.Helper()
	l := &ledger{services: map[string]string{}, holders: map[string]string{}}
	informer := cache.NewSharedInformer(cache.NewListWatchFromClient(
		client.CoreV1().RESTClient(), "services", namespace, fields.Everything()), &corev1.Service{}, 0)
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    l.see,
		UpdateFunc: func(_, now any) { l.see(now) },
	}); err != nil {
		t.Fatal(err)
	}
	go informer.RunWithContext(t.Context())
	if !cache.WaitForCacheSync(t.Context().Done(), informer.HasSynced) {
		t.Fatal("the list of Services does not come")
	}
	return l
}

func (l *ledger) see(object any) {
	svc, ok := object.(*corev1.Service)
	if !ok {
		return
	}
	now := ""
	for _, i := range svc.Status.LoadBalancer.Ingress {
		now += i.IP
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.services[svc.Name]
	l.services[svc.Name] = now
	if before == now {
		return
	}
	if before == "" {
		l.given++
	} else {
		l.moves = append(l.moves, fmt.Sprintf("%s from %s to %q", svc.Name, before, now))
		if l.holders[before] == svc.Name {
			delete(l.holders, before)
		}
	}
	if now != "" {
		if other, taken := l.holders[now]; taken {
			l.doubles = append(l.doubles, fmt.Sprintf("%s given to %s while %s had it", now, svc.Name, other))
		}
		l.holders[now] = svc.Name
	}
}

// counts returns how many addresses were given so far, and how many Services wait for one.
func (l *ledger) counts() (given, pending int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, addr := range l.services {
		if addr == "" {
			pending++
		}
	}
	return l.given, pending
}

// waiting returns as soon as a Service waits for an address.
func (l *ledger) waiting(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if _, pending := l.counts(); pending > 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("no Service ever waits for an address")
		}
	}
}

// all waits until that many Services exist and every one has an address.
func (l *ledger) all(t *testing.T, want int, limit time.Duration) {
	t.Helper()
	if err := labctl.Eventually(t.Context(), limit, func(context.Context) error {
		_, pending := l.counts()
		l.mu.Lock()
		defer l.mu.Unlock()
		if len(l.services) != want || pending > 0 {
			return fmt.Errorf("%d Services of %d, %d of them without an address", len(l.services), want, pending)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// clean fails the test if an address was used twice, or moved away from one of the Services
// whose names begin with prefix.
func (l *ledger) clean(t *testing.T, prefix string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range l.doubles {
		t.Errorf("double use: %s", d)
	}
	for _, m := range l.moves {
		if strings.HasPrefix(m, prefix) {
			t.Errorf("moved: %s", m)
		}
	}
}

// stored compares the ledger with what the API server says in the end.
func (l *ledger) stored(t *testing.T, client kubernetes.Interface, namespace string) {
	t.Helper()
	list, err := client.CoreV1().Services(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(list.Items) != len(l.services) {
		t.Errorf("%d Services are stored, %d were seen", len(list.Items), len(l.services))
	}
	var addrs []string
	for i := range list.Items {
		svc := &list.Items[i]
		if ingress := svc.Status.LoadBalancer.Ingress; len(ingress) != 1 || ingress[0].IP != l.services[svc.Name] {
			t.Errorf("%s has %v, and was seen with %q", svc.Name, ingress, l.services[svc.Name])
			continue
		}
		addrs = append(addrs, svc.Status.LoadBalancer.Ingress[0].IP)
	}
	slices.Sort(addrs)
	if n := len(slices.Compact(addrs)); n != len(list.Items) {
		t.Errorf("%d Services have %d different addresses", len(list.Items), n)
	}
}

// crowd creates Services one after the other until it is told to stop.
type crowd struct {
	stop context.CancelFunc
	done chan struct{}
	n    int   // read after done
	err  error // read after done
}

// startCrowd creates Services NAME-0000, NAME-0001, ... that want an address of a pool, without
// node ports, of which there are fewer than addresses. It lives through an API server that
// does not answer.
func startCrowd(t *testing.T, client kubernetes.Interface, namespace, name, pool string, pause time.Duration) *crowd {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	c := &crowd{stop: cancel, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		for ; ctx.Err() == nil && c.err == nil; c.n++ {
			// The name that was begun is brought to its end, so that n is what exists.
			c.err = createOne(t.Context(), client, namespace, fmt.Sprintf("%s-%04d", name, c.n), pool)
			time.Sleep(pause)
		}
	}()
	t.Cleanup(func() { cancel(); <-c.done })
	return c
}

// finish returns how many Services the crowd has created.
func (c *crowd) finish(t *testing.T) int {
	t.Helper()
	c.stop()
	<-c.done
	if c.err != nil {
		t.Fatal(c.err)
	}
	return c.n
}

func createOne(ctx context.Context, client kubernetes.Interface, namespace, name, pool string) error {
	return labctl.Eventually(ctx, time.Minute, func(ctx context.Context) error {
		_, err := client.CoreV1().Services(namespace).Create(ctx, &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{"metallb.io/address-pool": pool}},
			Spec: corev1.ServiceSpec{
				Type:                          corev1.ServiceTypeLoadBalancer,
				AllocateLoadBalancerNodePorts: new(bool),
				Ports:                         []corev1.ServicePort{{Port: 80}},
			},
		}, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			return nil // an answer was lost
		}
		return err
	})
}
