// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
)

// Review says who the bearer of a token is, "" if nobody, and whether he may GET a path.
type Review func(ctx context.Context, token, path string) (user string, allowed bool, err error)

// guard lets through whoever the review allows: 401 without a valid bearer token, 403 without
// permission, 503 when that cannot be found out.
func guard(log *slog.Logger, review Review, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, ok := bearer(r)
		if !ok {
			refuse(w, http.StatusUnauthorized, "a bearer token is needed")
			return
		}
		user, allowed, err := review(r.Context(), token, r.URL.Path)
		switch {
		case errors.Is(err, context.Canceled) && r.Context().Err() != nil:
			return // the caller has hung up
		case err != nil:
			log.Warn("cannot tell who asks for metrics", "error", err)
			refuse(w, http.StatusServiceUnavailable, "the API server cannot be asked who you are")
		case user == "":
			refuse(w, http.StatusUnauthorized, "the API server does not know this token")
		case !allowed:
			refuse(w, http.StatusForbidden, user+` has no permission for "get" on the URL `+r.URL.Path)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func refuse(w http.ResponseWriter, code int, why string) {
	if code == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	http.Error(w, why, code)
}

// bearer returns the token of an Authorization header (RFC 6750 section 2.1).
func bearer(r *http.Request) (string, bool) {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	return token, ok && strings.EqualFold(scheme, "Bearer") && token != ""
}
