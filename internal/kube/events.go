// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"log/slog"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"
)

// Events writes events in the background. Repeated events are counted up on one object and
// floods are cut by client-go's correlator; a lost event is logged, never retried forever.
type Events struct {
	recorder    record.EventRecorder
	broadcaster record.EventBroadcaster
}

// NewEvents returns a writer that signs as the given component.
func NewEvents(log *slog.Logger, client kubernetes.Interface, scheme *runtime.Scheme, component, host string) *Events {
	b := record.NewBroadcaster()
	b.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: client.CoreV1().Events("")})
	b.StartEventWatcher(func(e *corev1.Event) {
		log.Debug("event", "object", e.InvolvedObject.Namespace+"/"+e.InvolvedObject.Name,
			"reason", e.Reason, "message", e.Message)
	})
	return &Events{
		recorder:    b.NewRecorder(scheme, corev1.EventSource{Component: component, Host: host}),
		broadcaster: b,
	}
}

// Run keeps the background writers until ctx ends.
func (e *Events) Run(ctx context.Context) error {
	<-ctx.Done()
	e.broadcaster.Shutdown()
	return nil
}

// Event reports something that happened to an object. The type is Normal or Warning.
func (e *Events) Event(object runtime.Object, eventType, reason, message string) {
	e.recorder.Event(object, eventType, reason, message)
}

// ServiceRef returns what an event needs to know of a Service.
func ServiceRef(namespace, name, uid string) *corev1.ObjectReference {
	return &corev1.ObjectReference{
		APIVersion: "v1", Kind: "Service", Namespace: namespace, Name: name, UID: types.UID(uid),
	}
}

// CustomRef returns what an event needs to know of one of the metallb.io objects.
func CustomRef(apiVersion, kind, namespace, name, uid string) *corev1.ObjectReference {
	return &corev1.ObjectReference{
		APIVersion: apiVersion, Kind: kind, Namespace: namespace, Name: name, UID: types.UID(uid),
	}
}
