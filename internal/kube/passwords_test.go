// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarion-lb/clarion/api/v1beta2"
)

// secretServer lists and watches single Secrets, of which one is forbidden.
type secretServer struct {
	mu   sync.Mutex
	seen []string
}

func (s *secretServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Query().Get("fieldSelector"), "metadata.name=")
	s.mu.Lock()
	s.seen = append(s.seen, name)
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if name == "forbidden" {
		w.WriteHeader(http.StatusForbidden)
		_ = json.NewEncoder(w).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Code: 403, Reason: metav1.StatusReasonForbidden})
		return
	}
	if onlyWatches(w, r) {
		return
	}
	list := corev1.SecretList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "SecretList"}, ListMeta: metav1.ListMeta{ResourceVersion: "1"}}
	if name == "present" {
		list.Items = []corev1.Secret{{
			ObjectMeta: metav1.ObjectMeta{Namespace: "metallb-system", Name: name, Annotations: map[string]string{"copy": "secret"}},
			Data:       map[string][]byte{"password": []byte("secret"), "username": []byte("x")},
		}}
	}
	_ = json.NewEncoder(w).Encode(list)
}

// names returns the names of the Secrets that were asked for, each once.
func (s *secretServer) names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := slices.Clone(s.seen)
	slices.Sort(out)
	return slices.Compact(out)
}

func peersNaming(secrets ...string) (out []*v1beta2.BGPPeer) {
	for _, name := range secrets {
		p := &v1beta2.BGPPeer{}
		p.Spec.PasswordSecret.Name = name
		out = append(out, p)
	}
	return out
}

func TestOnlyTheSecretsThatPeersNameAreRead(t *testing.T) {
	server := &secretServer{}
	kick := make(chan struct{}, 1)
	w := NewWatcher(slog.New(slog.DiscardHandler), func() { wake(kick) })
	p := newPasswords(w, connect(t, server).Builtin.CoreV1().RESTClient(), "metallb-system")
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { p.run(ctx) })
	defer running.Wait()
	defer cancel()

	peers := peersNaming("present", "absent", "forbidden", "", "present")
	if read, unread := p.named(peers); len(read) != 0 || len(unread) != 3 || unread["present"] != "" {
		t.Errorf("at first: %d read, unread %v", len(read), unread)
	}
	var read []*corev1.Secret
	var unread map[string]string
	for len(read) != 1 || len(unread) != 1 || unread["forbidden"] == "" {
		select {
		case <-kick:
			read, unread = p.named(peers)
		case <-time.After(20 * time.Second):
			t.Fatalf("read %v, unread %v", read, unread)
		}
	}
	s := read[0]
	if string(s.Data["password"]) != "secret" || len(s.Data) != 1 || len(s.Annotations) != 0 {
		t.Errorf("kept of the Secret: %v %v", s.Data, s.Annotations)
	}
	if got := server.names(); !slices.Equal(got, []string{"absent", "forbidden", "present"}) {
		t.Errorf("asked for %q", got)
	}
	if _, unread := p.named(nil); len(unread) != 0 {
		t.Errorf("without peers: unread %v", unread)
	}
}
