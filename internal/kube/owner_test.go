// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// awayAtFirst is an API server that cannot serve the first request for a Pod.
type awayAtFirst struct {
	t     *testing.T
	asked int
}

func (s *awayAtFirst) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	s.asked++
	if s.asked == 1 {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	err := json.NewEncoder(w).Encode(corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: metav1.ObjectMeta{Name: "speaker-a", UID: "1"},
	})
	if err != nil {
		s.t.Error(err)
	}
}

func TestOwnerIsReadWhenTheAPIServerComesBack(t *testing.T) {
	server := &awayAtFirst{t: t}
	o := NewOwner(slog.New(slog.DiscardHandler), connect(t, server).Builtin, "metallb-system", "speaker-a")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- o.Run(ctx) }()
	if err := o.wait(t.Context()); err != nil || len(o.references) != 1 || o.references[0].Name != "speaker-a" {
		t.Errorf("owner is %v, %v", o.references, err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestWithoutPodNameNothingIsWaitedFor(t *testing.T) {
	if o := NewOwner(nil, nil, "metallb-system", ""); !o.isKnown() || o.references != nil {
		t.Errorf("owner is %v", o.references)
	}
}
