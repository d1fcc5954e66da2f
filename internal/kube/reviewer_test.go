// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// judge is an API server that knows one token, "good", and counts how often it is asked.
type judge struct {
	tokens, accesses int
	allow            bool
	down             error
}

func (j *judge) client() *fake.Clientset {
	c := fake.NewClientset()
	c.PrependReactor("create", "tokenreviews", func(a clienttesting.Action) (bool, runtime.Object, error) {
		j.tokens++
		r := a.(clienttesting.CreateAction).GetObject().(*authenticationv1.TokenReview).DeepCopy()
		if r.Spec.Token == "good" {
			r.Status = authenticationv1.TokenReviewStatus{Authenticated: true, User: authenticationv1.UserInfo{
				Username: "prometheus", Groups: []string{"scrapers"}, Extra: map[string]authenticationv1.ExtraValue{"pod": {"p-0"}},
			}}
		}
		return true, r, j.down
	})
	c.PrependReactor("create", "subjectaccessreviews", func(a clienttesting.Action) (bool, runtime.Object, error) {
		j.accesses++
		r := a.(clienttesting.CreateAction).GetObject().(*authorizationv1.SubjectAccessReview).DeepCopy()
		s := r.Spec
		r.Status.Allowed = j.allow && s.User == "prometheus" && s.Groups[0] == "scrapers" && s.Extra["pod"][0] == "p-0" &&
			s.ResourceAttributes == nil && *s.NonResourceAttributes == authorizationv1.NonResourceAttributes{Path: "/metrics", Verb: "get"}
		return true, r, j.down
	})
	return c
}

func ask(t *testing.T, r *Reviewer, token, want string) {
	t.Helper()
	user, allowed, err := r.Review(t.Context(), token, "/metrics")
	got := fmt.Sprintf("%s %v", user, allowed)
	if err != nil {
		got = "error"
	}
	if got != want {
		t.Errorf("token %q: %s (%v), want %s", token, got, err, want)
	}
}

func TestReviewerAsksOnceForAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &judge{allow: true}
		r := NewReviewer(j.client())
		for range 3 {
			ask(t, r, "good", "prometheus true")
		}
		if j.tokens != 1 || j.accesses != 1 {
			t.Errorf("asked %d and %d times", j.tokens, j.accesses)
		}
		j.allow = false
		time.Sleep(allowedFor) // virtual
		ask(t, r, "good", "prometheus false")
		j.allow = true
		time.Sleep(refusedFor) // virtual
		ask(t, r, "good", "prometheus true")
	})
}

func TestReviewerKeepsWhoWasAllowedWhileTheServerIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &judge{allow: true}
		r := NewReviewer(j.client())
		ask(t, r, "good", "prometheus true")
		ask(t, r, "bad", " false")
		j.down = errors.New("connection refused")
		time.Sleep(10 * time.Minute) // virtual
		ask(t, r, "good", "prometheus true")
		ask(t, r, "bad", "error")
		ask(t, r, "new", "error")
		time.Sleep(allowedInOutage) // virtual
		ask(t, r, "good", "error")
	})
}

func TestReviewerForgetsRefusalsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &judge{allow: true}
		r := NewReviewer(j.client())
		ask(t, r, "good", "prometheus true")
		for i := range 3 * reviewsKept {
			ask(t, r, fmt.Sprint("guess ", i), " false")
		}
		if len(r.known) > reviewsKept {
			t.Errorf("%d answers kept", len(r.known))
		}
		before := j.tokens
		if ask(t, r, "good", "prometheus true"); j.tokens != before {
			t.Error("a flood of guesses drove out a good answer")
		}
	})
}

func TestReviewerGivesUpWithItsCaller(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := NewReviewer((&judge{}).client())
	for range reviewsAtOnce {
		r.slots <- struct{}{}
	}
	if _, _, err := r.Review(ctx, "good", "/metrics"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
