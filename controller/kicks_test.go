// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarion-lb/clarion/api/v1beta1"
	"github.com/clarion-lb/clarion/internal/cluster"
)

// laggard is what a watch has shown of an API server whose watch and answers take their time, each
// its own. It kicks as the copies of internal/kube do.
type laggard struct {
	*apiServer
	random *rand.Rand // under the lock
	echo   func(*cluster.Packed) bool
	copies map[string]*cluster.Packed
	events chan *corev1.Service // in order; without a version: gone
}

// Objects implements sources.
func (s *laggard) Objects() (o cluster.Objects, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.copies {
		o.Services = append(o.Services, c)
	}
	o.Pools = s.pools
	return o, true
}

// pause takes up to 20 ms.
func (s *laggard) pause() {
	s.mu.Lock()
	d := time.Duration(s.random.IntN(20)) * time.Millisecond
	s.mu.Unlock()
	time.Sleep(d)
}

func (s *laggard) watch(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-s.events:
			s.pause()
			now := cluster.Pack(e)
			s.mu.Lock()
			_, existed := s.copies[e.Name]
			if gone := e.ResourceVersion == ""; gone {
				delete(s.copies, e.Name)
				existed = false
			} else {
				s.copies[e.Name] = now
			}
			s.mu.Unlock()
			if !existed || !s.echo(now) {
				s.changed()
			}
		}
	}
}

// act is something that a user does with one of a few Services, of which the two pools have room
// for some.
func (s *laggard) act() {
	s.mu.Lock()
	defer s.mu.Unlock()
	pick := func(from ...string) string { return from[s.random.IntN(len(from))] }
	name := pick("a", "b", "c", "d", "e", "f")
	switch old := s.services[name]; {
	case old == nil:
		s.store(service(name, s.random.Int64N(100), "metallb.io/address-pool: "+pick("one", "two")))
	case s.random.IntN(3) == 0:
		delete(s.services, name)
		gone := old.DeepCopy()
		gone.ResourceVersion = ""
		s.show(gone)
	default:
		s.annotate(name, pick("metallb.io/address-pool", "note"), pick("one", "two"))
	}
}

// A kick that is lost shows only as a Service that waits for as long as nothing else happens. So
// when everything is quiet, one more kick must find nothing to do.
func TestNoKickIsLost(t *testing.T) {
	for seed := range uint64(200) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &laggard{
					apiServer: newAPIServer(), random: rand.New(rand.NewPCG(seed, 0)),
					copies: map[string]*cluster.Packed{}, events: make(chan *corev1.Service, 1000),
				}
				s.pools = []*v1beta1.IPAddressPool{addressPool("one", "192.0.2.1/32"), addressPool("two", "192.0.2.8/31")}
				s.slow, s.show = s.pause, func(svc *corev1.Service) { s.events <- svc }
				g, stop := lead(t, s.apiServer, s)
				s.echo = g.loop.services.Echo
				g.Go("watch", s.watch)
				g.Go("allocation", g.loop.Run)
				for range 40 {
					s.act()
					s.pause()
				}
				s.settle()
				s.changed()
				if got := s.settle(); len(got) > 0 {
					t.Errorf("left undone until the next kick: %q", got)
				}
				stop()
			})
		})
	}
}
