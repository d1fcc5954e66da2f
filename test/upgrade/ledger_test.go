// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package upgrade

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// ledger records each version of each Service of type LoadBalancer, from its making on.
type ledger struct {
	mu       sync.Mutex
	versions map[string][]version // by name
	err      error
}

type version struct{ resource, ingress string }

// follow begins a ledger. It ends with the test.
func (c *cluster) follow(t *testing.T) *ledger {
	t.Helper()
	cfg, err := clientcmd.BuildConfigFromFlags("", c.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l := &ledger{versions: map[string][]version{}}
	list, err := client.CoreV1().Services(apps).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range list.Items {
		l.note(&list.Items[i])
	}
	w, err := client.CoreV1().Services(apps).Watch(t.Context(), metav1.ListOptions{ResourceVersion: list.ResourceVersion})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for e := range w.ResultChan() {
			s, ok := e.Object.(*corev1.Service)
			if !ok {
				l.fail(fmt.Errorf("watch Services: %v %v", e.Type, e.Object))
				return
			}
			l.note(s)
		}
		l.fail(fmt.Errorf("the watch of Services ended"))
	}()
	return l
}

func (l *ledger) note(s *corev1.Service) {
	if s.Spec.Type != corev1.ServiceTypeLoadBalancer {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.versions[s.Name] = append(l.versions[s.Name], version{s.ResourceVersion, fmt.Sprint(s.Status.LoadBalancer.Ingress)})
}

func (l *ledger) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

// unchanged fails the test if the addresses of a Service were ever others than at the
// beginning, or if it was written at all without being in mayBeWritten.
func (l *ledger) unchanged(t *testing.T, services int, mayBeWritten ...string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		t.Error(l.err)
	}
	if len(l.versions) < services {
		t.Errorf("%d Services were followed, want %d", len(l.versions), services)
	}
	for _, name := range slices.Sorted(maps.Keys(l.versions)) {
		all := l.versions[name]
		for _, v := range all {
			if v.ingress != all[0].ingress {
				t.Errorf("Service %s: version %s has addresses %s, before %s", name, v.resource, v.ingress, all[0].ingress)
			}
		}
		if len(all) > 1 && !slices.Contains(mayBeWritten, name) {
			t.Errorf("Service %s was right and has been written %d times", name, len(all)-1)
		}
		t.Logf("Service %s: %s, written %d times", name, all[0].ingress, len(all)-1)
	}
}
