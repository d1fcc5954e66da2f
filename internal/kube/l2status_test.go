// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"encoding/json"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarion-lb/clarion/api/v1beta1"
	"github.com/clarion-lb/clarion/internal/lb"
	"github.com/clarion-lb/clarion/internal/plan"
)

// someCopies is a store with objects that do not change.
type someCopies[T object] []T

func (s someCopies[T]) synced() bool { return true }
func (s someCopies[T]) list() []T    { return s }
func (s someCopies[T]) get(k lb.Key) (found T, ok bool) {
	i := slices.IndexFunc(s, func(o T) bool { return keyOf(o) == k })
	if i < 0 {
		return found, false
	}
	return s[i], true
}

// echoes answers each write with what was sent, and remembers it.
type echoes struct {
	mu   sync.Mutex
	got  []string
	last v1beta1.ServiceL2Status
	gone bool // objects are not found
}

func (e *echoes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var in v1beta1.ServiceL2Status
	_ = json.NewDecoder(r.Body).Decode(&in) // a DELETE has none
	owner := ""
	if len(in.OwnerReferences) > 0 {
		owner = in.OwnerReferences[0].Name
	}
	_, what, _ := strings.Cut(r.URL.Path, "servicel2statuses")
	request := []string{r.Method, owner}
	if what != "" {
		request = slices.Insert(request, 1, path.Base(what))
	}
	e.got = append(e.got, strings.Join(request, " "))
	w.Header().Set("Content-Type", "application/json")
	if e.gone && r.Method == http.MethodPut && !strings.HasSuffix(r.URL.Path, "/status") {
		w.WriteHeader(http.StatusNotFound)
		_ = json.NewEncoder(w).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Code: 404, Reason: metav1.StatusReasonNotFound})
		return
	}
	in.APIVersion, in.Kind = "metallb.io/v1beta1", "ServiceL2Status"
	e.last = in
	_ = json.NewEncoder(w).Encode(in)
}

func TestStatusOfLayer2GetsOwnerAndLabels(t *testing.T) {
	service := lb.Key{Namespace: "ns", Name: "web"}
	desired := plan.Desired{Known: true, Self: "n1", L2: []lb.Announcement{{Services: []lb.Key{service}}}}
	name := plan.L2StatusName("n1", service)
	of := func(pod string) []metav1.OwnerReference {
		return []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: pod}}
	}
	stored := func(pod string) *v1beta1.ServiceL2Status {
		return &v1beta1.ServiceL2Status{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: "metallb-system", Name: name, OwnerReferences: of(pod),
				Labels: map[string]string{"somebody": "else", labelStatusNode: "n1", labelStatusService: "web", labelStatusNamespace: "ns"},
			},
			Status: v1beta1.ServiceL2StatusStatus{Node: "n1", ServiceName: "web", ServiceNamespace: "ns"},
		}
	}
	bare := stored("new")
	delete(bare.Labels, labelStatusNode)
	if same := sameIdentity(bare, stored("new")); same || !sameIdentity(bare, bare) {
		t.Errorf("a label less is the same: %v", same)
	}
	for what, c := range map[string]struct {
		stored []*v1beta1.ServiceL2Status
		gone   bool
		want   []string
	}{
		"none yet":            {nil, false, []string{"POST new", "PUT status new"}},
		"its own":             {[]*v1beta1.ServiceL2Status{stored("new")}, false, nil},
		"without a label":     {[]*v1beta1.ServiceL2Status{bare}, false, []string{"POST new", "PUT status new"}},
		"of the Pod before":   {[]*v1beta1.ServiceL2Status{stored("old")}, false, []string{"PUT " + name + " new", "PUT status new"}},
		"collected meanwhile": {[]*v1beta1.ServiceL2Status{stored("old")}, true, []string{"PUT " + name + " new", "POST new", "PUT status new"}},
	} {
		t.Run(what, func(t *testing.T) {
			server := &echoes{gone: c.gone}
			w := &L2StatusWriter{
				statusRounds: statusRounds{kind: objectKind{connect(t, server).V1beta1, "metallb-system", l2StatusResource}, owner: ownedBy(of("new"))},
				stored:       Store[*v1beta1.ServiceL2Status]{someCopies[*v1beta1.ServiceL2Status](c.stored)}, wanted: desired,
			}
			if err := w.round(t.Context()); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(server.got, c.want) {
				t.Errorf("requests %q, want %q", server.got, c.want)
			}
		})
	}
}

func TestConflictOfLayer2KeepsTheTimeItBegan(t *testing.T) {
	server := &echoes{}
	w := &L2StatusWriter{statusRounds: statusRounds{kind: objectKind{connect(t, server).V1beta1, "metallb-system", l2StatusResource}, owner: ownedBy(nil)}}
	put := func(conflict string, stored *v1beta1.ServiceL2Status) []string {
		server.got = nil
		if err := w.put(t.Context(), plan.L2Status{Name: "l2-x", Node: "n1", Conflict: conflict}, stored); err != nil {
			t.Fatal(err)
		}
		return server.got
	}
	put("in use by a", nil)
	if c := server.last.Status.Conditions; len(c) != 1 || c[0].LastTransitionTime.IsZero() {
		t.Fatalf("stored %+v, want since when", c)
	}
	began := metav1.Unix(1, 0)
	stored := server.last.DeepCopy()
	stored.Status.Conditions[0].LastTransitionTime = began
	if got := put("in use by a", stored); len(got) > 0 {
		t.Errorf("nothing is new, and requests %q", got)
	}
	put("in use by b", stored)
	if c := server.last.Status.Conditions[0]; c.Message != "in use by b" || !c.LastTransitionTime.Equal(&began) {
		t.Errorf("stored %+v", c)
	}
}
