// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"slices"
	"time"

	"github.com/clarion-lb/clarion/api/v1beta1"
	"github.com/clarion-lb/clarion/internal/alloc"
	"github.com/clarion-lb/clarion/internal/cluster"
	"github.com/clarion-lb/clarion/internal/daemon"
)

// standbyLook is how often a standby looks whether it is time for notes.
const standbyLook = time.Second

// standby takes notes of who has which address while another replica leads. What is freed around
// the leader's death is then held back as the pools say.
type standby struct {
	sources  sources
	compiler *cluster.Compiler // the loop's, which is then warm
	notes    alloc.Standby
}

// begin takes notes until the returned function is called or ctx ends. That function returns when
// the notes may be read.
func (s *standby) begin(ctx context.Context) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			s.note(time.Now())
			if daemon.Sleep(ctx, standbyLook) != nil {
				return
			}
		}
	}()
	return func() { cancel(); <-done }
}

func (s *standby) note(now time.Time) {
	if !s.notes.Due(now) {
		return
	}
	objects, known := s.sources.Objects()
	if !known {
		return
	}
	if !slices.ContainsFunc(objects.Pools, holdsBack) {
		s.notes.Note(nil, nil, now) // and nothing is compiled for it
		return
	}
	snapshot, _ := s.compiler.Compile(objects)
	s.notes.Note(snapshot.Pools, snapshot.Services, now)
}

func holdsBack(p *v1beta1.IPAddressPool) bool {
	return p.Spec.ReservationTime != nil || p.Spec.CooldownTime != nil
}
