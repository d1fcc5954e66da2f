// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package upgrade

import (
	"encoding/json"
	"fmt"
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
	ingress, err := json.Marshal(s.Status.LoadBalancer.Ingress)
	if err != nil {
		panic(err) // it came as JSON
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.versions[s.Name] = append(l.versions[s.Name], version{s.ResourceVersion, string(ingress)})
}

func (l *ledger) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

// unchanged fails the test if the addresses of a Service of MetalLB's were ever others than at
// the beginning, or if it was written at all without being in mayBeWritten.
func (l *ledger) unchanged(t *testing.T, mayBeWritten ...string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		t.Error(l.err)
	}
	for _, s := range served() {
		name, all := s.name, l.versions[s.name]
		if len(all) == 0 {
			t.Errorf("Service %s was not followed", name)
			continue
		}
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
