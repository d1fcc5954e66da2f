// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarion-lb/clarion/api/v1beta1"
	"github.com/clarion-lb/clarion/internal/lb"
	"github.com/clarion-lb/clarion/internal/plan"
)

// objectServer keeps ServiceBGPStatuses, with the status as a subresource.
type objectServer struct {
	t *testing.T

	mu      sync.Mutex
	version int
	objects map[string]*v1beta1.ServiceBGPStatus
	got     []string // "method path"
}

func (s *objectServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Has("labelSelector") {
		s.list(w, r)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, r.Method+" "+strings.TrimPrefix(r.URL.Path, "/apis/metallb.io/v1beta1/namespaces/metallb-system/servicebgpstatuses"))
	var in v1beta1.ServiceBGPStatus
	if r.Method == http.MethodPost || r.Method == http.MethodPut {
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			s.t.Errorf("%s %s: %v", r.Method, r.URL.Path, err)
		}
	}
	name, sub, _ := strings.Cut(strings.TrimPrefix(s.got[len(s.got)-1], r.Method+" /"), "/")
	if r.Method == http.MethodPost {
		name = in.Name
	}
	stored := s.objects[name]
	if r.Method != http.MethodGet {
		s.version++
	}
	switch {
	case r.Method == http.MethodDelete:
		delete(s.objects, name)
		stored = &in
	case r.Method == http.MethodPost && stored != nil:
		exists(w)
		return
	case r.Method == http.MethodGet:
	case r.Method == http.MethodPost:
		in.Status = v1beta1.ServiceBGPStatusStatus{}
		stored = &in
	case stored == nil || in.ResourceVersion != stored.ResourceVersion:
		w.WriteHeader(http.StatusConflict)
		return
	case sub == "status":
		stored.Status = in.Status
	default:
		stored.ObjectMeta = in.ObjectMeta
	}
	stored.ResourceVersion = fmt.Sprint(s.version)
	if r.Method != http.MethodDelete {
		s.objects[name] = stored
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(stored); err != nil {
		s.t.Error(err)
	}
}

// exists declines to create.
func exists(w http.ResponseWriter) {
	w.WriteHeader(http.StatusConflict)
	_ = json.NewEncoder(w).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Code: 409, Reason: metav1.StatusReasonAlreadyExists})
}

// list answers a reflector once, and tells it nothing after that.
func (s *objectServer) list(w http.ResponseWriter, r *http.Request) {
	if got := r.URL.Query().Get("labelSelector"); got != labelStatusNode+"=n1" {
		s.t.Errorf("list of %q", got)
	}
	w.Header().Set("Content-Type", "application/json")
	if onlyWatches(w, r) {
		return
	}
	if err := json.NewEncoder(w).Encode(v1beta1.ServiceBGPStatusList{
		TypeMeta: metav1.TypeMeta{APIVersion: "metallb.io/v1beta1", Kind: "ServiceBGPStatusList"},
		ListMeta: metav1.ListMeta{ResourceVersion: "1"},
		Items:    []v1beta1.ServiceBGPStatus{{ObjectMeta: metav1.ObjectMeta{Namespace: "metallb-system", Name: "stale"}}},
	}); err != nil {
		s.t.Error(err)
	}
}

// onlyWatches answers a watch, which tells nothing, and declines to list by a watch.
func onlyWatches(w http.ResponseWriter, r *http.Request) bool {
	switch q := r.URL.Query(); {
	case q.Get("sendInitialEvents") != "":
		w.WriteHeader(http.StatusUnprocessableEntity)
		_ = json.NewEncoder(w).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Code: 422, Reason: metav1.StatusReasonInvalid})
	case q.Get("watch") != "":
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	default:
		return false
	}
	return true
}

// requests returns what was asked since the last call.
func (s *objectServer) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.got
	s.got = nil
	return out
}

// connect returns clients of a test server.
func connect(t *testing.T, h http.Handler) Clients {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf("apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: %q}}]\ncontexts: [{name: c, context: {cluster: c}}]\ncurrent-context: c\n", server.URL)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Connect(file, "test")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestStatusObjectsBecomeThoseWanted(t *testing.T) {
	server := &objectServer{t: t, objects: map[string]*v1beta1.ServiceBGPStatus{}}
	clients := connect(t, server)
	owner := func(uid string) Reporter {
		return Reporter{Log: slog.New(slog.DiscardHandler), Namespace: "metallb-system", Node: "n1",
			Owner: ownedBy([]metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: "speaker-" + uid}})}
	}
	service := plan.Advertised{Service: lb.Key{Namespace: "ns", Name: "web"}, Peers: []string{"r1"}}
	want := plan.BGP{Known: true, Self: "n1", Why: []plan.Advertised{service}}
	name := plan.BGPStatusName("n1", service.Service)

	w := newBGPStatusWriter(t, clients, owner("a"))
	if err := w.services.round(t.Context()); err != nil || len(server.requests()) > 0 {
		t.Fatalf("wrote before anything was known: %v", err)
	}
	w.SetServices(want)
	rounds(t, w, server, "POST , PUT /"+name+"/status, DELETE /stale")
	if diff := cmp.Diff(v1beta1.ServiceBGPStatusStatus{Node: "n1", ServiceName: "web", ServiceNamespace: "ns", Peers: []string{"r1"}}, server.objects[name].Status); diff != "" {
		t.Error(diff)
	}
	wantLabels := map[string]string{labelStatusNode: "n1", labelStatusService: "web", labelStatusNamespace: "ns"}
	if got := server.objects[name].Labels; !maps.Equal(got, wantLabels) {
		t.Errorf("labels %v", got)
	}
	remember(t, w, server, name)
	rounds(t, w, server, "")

	want.Why = []plan.Advertised{{Service: service.Service, Peers: []string{"r1", "r2"}}}
	w.SetServices(want)
	rounds(t, w, server, "PUT /"+name+"/status")
	remember(t, w, server, name)

	// A speaker that comes after finds the object and becomes its owner.
	next := newBGPStatusWriter(t, clients, owner("b"))
	remember(t, next, server, name)
	next.SetServices(want)
	rounds(t, next, server, "PUT /"+name+", PUT /"+name+"/status")
	if got := server.objects[name].OwnerReferences[0].Name; got != "speaker-b" {
		t.Errorf("owner %s", got)
	}
}

// An object without the label by which a speaker reads its own ones is not among its copies.
func TestStatusObjectGetsItsLabelBack(t *testing.T) {
	service := lb.Key{Namespace: "ns", Name: "web"}
	name := plan.BGPStatusName("n1", service)
	owner := []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: "speaker"}}
	server := &objectServer{t: t, version: 6, objects: map[string]*v1beta1.ServiceBGPStatus{}}
	w := newBGPStatusWriter(t, connect(t, server), Reporter{Log: slog.New(slog.DiscardHandler), Namespace: "metallb-system", Node: "n1", Owner: ownedBy(owner)})
	w.SetServices(plan.BGP{Known: true, Self: "n1", Why: []plan.Advertised{{Service: service, Peers: []string{"r1"}}}})
	full := map[string]string{"somebody": "else", labelStatusNode: "n1", labelStatusService: "web", labelStatusNamespace: "ns"}
	repair := "POST , GET /" + name + ", PUT /" + name + ", PUT /" + name + "/status"
	for what, c := range map[string]struct {
		labels map[string]string
		owner  []metav1.OwnerReference
		want   string
	}{
		"no label":                      {map[string]string{"somebody": "else"}, owner, repair},
		"no owner":                      {full, nil, repair},
		"that of another node":          {map[string]string{"somebody": "else", labelStatusNode: "n2"}, owner, repair},
		"its label, and a copy is late": {full, owner, "POST , GET /" + name + ", PUT /" + name + "/status"},
	} {
		t.Run(what, func(t *testing.T) {
			server.objects[name] = &v1beta1.ServiceBGPStatus{ObjectMeta: metav1.ObjectMeta{
				Namespace: "metallb-system", Name: name, ResourceVersion: "6", Labels: c.labels, OwnerReferences: c.owner,
			}}
			replace(t, w)
			rounds(t, w, server, c.want)
			got := server.objects[name]
			if !maps.Equal(got.Labels, full) || len(got.OwnerReferences) != 1 || len(got.Status.Peers) != 1 {
				t.Errorf("stored %+v", got)
			}
			replace(t, w, got.DeepCopy())
			rounds(t, w, server, "")
		})
	}
}

func newBGPStatusWriter(t *testing.T, c Clients, o Reporter) *BGPStatusWriter {
	t.Helper()
	watcher := NewWatcher(o.Log, func() {})
	w, err := NewBGPStatusWriter(watcher, c, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	t.Cleanup(func() { cancel(); running.Wait() })
	running.Go(func() {
		if err := watcher.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	<-w.services.wake // that the list is here wakes the writer
	return w
}

// rounds does one round and compares the requests.
func rounds(t *testing.T, w *BGPStatusWriter, s *objectServer, want string) {
	t.Helper()
	if err := w.services.round(t.Context()); err != nil {
		t.Error(err)
	}
	if got := strings.Join(s.requests(), ", "); got != want {
		t.Errorf("requests %q, want %q", got, want)
	}
}

// remember makes the writer's copies those of the server.
func remember(t *testing.T, w *BGPStatusWriter, s *objectServer, name string) {
	t.Helper()
	replace(t, w, s.objects[name].DeepCopy())
}

// replace gives the writer other copies.
func replace(t *testing.T, w *BGPStatusWriter, list ...any) {
	t.Helper()
	stored, ok := w.services.stored.copies.(*copies[*v1beta1.ServiceBGPStatus, *v1beta1.ServiceBGPStatus])
	if !ok {
		t.Fatalf("copies are %T", w.services.stored.copies)
	}
	if err := stored.Replace(list, ""); err != nil {
		t.Fatal(err)
	}
}
