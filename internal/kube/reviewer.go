// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// How long an answer of the API server is believed. A permission that is taken away ends after
// allowedFor; while the API server cannot be asked, whoever was allowed last stays so for
// allowedInOutage, because an outage is when the metrics are wanted most.
const (
	allowedFor      = time.Minute
	refusedFor      = 10 * time.Second
	allowedInOutage = time.Hour
	reviewTimeout   = 5 * time.Second
	reviewsAtOnce   = 4
	reviewsKept     = 256
)

// Reviewer asks the API server who the bearer of a token is and whether he may read a path.
type Reviewer struct {
	client kubernetes.Interface
	slots  chan struct{} // a flood of callers becomes no flood of reviews

	mu    sync.Mutex
	known map[reviewKey]review
}

// reviewKey holds a hash, so that a dump of the memory shows no token.
type reviewKey struct {
	token [sha256.Size]byte
	path  string
}

type review struct {
	user    string // "" if the token is nobody's
	allowed bool
	at      time.Time
}

func (r review) fresh(now time.Time) bool {
	limit := refusedFor
	if r.allowed {
		limit = allowedFor
	}
	return now.Sub(r.at) < limit
}

// NewReviewer returns a reviewer that has asked nothing yet.
func NewReviewer(client kubernetes.Interface) *Reviewer {
	return &Reviewer{client: client, slots: make(chan struct{}, reviewsAtOnce), known: map[reviewKey]review{}}
}

// Review returns the name of the token's user, "" if the API server does not know the token,
// and whether that user may GET the path.
func (r *Reviewer) Review(ctx context.Context, token, path string) (user string, allowed bool, err error) {
	key := reviewKey{sha256.Sum256([]byte(token)), path}
	if last, ok := r.lookup(key); ok && last.fresh(time.Now()) {
		return last.user, last.allowed, nil
	}
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return "", false, ctx.Err()
	}
	last, ok := r.lookup(key) // who waited may find the answer to somebody else's question
	if ok && last.fresh(time.Now()) {
		return last.user, last.allowed, nil
	}
	now, err := r.ask(ctx, token, path)
	if err != nil {
		if ok && last.allowed && time.Since(last.at) < allowedInOutage {
			return last.user, true, nil
		}
		return "", false, err
	}
	r.keep(key, now)
	return now.user, now.allowed, nil
}

func (r *Reviewer) lookup(key reviewKey) (review, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	last, ok := r.known[key]
	return last, ok
}

// keep remembers an answer. When there are too many, those that no longer count go, and if
// these are too few, all that refuse: they are the ones that anybody can cause.
func (r *Reviewer) keep(key reviewKey, now review) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.known) >= reviewsKept {
		for k, v := range r.known {
			if !v.allowed || now.at.Sub(v.at) > allowedInOutage {
				delete(r.known, k)
			}
		}
	}
	if now.allowed || len(r.known) < reviewsKept {
		r.known[key] = now
	}
}

func (r *Reviewer) ask(ctx context.Context, token, path string) (review, error) {
	ctx, cancel := context.WithTimeout(ctx, reviewTimeout)
	defer cancel()
	now := review{at: time.Now()}
	who, err := r.client.AuthenticationV1().TokenReviews().Create(ctx, &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token},
	}, metav1.CreateOptions{})
	if err != nil {
		return now, fmt.Errorf("review token: %w", err)
	}
	if !who.Status.Authenticated {
		return now, nil
	}
	now.user = who.Status.User.Username
	extra := make(map[string]authorizationv1.ExtraValue, len(who.Status.User.Extra))
	for k, v := range who.Status.User.Extra {
		extra[k] = authorizationv1.ExtraValue(v)
	}
	may, err := r.client.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{
			User: now.user, UID: who.Status.User.UID, Groups: who.Status.User.Groups, Extra: extra,
			NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: path, Verb: "get"},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return now, fmt.Errorf("review access of %s to %s: %w", now.user, path, err)
	}
	now.allowed = may.Status.Allowed
	return now, nil
}
