// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/rest/fake"

	"github.com/clarion-lb/clarion/api/v1beta1"
	"github.com/clarion-lb/clarion/internal/lb"
)

// stateServer keeps one ConfigurationState, with the status as a subresource.
type stateServer struct {
	mu    sync.Mutex
	state *v1beta1.ConfigurationState
	got   []string // method, and "status" for the subresource
}

func (s *stateServer) answer(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	status := strings.HasSuffix(r.URL.Path, "/status")
	what := r.Method
	if status {
		what += " status"
	}
	s.got = append(s.got, what)
	var in v1beta1.ConfigurationState
	if r.Body != nil {
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			return nil, err
		}
	}
	switch {
	case r.Method == http.MethodPost:
		in.Status = v1beta1.ConfigurationStateStatus{}
		s.state = &in
	case s.state == nil:
		return respond(http.StatusNotFound, &metav1.Status{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Code: http.StatusNotFound, Reason: metav1.StatusReasonNotFound,
		})
	case r.Method == http.MethodPut && status:
		s.state.Status = in.Status
	case r.Method == http.MethodPut:
		s.state.ObjectMeta = in.ObjectMeta
	}
	s.state.APIVersion, s.state.Kind = "metallb.io/v1beta1", "ConfigurationState"
	return respond(http.StatusOK, s.state)
}

func respond(code int, object any) (*http.Response, error) {
	body, err := json.Marshal(object)
	return &http.Response{
		StatusCode: code, Body: io.NopCloser(bytes.NewReader(body)), Header: http.Header{"Content-Type": {"application/json"}},
	}, err
}

// requests returns what was asked since the last call.
func (s *stateServer) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.got
	s.got = nil
	return out
}

// client reaches the server.
func (s *stateServer) client(t *testing.T) rest.Interface { return clientOf(t, s.answer) }

// clientOf reaches a server without a socket.
func clientOf(t *testing.T, answer func(*http.Request) (*http.Response, error)) rest.Interface {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1beta1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	metav1.AddToGroupVersion(scheme, v1beta1.GroupVersion())
	return &fake.RESTClient{
		NegotiatedSerializer: serializer.NewCodecFactory(scheme).WithoutConversion(),
		GroupVersion:         v1beta1.GroupVersion(), Client: fake.CreateHTTPClient(answer),
	}
}

func TestConfigurationStateIsThatOfThisPod(t *testing.T) {
	of := func(pod string) metav1.ObjectMeta {
		return metav1.ObjectMeta{
			Namespace: "metallb-system", Name: "controller", Labels: map[string]string{labelComponent: "controller"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: pod}},
		}
	}
	status := ConfigState("poolReconcilerValid", nil)
	own := &v1beta1.ConfigurationState{ObjectMeta: of("new"), Status: status}
	old := &v1beta1.ConfigurationState{ObjectMeta: of("old"), Status: status}
	bare := &v1beta1.ConfigurationState{ObjectMeta: of("new"), Status: status}
	bare.Labels = map[string]string{"somebody": "else"}
	for what, c := range map[string]struct {
		stored *v1beta1.ConfigurationState
		want   []string
	}{
		"none yet":          {nil, []string{"GET", "POST", "PUT status"}},
		"its own":           {own, []string{"GET"}},
		"of the Pod before": {old, []string{"GET", "PUT"}},
		"without its label": {bare, []string{"GET", "PUT"}},
	} {
		t.Run(what, func(t *testing.T) {
			server := &stateServer{state: c.stored.DeepCopy()}
			w := NewConfigWriter(slog.New(slog.DiscardHandler), server.client(t), of("new"), ownedBy(of("new").OwnerReferences))
			if err := w.write(t.Context()); err != nil || len(server.got) > 0 {
				t.Errorf("with nothing known: requests %q, error %v", server.got, err)
			}
			w.Set(status)
			if err := w.write(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := server.requests(); !slices.Equal(got, c.want) {
				t.Errorf("requests %q, want %q", got, c.want)
			}
			meta := server.state.ObjectMeta
			if meta.OwnerReferences[0].Name != "new" || meta.Labels[labelComponent] != "controller" ||
				c.stored == bare && meta.Labels["somebody"] != "else" || server.state.Status.Result != v1beta1.ConfigurationValid {
				t.Errorf("stored %+v", server.state)
			}
			if err := w.write(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := server.requests(); !slices.Equal(got, []string{"GET"}) {
				t.Errorf("once more: requests %q", got)
			}
		})
	}
}

func TestConfigurationStateThatWasDeletedComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &stateServer{}
		ctx, cancel := context.WithCancel(t.Context())
		w := NewConfigWriter(slog.New(slog.DiscardHandler), server.client(t), metav1.ObjectMeta{Namespace: "metallb-system", Name: "controller"}, ownedBy(nil))
		done := make(chan error)
		go func() { done <- w.Run(ctx) }()
		time.Sleep(2 * configLook) // virtual
		if got := server.requests(); len(got) > 0 {
			t.Errorf("with nothing known: requests %q", got)
		}
		status := ConfigState("poolReconcilerValid", []lb.Problem{{Kind: "IPAddressPool", Reason: "r", Message: "m"}})
		w.Set(status)
		time.Sleep(time.Second)
		server.mu.Lock()
		server.state = nil
		server.mu.Unlock()
		time.Sleep(2 * configLook)
		server.mu.Lock()
		if server.state == nil || server.state.Status.ErrorSummary != status.ErrorSummary {
			t.Errorf("stored %+v", server.state)
		}
		server.mu.Unlock()
		server.requests()
		time.Sleep(10 * configLook)
		if n := len(server.requests()); n < 6 || n > 10 {
			t.Errorf("%d requests in ten times %s for an object as it should be", n, configLook)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
}
