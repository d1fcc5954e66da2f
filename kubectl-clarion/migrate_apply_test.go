// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// configMapServer is an API server with one ConfigMap. It records what is applied.
type configMapServer struct {
	mu      sync.Mutex
	applied []string // paths
	bodies  []map[string]any
}

func (s *configMapServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch {
	case r.Method == http.MethodGet && r.URL.Path == "/api/v1/namespaces/lb/configmaps/old":
		text, _ := json.Marshal(oldConfig)
		_, _ = io.WriteString(w, `{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "old"}, "data": {"config": `+string(text)+`}}`)
	case r.Method == http.MethodPatch && r.URL.Query().Get("fieldManager") == fieldManager &&
		strings.HasPrefix(r.Header.Get("Content-Type"), "application/apply-patch"):
		var body map[string]any
		_ = json.NewDecoder(r.Body).Decode(&body)
		s.applied, s.bodies = append(s.applied, r.URL.Path), append(s.bodies, body)
		_ = json.NewEncoder(w).Encode(body)
	default:
		http.Error(w, r.Method+" "+r.URL.String(), http.StatusNotFound)
	}
}

func TestMigrateReadsTheClusterAndAppliesOnRequestOnly(t *testing.T) {
	s := &configMapServer{}
	server := httptest.NewServer(s)
	defer server.Close()
	args := []string{"migrate", "--server", server.URL, "-n", "lb", "--configmap", "old"}
	printed, _, err := runPlugin(t, "", args...)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(printed, "192.0.2.0/24") || len(s.applied) > 0 {
		t.Errorf("printed\n%s, applied %v", printed, s.applied)
	}
	again, said, err := runPlugin(t, "", append(args, "--apply")...)
	if err != nil || again != printed {
		t.Errorf("with --apply printed\n%s, error %v", again, err)
	}
	base := "/apis/metallb.io/v1beta1/namespaces/lb/"
	if want := []string{base + "ipaddresspools/a", base + "l2advertisements/a"}; !slices.Equal(s.applied, want) {
		t.Errorf("applied %v, want %v", s.applied, want)
	}
	for _, b := range s.bodies {
		if b["status"] != nil || b["kind"] == nil {
			t.Errorf("applied %v", b)
		}
	}
	if !strings.Contains(said, "applied ipaddresspools/a") {
		t.Errorf("said %q", said)
	}
}
