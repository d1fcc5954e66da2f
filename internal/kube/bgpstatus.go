// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"reflect"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarion-lb/clarion/api/v1beta1"
	"github.com/clarion-lb/clarion/internal/plan"
)

// BGPStatusWriter keeps a ServiceBGPStatus for each Service that this node advertises, and a
// BGPSessionState for each of its sessions.
type BGPStatusWriter struct {
	services *objectWriter[*v1beta1.ServiceBGPStatus]
	sessions *objectWriter[*v1beta1.BGPSessionState]
}

// NewBGPStatusWriter returns a writer that wants nothing yet.
func NewBGPStatusWriter(w *Watcher, c Clients, o Reporter) (*BGPStatusWriter, error) {
	services, err := newObjectWriter(w, c.V1beta1, "servicebgpstatuses", o, &v1beta1.ServiceBGPStatus{},
		func(a, b *v1beta1.ServiceBGPStatus) bool { return reflect.DeepEqual(a.Status, b.Status) })
	if err != nil {
		return nil, err
	}
	sessions, err := newObjectWriter(w, c.V1beta1, "bgpsessionstates", o, &v1beta1.BGPSessionState{}, sameSession)
	return &BGPStatusWriter{services, sessions}, err
}

// SetServices says what this node advertises from now on.
func (w *BGPStatusWriter) SetServices(d plan.BGP) {
	w.services.set(func(yield func(*v1beta1.ServiceBGPStatus) bool) {
		for _, s := range plan.BGPStatuses(d) {
			if !yield(w.renderService(s)) {
				return
			}
		}
	})
}

func (w *BGPStatusWriter) renderService(s plan.BGPStatus) *v1beta1.ServiceBGPStatus {
	return &v1beta1.ServiceBGPStatus{
		ObjectMeta: w.services.metaOf(s.Name, map[string]string{
			labelStatusService: s.Service.Name, labelStatusNamespace: s.Service.Namespace,
		}),
		Status: v1beta1.ServiceBGPStatusStatus{
			Node: s.Node, ServiceName: s.Service.Name, ServiceNamespace: s.Service.Namespace, Peers: s.Peers,
		},
	}
}

// SetSessions says how the sessions are now.
func (w *BGPStatusWriter) SetSessions(states []plan.SessionState) {
	out := make([]*v1beta1.BGPSessionState, 0, len(states))
	for _, s := range states {
		out = append(out, &v1beta1.BGPSessionState{
			ObjectMeta: w.sessions.metaOf(s.Name, map[string]string{labelStatusPeer: s.BGPPeer}),
			Status: v1beta1.BGPSessionStateStatus{
				Node: s.Node, BGPPeer: s.BGPPeer, Peer: s.Peer, VRF: s.VRF, BGPStatus: s.BGP, BFDStatus: s.BFD,
				Reason: string(s.Reason), Message: s.Message, LastTransitionTime: metav1.NewTime(s.Since),
			},
		})
	}
	w.sessions.set(slices.Values(out))
}

// labelStatusPeer names the BGPPeer of a BGPSessionState.
const labelStatusPeer = "metallb.io/bgp-peer"

// sameSession compares all but the time, which has no more than whole seconds once stored.
func sameSession(a, b *v1beta1.BGPSessionState) bool {
	x, y := a.Status, b.Status
	sameTime := x.LastTransitionTime.Unix() == y.LastTransitionTime.Unix()
	x.LastTransitionTime, y.LastTransitionTime = metav1.Time{}, metav1.Time{}
	return sameTime && reflect.DeepEqual(x, y)
}

// RunServices writes the ServiceBGPStatuses until ctx ends.
func (w *BGPStatusWriter) RunServices(ctx context.Context) error { return w.services.Run(ctx) }

// RunSessions writes the BGPSessionStates until ctx ends.
func (w *BGPStatusWriter) RunSessions(ctx context.Context) error { return w.sessions.Run(ctx) }
