// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarion-lb/clarion/api/v1beta1"
	"github.com/clarion-lb/clarion/internal/cluster"
	"github.com/clarion-lb/clarion/internal/lb"
)

// Labels of MetalLB's status objects.
const (
	labelComponent = "metallb.io/component-type"
	labelNode      = "metallb.io/node-name"
)

// Reasons of MetalLB's conditions on a ConfigurationState.
const (
	reasonReconciled         = "Reconciled"
	reasonConfigurationError = "ConfigurationError"
)

// ControllerStateMeta is the identity of the controller's ConfigurationState.
func ControllerStateMeta(namespace string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: namespace, Name: "controller",
		Labels: map[string]string{labelComponent: "controller"},
	}
}

// SpeakerStateMeta is the identity of the ConfigurationState of a node's speaker.
func SpeakerStateMeta(namespace, node string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: namespace, Name: "speaker-" + node,
		Labels: map[string]string{labelComponent: "speaker", labelNode: node},
	}
}

// ConfigState renders the problems of configuration objects. Condition is MetalLB's type:
// poolReconcilerValid of the controller, configReconcilerValid of a speaker. Mistakes in
// Services are told at the Services and do not count.
func ConfigState(condition string, problems []lb.Problem) v1beta1.ConfigurationStateStatus {
	status := v1beta1.ConfigurationStateStatus{Result: v1beta1.ConfigurationValid}
	c := metav1.Condition{
		Type: condition, Status: metav1.ConditionTrue, Reason: reasonReconciled,
		Message: "all configuration objects are in use",
	}
	var bad []lb.Problem
	for _, p := range problems {
		if p.Kind != "Service" {
			p.Field = fmt.Sprintf("%s %s %s", p.Kind, p.Object, p.Field)
			bad = append(bad, p)
		}
	}
	if len(bad) > 0 {
		status.Result = v1beta1.ConfigurationInvalid
		status.ErrorSummary = cluster.Summary(bad)
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, reasonConfigurationError, status.ErrorSummary
	}
	status.Conditions = []metav1.Condition{c}
	return status
}
