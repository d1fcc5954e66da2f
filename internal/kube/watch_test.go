// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	toolscache "k8s.io/client-go/tools/cache"

	"github.com/clarion-lb/clarion/api/v1beta1"
)

// What the program writes itself is read after everything that it works from, and only then.
func TestOutputsAreReadLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var synced, began atomic.Bool
		w := NewWatcher(slog.New(slog.DiscardHandler), func() {})
		w.watches = []watched{{run: func(ctx context.Context) { <-ctx.Done() }, synced: synced.Load}}
		w.outputs = []watched{{run: func(ctx context.Context) { began.Store(true); <-ctx.Done() }}}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- w.Run(ctx) }()
		time.Sleep(time.Minute) // virtual
		if began.Load() {
			t.Error("outputs are read while the inputs are not known")
		}
		synced.Store(true)
		time.Sleep(time.Second)
		if !began.Load() {
			t.Error("outputs are not read")
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// A server that starts refuses for a moment what it will allow, and each is away at times.
func TestOnlyALastingFailureIsTold(t *testing.T) {
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "services"}, "", errors.New("rules not read"))
	start := time.Unix(0, 0)
	for name, tc := range map[string]struct {
		err  error
		at   []time.Duration // of attempts
		want bool            // of the last one
	}{
		"the first":                     {forbidden, []time.Duration{0}, false},
		"a moment later":                {forbidden, []time.Duration{0, time.Second}, false},
		"when it lasts":                 {forbidden, []time.Duration{0, time.Second, refusalPatience}, true},
		"again after long":              {forbidden, []time.Duration{0, time.Hour}, false},
		"while it slowly repeats":       {forbidden, []time.Duration{0, watchRetryMost, 2 * watchRetryMost}, true},
		"that is a lost connection":     {errors.New("refused"), []time.Duration{0, refusalPatience}, false},
		"that stays a lost connection":  {errors.New("refused"), []time.Duration{0, refusalPatience, failurePatience}, true},
		"that needs another credential": {apierrors.NewUnauthorized("who"), []time.Duration{0, refusalPatience, failurePatience}, true},
	} {
		var f failure
		got := false
		for _, at := range tc.at {
			got = f.lasts(tc.err, start.Add(time.Hour).Add(at))
		}
		if got != tc.want {
			t.Errorf("%s: lasts is %t, want %t", name, got, tc.want)
		}
	}
}

// profiles answers what a reflector asks.
type profiles struct {
	code int // of its refusals; 0: lists and watches work; -1: no answer
}

func (p *profiles) answer(r *http.Request) (*http.Response, error) {
	refuse := func(code int, why metav1.StatusReason) (*http.Response, error) {
		return respond(code, &metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Code: int32(code), Reason: why})
	}
	switch q := r.URL.Query(); {
	case p.code < 0:
		return nil, io.ErrUnexpectedEOF
	case p.code > 0:
		return refuse(p.code, map[int]metav1.StatusReason{401: metav1.StatusReasonUnauthorized, 403: metav1.StatusReasonForbidden, 404: metav1.StatusReasonNotFound}[p.code])
	case q.Get("sendInitialEvents") != "": // as a server before Kubernetes 1.32
		return refuse(http.StatusUnprocessableEntity, metav1.StatusReasonInvalid)
	case q.Get("watch") != "":
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Header: http.Header{"Content-Type": {"application/json"}}}, nil
	}
	return respond(http.StatusOK, &v1beta1.BFDProfileList{
		TypeMeta: metav1.TypeMeta{APIVersion: "metallb.io/v1beta1", Kind: "BFDProfileList"}, ListMeta: metav1.ListMeta{ResourceVersion: "1"},
	})
}

// relist does what a reflector does in a while in which each of its watches ends at once. Its own
// delays are client-go's, which do not know of a virtual clock.
func relist(t *testing.T, from toolscache.ListerWatcherWithContext, long time.Duration) {
	t.Helper()
	initial := true
	try := func(o metav1.ListOptions) {
		if events, err := from.WatchWithContext(t.Context(), o); err == nil {
			events.Stop()
		}
	}
	for end := time.Now().Add(long); time.Now().Before(end); time.Sleep(watchRetryMost / 2) {
		try(metav1.ListOptions{SendInitialEvents: &initial})
		if _, err := from.ListWithContext(t.Context(), metav1.ListOptions{}); err == nil {
			try(metav1.ListOptions{})
		}
	}
}

func TestAFailureIsToldOnceUntilItIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logged bytes.Buffer
		var server profiles
		w := NewWatcher(slog.New(slog.NewTextHandler(&logged, nil)), func() {})
		from := toolscache.ToListerWatcherWithContext(listerWatcher(w, config(clientOf(t, server.answer), "bfdprofiles", "ns", &v1beta1.BFDProfile{})))
		for _, phase := range []struct {
			what string
			code int
			long time.Duration
			want string // the one line that is logged
		}{
			{"no valid token", 401, 5 * time.Minute, "WARN reading does not work"},
			{"all is well", 0, time.Minute, "INFO reading works again"},
			{"the server starts anew", -1, failurePatience / 2, ""},
			{"and serves", 0, time.Minute, ""},
			{"and does not for long", -1, 5 * time.Minute, "WARN reading does not work"},
			{"it comes back without rights", 403, 5 * time.Minute, "ERROR reading is not allowed"},
			{"with rights, without the kind", 404, 5 * time.Minute, "ERROR kind is not served"},
			{"and is away", -1, 5 * time.Minute, ""},
			{"all is well again", 0, time.Minute, "INFO reading works again"},
		} {
			server.code = phase.code
			relist(t, from, phase.long)
			got := logged.String()
			logged.Reset()
			level, message, lines := strings.Cut(phase.want, " ")
			if lines != (strings.Count(got, "\n") == 1) || lines && !strings.Contains(got, "level="+level+` msg="`+message) || !lines && got != "" {
				t.Errorf("%s: logged %q, want %q", phase.what, got, phase.want)
			}
		}
	})
}
