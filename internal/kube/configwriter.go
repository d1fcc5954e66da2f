// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/clarion-lb/clarion/api/v1beta1"
	"github.com/clarion-lb/clarion/internal/daemon"
)

// ConfigWriter keeps the ConfigurationState of this program: one object that names every
// configuration object that could not be used as it stands.
type ConfigWriter struct {
	log    *slog.Logger
	client rest.Interface
	self   metav1.ObjectMeta
	wake   chan struct{}

	mu     sync.Mutex
	wanted v1beta1.ConfigurationStateStatus
}

// NewConfigWriter returns a writer for the object with the given metadata: name, namespace,
// labels and the owning Pod.
func NewConfigWriter(log *slog.Logger, client rest.Interface, self metav1.ObjectMeta) *ConfigWriter {
	return &ConfigWriter{log: log, client: client, self: self, wake: make(chan struct{}, 1)}
}

// Set says what the status shall be from now on. Setting the same again writes nothing.
func (w *ConfigWriter) Set(status v1beta1.ConfigurationStateStatus) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if reflect.DeepEqual(w.wanted, status) {
		return
	}
	w.wanted = status
	wake(w.wake)
}

// Run writes until ctx ends.
func (w *ConfigWriter) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.wake:
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

func (w *ConfigWriter) write(ctx context.Context) error {
	w.mu.Lock()
	wanted := *w.wanted.DeepCopy()
	w.mu.Unlock()
	const resource = "configurationstates"
	var state v1beta1.ConfigurationState
	err := w.client.Get().Namespace(w.self.Namespace).Resource(resource).Name(w.self.Name).Do(ctx).Into(&state)
	if apierrors.IsNotFound(err) {
		err = w.client.Post().Namespace(w.self.Namespace).Resource(resource).
			Body(&v1beta1.ConfigurationState{ObjectMeta: w.self}).Do(ctx).Into(&state)
	}
	if err != nil {
		return fmt.Errorf("read or create: %w", err)
	}
	keepTransitionTimes(wanted.Conditions, state.Status.Conditions)
	if reflect.DeepEqual(state.Status, wanted) {
		return nil
	}
	state.Status = wanted
	err = w.client.Put().Namespace(w.self.Namespace).Resource(resource).Name(w.self.Name).
		SubResource("status").Body(&state).Do(ctx).Error()
	if err != nil {
		return fmt.Errorf("update status: %w", err)
	}
	return nil
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
