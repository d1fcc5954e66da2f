// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/clarion-lb/clarion/api/v1beta1"
	"github.com/clarion-lb/clarion/internal/cluster"
	"github.com/clarion-lb/clarion/internal/daemon"
	"github.com/clarion-lb/clarion/internal/kube"
)

// apiServer stores Services, with versions, for the writer; and is the copies that the loop works
// on, which are never behind.
type apiServer struct {
	*fake.Clientset
	kick chan struct{}

	mu       sync.Mutex
	version  int
	known    bool // the copies are synced
	services map[string]*corev1.Service
	pools    []*v1beta1.IPAddressPool
	writes   []string                 // "NAME ADDRESS", in the order in which they were stored
	gates    map[string]chan struct{} // writes of these Services wait

	slow func()                // called before and after each write, if given
	show func(*corev1.Service) // called with each version, under the lock, if given
}

func newAPIServer() *apiServer {
	s := &apiServer{
		Clientset: fake.NewClientset(), kick: make(chan struct{}, 1),
		services: map[string]*corev1.Service{}, gates: map[string]chan struct{}{},
	}
	return s
}

// CoreV1 is that of the fake client but for the status of Services: a fake client serves one
// request at a time, and holds a lock meanwhile.
func (s *apiServer) CoreV1() typedcorev1.CoreV1Interface {
	return core{s.Clientset.CoreV1(), s}
}

type core struct {
	typedcorev1.CoreV1Interface
	server *apiServer
}

func (c core) Services(namespace string) typedcorev1.ServiceInterface {
	return statuses{c.CoreV1Interface.Services(namespace), c.server}
}

type statuses struct {
	typedcorev1.ServiceInterface
	server *apiServer
}

func (c statuses) UpdateStatus(_ context.Context, svc *corev1.Service, _ metav1.UpdateOptions) (*corev1.Service, error) {
	return c.server.write(svc)
}

func (s *apiServer) write(svc *corev1.Service) (*corev1.Service, error) {
	s.mu.Lock()
	gate := s.gates[svc.Name]
	s.mu.Unlock()
	if gate != nil {
		<-gate
	}
	if s.slow != nil {
		s.slow()
		defer s.slow()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	services := schema.GroupResource{Resource: "services"}
	switch stored := s.services[svc.Name]; {
	case stored == nil:
		return nil, apierrors.NewNotFound(services, svc.Name)
	case svc.ResourceVersion != stored.ResourceVersion:
		return nil, apierrors.NewConflict(services, svc.Name, errors.New("changed"))
	}
	s.writes = append(s.writes, svc.Name+" "+addressOf(svc))
	return s.store(svc), nil
}

// store keeps a new version of a Service. The caller holds the lock.
func (s *apiServer) store(svc *corev1.Service) *corev1.Service {
	s.version++
	out := svc.DeepCopy()
	out.ResourceVersion = strconv.Itoa(s.version)
	s.services[svc.Name] = out
	if s.show != nil {
		s.show(out)
	}
	return out
}

// annotate changes one annotation of a Service, or removes it. The caller holds the lock.
func (s *apiServer) annotate(name, key, value string) {
	out := s.services[name].DeepCopy()
	if value == "" {
		delete(out.Annotations, key)
	} else {
		metav1.SetMetaDataAnnotation(&out.ObjectMeta, key, value)
	}
	s.store(out)
}

// Objects implements sources.
func (s *apiServer) Objects() (o cluster.Objects, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, svc := range s.services {
		o.Services = append(o.Services, cluster.Pack(svc))
	}
	o.Pools = slices.Clone(s.pools)
	return o, s.known
}

// user changes something, and the loop is kicked as by a watch.
func (s *apiServer) user(change func()) {
	s.mu.Lock()
	change()
	s.mu.Unlock()
	s.changed()
}

func (s *apiServer) changed() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// settle lets everything happen that is to happen, and returns the writes since the last call.
func (s *apiServer) settle() []string {
	time.Sleep(time.Minute) // virtual
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.writes
	s.writes = nil
	return out
}

// events returns "NAME REASON xCOUNT" of all events, sorted.
func (s *apiServer) events(t *testing.T) (out []string) {
	t.Helper()
	list, err := s.CoreV1().Events("").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range list.Items {
		e := &list.Items[i]
		out = append(out, fmt.Sprintf("%s %s x%d", e.InvolvedObject.Name, e.Reason, e.Count))
	}
	slices.Sort(out)
	return out
}

// condition returns "STATUS REASON" of a Service.
func (s *apiServer) condition(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := meta.FindStatusCondition(s.services[name].Status.Conditions, cluster.ConditionAddressAssigned)
	if c == nil {
		return ""
	}
	return string(c.Status) + " " + c.Reason
}

func addressOf(svc *corev1.Service) string {
	var out []string
	for _, i := range svc.Status.LoadBalancer.Ingress {
		out = append(out, i.IP)
	}
	return strings.Join(out, ",")
}

// service is a Service that wants one IPv4 address, the older the lower its age; the annotations
// are "key: value".
func service(name string, age int64, annotations ...string) *corev1.Service {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ns", Name: name, UID: types.UID(name), CreationTimestamp: metav1.Unix(age, 0), Annotations: map[string]string{},
		},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, ClusterIP: "10.96.0.1", ClusterIPs: []string{"10.96.0.1"},
			Ports: []corev1.ServicePort{{Port: 80, Protocol: corev1.ProtocolTCP}},
		},
	}
	for _, a := range annotations {
		key, value, _ := strings.Cut(a, ": ")
		s.Annotations[key] = value
	}
	return s
}

func addressPool(name, addresses string) *v1beta1.IPAddressPool {
	return &v1beta1.IPAddressPool{
		ObjectMeta: metav1.ObjectMeta{Namespace: "metallb-system", Name: name, UID: types.UID(name), ResourceVersion: addresses},
		Spec:       v1beta1.IPAddressPoolSpec{Addresses: []string{addresses}},
	}
}

// allocating runs a test with a loop that leads, and its writers, over an API server with a pool of
// one address.
func allocating(t *testing.T, test func(t *testing.T, s *apiServer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newAPIServer()
		s.pools, s.known = []*v1beta1.IPAddressPool{addressPool("one", "192.0.2.1/32")}, true
		g, stop := lead(t, s, s)
		g.Go("allocation", g.loop.Run)
		test(t, s)
		stop()
	})
}

// leading is a loop that leads, and the group that its writers run in.
type leading struct {
	*daemon.Group
	loop *loop
}

// lead starts the writers of a loop over an API server and copies of what it stores. stop ends all.
func lead(t *testing.T, s *apiServer, copies sources) (g leading, stop func()) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	services := kube.NewServiceWriter(log, s, s.changed, func() bool { return true })
	events := kube.NewEvents(log, s.CoreV1(), kube.EventSource{Component: "controller"})
	l := &loop{
		log: log, kick: s.kick, sources: copies, services: services,
		status:  kube.NewStatusWriter(log, kube.Clients{}, s.changed),
		config:  kube.NewConfigWriter(log, nil, metav1.ObjectMeta{}, kube.NewOwner(log, nil, "", "")),
		notices: newNotices(log, events),
		metrics: newMetrics(services, func() error { return nil }),
	}
	ctx, cancel := context.WithCancel(t.Context())
	g = leading{daemon.NewGroup(ctx), l}
	g.Go("service status", services.Run)
	g.Go("events", events.Run)
	return g, func() {
		t.Helper()
		cancel()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	}
}

// wrote compares writes, which go side by side and may be stored in any order.
func wrote(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(slices.Sorted(slices.Values(got)), want) {
		t.Errorf("%s: writes %q, want %q", what, got, want)
	}
}

// I7: that nothing is known yet is not the same as that there is nothing.
func TestI7NothingIsWrittenBeforeEverythingIsKnown(t *testing.T) {
	allocating(t, func(t *testing.T, s *apiServer) {
		holder := service("holder", 1)
		holder.Annotations[cluster.AnnotationAllocatedPool] = "gone"
		holder.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "198.51.100.1"}}
		s.user(func() { s.known = false; s.store(holder); s.store(service("new", 2)) })
		wrote(t, "unknown", s.settle())
		s.user(func() { s.known = true; s.pools = append(s.pools, addressPool("gone", "198.51.100.1/32")) })
		wrote(t, "known", s.settle(), "new 192.0.2.1")
	})
}

// I2, as far as the API server can tell.
func TestTheLoopFedItsOwnResultWritesNothing(t *testing.T) {
	allocating(t, func(t *testing.T, s *apiServer) {
		s.user(func() { s.store(service("first", 1)); s.store(service("second", 2)) })
		wrote(t, "new", s.settle(), "first 192.0.2.1", "second ")
		for range 10 {
			s.changed()
			wrote(t, "kicked", s.settle())
		}
		s.user(func() { s.pools = append(s.pools, addressPool("two", "192.0.2.2/32")) })
		wrote(t, "a pool comes", s.settle(), "second 192.0.2.2")
	})
}

// A Service that keeps its address says so again once what was wrong with it is right.
func TestAConditionIsCorrectedWhenTheMistakeIs(t *testing.T) {
	const asks = "metallb.io/loadBalancerIPs"
	allocating(t, func(t *testing.T, s *apiServer) {
		s.user(func() { s.store(service("web", 1)) })
		wrote(t, "new", s.settle(), "web 192.0.2.1")
		s.user(func() { s.annotate("web", asks, "one of my own") })
		wrote(t, "a request that makes no sense", s.settle(), "web 192.0.2.1")
		if got := s.condition("web"); got != "True LoadBalancerFailed" {
			t.Errorf("the condition of a Service whose request makes no sense is %q", got)
		}
		s.user(func() { s.annotate("web", asks, "") })
		wrote(t, "corrected", s.settle(), "web 192.0.2.1")
		if got := s.condition("web"); got != "True IPAllocated" {
			t.Errorf("the condition after the correction is %q", got)
		}
		s.changed()
		wrote(t, "once more", s.settle())
	})
}

// An address goes to another Service only when the write that takes it away has been answered.
func TestAnAddressIsReleasedBeforeItIsGranted(t *testing.T) {
	allocating(t, func(t *testing.T, s *apiServer) {
		s.user(func() { s.store(service("old", 1)); s.store(service("young", 2)) })
		wrote(t, "new", s.settle(), "old 192.0.2.1", "young ")
		gate := make(chan struct{})
		s.user(func() {
			s.gates["old"] = gate
			s.pools = append(s.pools, addressPool("other", "198.51.100.1/32"))
			s.annotate("old", "metallb.io/address-pool", "other")
			s.annotate("young", "metallb.io/address-pool", "one")
		})
		wrote(t, "the release is on its way", s.settle())
		close(gate)
		want := []string{"old 198.51.100.1", "young 192.0.2.1"}
		if got := s.settle(); !slices.Equal(got, want) {
			t.Errorf("it is answered: writes %q, want %q in this order", got, want)
		}
	})
}

func TestEachEventIsSentOnce(t *testing.T) {
	allocating(t, func(t *testing.T, s *apiServer) {
		s.user(func() { s.store(service("first", 1)); s.store(service("second", 2)) })
		for range 10 {
			s.settle()
			s.changed()
		}
		want := []string{"first IPAllocated x1", "second AllocationFailed x1"}
		if got := s.events(t); !slices.Equal(got, want) {
			t.Errorf("events %q, want %q", got, want)
		}
		s.user(func() { delete(s.services, "first") })
		for range 10 {
			s.settle()
			s.changed()
		}
		want = append(want, "second IPAllocated x1")
		if got := s.events(t); !slices.Equal(got, want) {
			t.Errorf("events %q, want %q", got, want)
		}
	})
}
