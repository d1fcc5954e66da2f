// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/lb"
)

func key(name string) lb.Key { return lb.Key{Namespace: "ns", Name: name} }

func TestMovesAreOfServicesThatWereAndAre(t *testing.T) {
	before := places{key("b"): {"n1"}, key("a"): {"n1", "n2"}, key("stays"): {"n3"}, key("gone"): {"n1"}}
	after := places{key("b"): {"n2"}, key("a"): {"n2"}, key("stays"): {"n3"}, key("new"): {"n1"}}
	if got, want := after.moves(before), []string{"ns/a: n1,n2 -> n2", "ns/b: n1 -> n2"}; !slices.Equal(got, want) {
		t.Errorf("moves %q, want %q", got, want)
	}
	if got, want := before.at("n1"), []lb.Key{key("a"), key("b"), key("gone")}; !slices.Equal(got, want) {
		t.Errorf("at n1 %v, want %v", got, want)
	}
}

func TestAnnotationIsSetAndRemovedByMergePatch(t *testing.T) {
	value := "now"
	for want, v := range map[string]*string{
		`{"metadata":{"annotations":{"metallb.io/leave":"now"}}}`: &value,
		`{"metadata":{"annotations":{"metallb.io/leave":null}}}`:  nil,
	} {
		if got := string(annotation("metallb.io/leave", v)); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestWhatIsLeftIsTold(t *testing.T) {
	var left []lb.Key
	for range 12 {
		left = append(left, key("web"))
	}
	err := stillThere(drainOrder{node: "n1", timeout: time.Minute}, left)
	if text := err.Error(); !strings.Contains(text, "n1 still announces 12 Services after 1m0s") ||
		strings.Count(text, "ns/web") != 10 || !strings.Contains(text, "and 2 more") {
		t.Errorf("it says %q", text)
	}
}

func TestPollEndsWhenDoneOrFailedOrTold(t *testing.T) {
	wrong := errors.New("wrong")
	stopped, stop := context.WithCancelCause(t.Context())
	stop(errTimeout)
	for name, c := range map[string]struct {
		ctx  context.Context
		done func() (bool, error)
		want error
	}{
		"done":   {t.Context(), func() (bool, error) { return true, nil }, nil},
		"failed": {t.Context(), func() (bool, error) { return false, wrong }, wrong},
		"told":   {stopped, func() (bool, error) { return false, wrong }, errTimeout},
	} {
		if err := poll(c.ctx, c.done); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestVerbsSayWhatTheyNeed(t *testing.T) {
	for line, want := range map[string]string{
		"drain":                                 "accepts 1 arg(s), received 0",
		"undrain a b":                           "accepts 1 arg(s), received 2",
		"rebalance x":                           "unknown command",
		"drain n1 --timeout x":                  "invalid argument",
		"nonsense":                              "unknown command",
		"drain n1 --kubeconfig /nowhere/at/all": "/nowhere/at/all",
	} {
		root := newRoot()
		var out bytes.Buffer
		root.SetOut(&out)
		root.SetErr(&out)
		root.SetArgs(strings.Fields(line))
		if err := root.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q in it", line, err, want)
		}
	}
}
