// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarion-lb/clarion/api/v1beta1"
	"github.com/clarion-lb/clarion/api/v1beta2"
	"github.com/clarion-lb/clarion/internal/cluster"
)

// statusServer answers status writes, each object's with the code that it has for its name.
type statusServer struct {
	t     *testing.T
	codes map[string]int

	mu  sync.Mutex
	got []string // "path kind/version status"
}

func (s *statusServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var o struct {
		metav1.TypeMeta
		Metadata metav1.ObjectMeta
		Status   struct{ Conditions []metav1.Condition }
	}
	if err := json.NewDecoder(r.Body).Decode(&o); err != nil {
		s.t.Errorf("%s %s: %v", r.Method, r.URL.Path, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, fmt.Sprintf("%s %s %s/%s %s", r.Method, r.URL.Path, o.APIVersion, o.Kind, o.Status.Conditions[0].Status))
	w.Header().Set("Content-Type", "application/json")
	code := s.codes[o.Metadata.Name]
	if code == 0 {
		code = http.StatusOK
	}
	w.WriteHeader(code)
	if err := json.NewEncoder(w).Encode(metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Code: int32(code),
		Reason: map[int]metav1.StatusReason{409: metav1.StatusReasonConflict, 404: metav1.StatusReasonNotFound}[code],
	}); err != nil {
		s.t.Error(err)
	}
}

// requests returns what was asked since the last call, sorted.
func (s *statusServer) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.got
	s.got = nil
	slices.Sort(out)
	return out
}

func newStatusWriter(t *testing.T, s *statusServer) *StatusWriter {
	t.Helper()
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`{"apiVersion": "v1", "kind": "Config", "current-context": "x",
		"contexts": [{"name": "x", "context": {"cluster": "x"}}],
		"clusters": [{"name": "x", "cluster": {"server": %q}}]}`, h.URL)
	if err := os.WriteFile(kubeconfig, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	clients, err := Connect(kubeconfig, "test")
	if err != nil {
		t.Fatal(err)
	}
	return NewStatusWriter(slog.New(slog.DiscardHandler), clients, func() {})
}

// rendered are one object of each kind as the controller wants it stored.
func rendered() []cluster.ConfigObject {
	at := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: "ns", Name: name} }
	o := cluster.Objects{
		Pools:             []*v1beta1.IPAddressPool{{ObjectMeta: at("pool")}},
		L2Advertisements:  []*v1beta1.L2Advertisement{{ObjectMeta: at("l2")}},
		BGPAdvertisements: []*v1beta1.BGPAdvertisement{{ObjectMeta: at("bgp")}},
		BGPPeers:          []*v1beta2.BGPPeer{{ObjectMeta: at("peer")}},
		BFDProfiles:       []*v1beta1.BFDProfile{{ObjectMeta: at("bfd")}},
		Communities:       []*v1beta1.Community{{ObjectMeta: at("community")}},
	}
	return cluster.RenderConfig(o, map[string]cluster.PoolVerdict{"pool": {}}, nil, metav1.Now().Time)
}

func TestStatusOfEachKindGoesToItsResource(t *testing.T) {
	s := &statusServer{t: t}
	w := newStatusWriter(t, s)
	w.Set(rendered())
	if ok, stale := w.writeAll(t.Context()); !ok || stale {
		t.Error("a write was refused, want all stored")
	}
	want := []string{
		"PUT /apis/metallb.io/v1beta1/namespaces/ns/bfdprofiles/bfd/status metallb.io/v1beta1/BFDProfile True",
		"PUT /apis/metallb.io/v1beta1/namespaces/ns/bgpadvertisements/bgp/status metallb.io/v1beta1/BGPAdvertisement True",
		"PUT /apis/metallb.io/v1beta1/namespaces/ns/communities/community/status metallb.io/v1beta1/Community True",
		"PUT /apis/metallb.io/v1beta1/namespaces/ns/ipaddresspools/pool/status metallb.io/v1beta1/IPAddressPool True",
		"PUT /apis/metallb.io/v1beta1/namespaces/ns/l2advertisements/l2/status metallb.io/v1beta1/L2Advertisement True",
		"PUT /apis/metallb.io/v1beta2/namespaces/ns/bgppeers/peer/status metallb.io/v1beta2/BGPPeer True",
	}
	if got := s.requests(); !slices.Equal(got, want) {
		t.Errorf("requests:\n%q\nwant:\n%q", got, want)
	}
	if w.writeAll(t.Context()); len(s.requests()) > 0 {
		t.Error("what was stored is written again")
	}
}

func TestOnlyRefusedStatusIsTriedAgain(t *testing.T) {
	s := &statusServer{t: t, codes: map[string]int{"peer": http.StatusForbidden, "l2": http.StatusConflict, "bfd": http.StatusNotFound}}
	w := newStatusWriter(t, s)
	w.Set(rendered())
	if ok, stale := w.writeAll(t.Context()); ok || !stale {
		t.Errorf("all is said to be well: %t, a copy to be old: %t; want that a write was refused, and the conflict", ok, stale)
	}
	if n := len(s.requests()); n != 6 {
		t.Errorf("%d requests, want 6: one bad object must not hold back the others", n)
	}
	w.writeAll(t.Context())
	if got := s.requests(); len(got) != 1 || got[0][:len("PUT /apis/metallb.io/v1beta2")] != "PUT /apis/metallb.io/v1beta2" {
		t.Errorf("requests are %q, want the refused peer's alone", got)
	}
	w.Set(nil)
	if w.writeAll(t.Context()); len(s.requests()) > 0 {
		t.Error("a status that is no longer wanted is written")
	}
}
