// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"reflect"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/clarion-lb/clarion/api/v1beta1"
	"github.com/clarion-lb/clarion/internal/daemon"
)

// configLook is how often a ConfigWriter looks whether its object is as it should be, drawn out by up
// to half at random. It does not watch it: one request a minute costs a thousand speakers less
// than a watch each. Somebody may delete the object, or the garbage collector, which goes by what
// it has read a while ago, may still take it for that of a Pod that is gone.
const configLook = time.Minute

// ConfigWriter keeps the ConfigurationState of this program: one object that names every
// configuration object that could not be used as it stands.
type ConfigWriter struct {
	log    *slog.Logger
	client rest.Interface
	self   metav1.ObjectMeta
	owner  *Owner
	wake   chan struct{}

	mu     sync.Mutex
	wanted *v1beta1.ConfigurationStateStatus // nil while nothing is known
}

// NewConfigWriter returns a writer for the object with the given name, namespace and labels, that
// vanishes with the Pod of this program. Nothing is written before that is known.
func NewConfigWriter(log *slog.Logger, client rest.Interface, self metav1.ObjectMeta, owner *Owner) *ConfigWriter {
	return &ConfigWriter{log: log, client: client, self: self, owner: owner, wake: make(chan struct{}, 1)}
}

// Set says what the status shall be from now on. Setting the same again writes nothing.
func (w *ConfigWriter) Set(status v1beta1.ConfigurationStateStatus) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.wanted != nil && reflect.DeepEqual(*w.wanted, status) {
		return
	}
	w.wanted = &status
	wake(w.wake)
}

// Run writes until ctx ends.
func (w *ConfigWriter) Run(ctx context.Context) error {
	if w.owner.wait(ctx) != nil {
		return nil
	}
	for {
		look := time.NewTimer(configLook + rand.N(configLook/2))
		select {
		case <-ctx.Done():
			look.Stop()
			return nil
		case <-w.wake:
			look.Stop()
		case <-look.C:
		}
		wait := statusPause
		if err := w.write(ctx); err != nil && ctx.Err() == nil {
			w.log.Warn("write configuration state; trying again", "name", w.self.Name, "error", err)
			wait = retryPause
			wake(w.wake)
		}
		if daemon.Sleep(ctx, wait) != nil {
			return nil
		}
	}
}

// write makes the stored object the wanted one: as a rule it is, and only read.
func (w *ConfigWriter) write(ctx context.Context) error {
	w.mu.Lock()
	wanted := w.wanted.DeepCopy()
	w.mu.Unlock()
	if wanted == nil {
		return nil
	}
	var state v1beta1.ConfigurationState
	err := w.request(w.client.Get()).Name(w.self.Name).Do(ctx).Into(&state)
	if apierrors.IsNotFound(err) {
		self := w.self
		self.OwnerReferences = w.owner.references
		err = w.request(w.client.Post()).Body(&v1beta1.ConfigurationState{ObjectMeta: self}).Do(ctx).Into(&state)
	}
	if err != nil {
		return fmt.Errorf("read or create: %w", err)
	}
	if err := w.own(ctx, &state); err != nil {
		return err
	}
	keepTransitionTimes(wanted.Conditions, state.Status.Conditions)
	if reflect.DeepEqual(state.Status, *wanted) {
		return nil
	}
	state.Status = *wanted
	if err := w.request(w.client.Put()).Name(w.self.Name).SubResource("status").Body(&state).Do(ctx).Error(); err != nil {
		return fmt.Errorf("update status: %w", err)
	}
	return nil
}

// own makes the object this Pod's, so that it does not vanish with the Pod before it.
func (w *ConfigWriter) own(ctx context.Context, state *v1beta1.ConfigurationState) error {
	labels := withLabels(state.Labels, w.self.Labels)
	if reflect.DeepEqual(state.OwnerReferences, w.owner.references) && maps.Equal(labels, state.Labels) {
		return nil
	}
	state.OwnerReferences, state.Labels = w.owner.references, labels
	if err := w.request(w.client.Put()).Name(w.self.Name).Body(state.DeepCopy()).Do(ctx).Into(state); err != nil {
		return fmt.Errorf("update owner: %w", err)
	}
	return nil
}

func (w *ConfigWriter) request(r *rest.Request) *rest.Request {
	return r.Namespace(w.self.Namespace).Resource("configurationstates")
}

// keepTransitionTimes gives conditions that did not change the time at which they last did.
func keepTransitionTimes(wanted, stored []metav1.Condition) {
	for i := range wanted {
		wanted[i].LastTransitionTime = metav1.Now()
		for _, s := range stored {
			if s.Type == wanted[i].Type && s.Status == wanted[i].Status {
				wanted[i].LastTransitionTime = s.LastTransitionTime
			}
		}
	}
}
