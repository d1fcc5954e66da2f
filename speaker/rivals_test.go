// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/l2"
	"github.com/clarion-lb/clarion/internal/l2/wire"
	"github.com/clarion-lb/clarion/internal/lb"
	"github.com/clarion-lb/clarion/internal/members"
	"github.com/clarion-lb/clarion/internal/plan"
)

func TestARivalThatComesBackIsLoggedAgain(t *testing.T) {
	var logged bytes.Buffer
	log := slog.New(slog.NewTextHandler(&logged, nil))
	w, err := wire.New(wire.Options{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	m, err := members.New(members.Config{Node: "n1"}, log)
	if err != nil {
		t.Fatal(err)
	}
	r := newRivals(log, w, m, func() {})
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // the wire does not run: what it said last holds
	addr := netip.MustParseAddr("192.0.2.1")
	watch := func(seen ...l2.Rival) int {
		r.seen = seen
		r.watch(ctx, lb.Snapshot{}, lb.View{}, plan.Desired{Self: "n1"})
		return strings.Count(logged.String(), "another speaker claims")
	}
	rival := l2.Rival{Addr: addr, Node: "n2"}
	if n := watch(rival); n != 1 {
		t.Errorf("logged %d times", n)
	}
	if n := watch(rival); n != 1 {
		t.Errorf("logged %d times while it is there", n)
	}
	r.insisted[addr] = time.Now()
	watch()
	if len(r.insisted) > 0 {
		t.Errorf("remembers when it insisted: %v", r.insisted)
	}
	if n := watch(rival); n != 2 {
		t.Errorf("logged %d times, want once more when it comes back", n)
	}
	r.again.Stop()
}
