// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/clarion-lb/clarion/api/v1beta2"
)

// passwords watches the Secrets that BGPPeers name, each by its name.
type passwords struct {
	w         *Watcher
	client    rest.Interface
	namespace string
	changed   chan struct{}

	mu      sync.Mutex
	wanted  map[string]bool
	watches map[string]*secretWatch
}

// secretWatch is the watch of one Secret.
type secretWatch struct {
	store Store[*corev1.Secret]
	stop  context.CancelFunc
	why   string // what prevents reading it; guarded by passwords.mu
}

// newPasswords returns a reader that the Watcher runs.
func newPasswords(w *Watcher, client rest.Interface, namespace string) *passwords {
	p := &passwords{
		w: w, client: client, namespace: namespace, changed: make(chan struct{}, 1),
		wanted: map[string]bool{}, watches: map[string]*secretWatch{},
	}
	w.later = append(w.later, p.run)
	return p
}

// named returns the Secrets that the peers name, and the names of those that are not read yet
// with what prevents it. From now on these are watched and no others.
func (p *passwords) named(peers []*v1beta2.BGPPeer) (read []*corev1.Secret, unread map[string]string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.wanted)
	for _, peer := range peers {
		name := peer.Spec.PasswordSecret.Name
		if name == "" || p.wanted[name] {
			continue
		}
		p.wanted[name] = true
		if w := p.watches[name]; w != nil && w.store.Synced() {
			read = append(read, w.store.List()...)
			continue
		}
		if unread == nil {
			unread = map[string]string{}
		}
		unread[name] = ""
		if w := p.watches[name]; w != nil {
			unread[name] = w.why
		}
	}
	wake(p.changed)
	return read, unread
}

// run keeps the watches those that are wanted, until ctx ends.
func (p *passwords) run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		p.mu.Lock()
		for name := range p.wanted {
			if p.watches[name] == nil {
				p.begin(ctx, &wg, name)
			}
		}
		for name, w := range p.watches {
			if !p.wanted[name] {
				w.stop()
				delete(p.watches, name)
			}
		}
		p.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-p.changed:
		}
	}
}

// begin starts the watch of one Secret.
func (p *passwords) begin(ctx context.Context, wg *sync.WaitGroup, name string) {
	out := &secretWatch{}
	store, watch := newWatch(p.w, Source[*corev1.Secret]{
		Client: p.client, Resource: "secrets", Namespace: p.namespace, Name: name,
		Example: &corev1.Secret{}, Broken: func(err error) { p.broken(out, err) },
	}, func(now, _ *corev1.Secret) *corev1.Secret {
		stripSecret(now)
		return now
	}, regard[*corev1.Secret]{})
	ctx, out.stop = context.WithCancel(ctx)
	out.store = store
	p.watches[name] = out
	wg.Go(func() { watch.run(ctx) })
}

// broken notes why a Secret cannot be read. One that has been read stays as it was.
func (p *passwords) broken(s *secretWatch, err error) {
	if !apierrors.IsForbidden(err) {
		return
	}
	const why = "the speaker may not; list the name in the Role speaker-bgp-passwords"
	p.mu.Lock()
	news := s.why != why
	s.why = why
	p.mu.Unlock()
	if news {
		p.w.kick()
	}
}

// stripSecret keeps the password and drops the rest, of which annotations may hold a copy.
func stripSecret(s *corev1.Secret) {
	s.ObjectMeta = metav1.ObjectMeta{Namespace: s.Namespace, Name: s.Name, UID: s.UID, ResourceVersion: s.ResourceVersion}
	data := map[string][]byte{}
	if v, found := s.Data[corev1.BasicAuthPasswordKey]; found {
		data[corev1.BasicAuthPasswordKey] = v
	}
	s.Data, s.StringData = data, nil
}
