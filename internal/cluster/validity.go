// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/clarion-lb/clarion/api/v1beta1"
	"github.com/clarion-lb/clarion/api/v1beta2"
	"github.com/clarion-lb/clarion/internal/lb"
)

// ConditionValid is the condition on each configuration object that says whether all of it is
// in use.
const ConditionValid = "Valid"

// Reasons of ConditionValid beside lb.InvalidConfiguration.
const (
	reasonAccepted         = "Accepted"
	reasonPasswordInSecret = "PasswordInSecret"
)

// Object is what all Kubernetes objects have.
type Object interface {
	metav1.Object
	runtime.Object
}

// ConfigObject is one object of the configuration and the names of its kind, which the local
// copies of objects do not carry.
type ConfigObject struct {
	APIVersion, Kind string
	Resource         string // the kind in URLs
	Object           Object
}

// Config returns all objects of the configuration.
func (o *Objects) Config() []ConfigObject {
	v1, v2 := v1beta1.GroupVersion().String(), v1beta2.GroupVersion().String()
	return slices.Concat(
		configObjects(v1, "IPAddressPool", "ipaddresspools", o.Pools),
		configObjects(v1, "L2Advertisement", "l2advertisements", o.L2Advertisements),
		configObjects(v1, "BGPAdvertisement", "bgpadvertisements", o.BGPAdvertisements),
		configObjects(v2, "BGPPeer", "bgppeers", o.BGPPeers),
		configObjects(v1, "BFDProfile", "bfdprofiles", o.BFDProfiles),
		configObjects(v1, "Community", "communities", o.Communities),
	)
}

func configObjects[T Object](apiVersion, kind, resource string, in []T) []ConfigObject {
	out := make([]ConfigObject, 0, len(in))
	for _, obj := range in {
		out = append(out, ConfigObject{APIVersion: apiVersion, Kind: kind, Resource: resource, Object: obj})
	}
	return out
}

// RenderConfig returns the configuration objects whose status must be written, with the status
// that they shall have. A pool has a verdict, because its status says more than what is wrong
// with it; one without a verdict is left alone.
func RenderConfig(o Objects, pools map[string]PoolVerdict, problems []lb.Problem, now time.Time) []ConfigObject {
	type id struct {
		kind string
		key  lb.Key
	}
	wrong := map[id][]lb.Problem{}
	for _, p := range problems {
		at := id{p.Kind, p.Object}
		wrong[at] = append(wrong[at], p)
	}
	var out []ConfigObject
	for _, c := range o.Config() {
		found := wrong[id{c.Kind, keyOf(c.Object)}]
		var changed bool
		if p, isPool := c.Object.(*v1beta1.IPAddressPool); isPool {
			v, known := pools[p.Name]
			if !known && len(found) == 0 {
				continue
			}
			v.Problems = found
			c.Object, changed = RenderPool(p, v, now)
		} else {
			c.Object, changed = renderValid(c.Object, verdict(c.Object, found, o.SecretsListed, now))
		}
		if changed {
			out = append(out, c)
		}
	}
	return out
}

// renderValid returns a copy of the object that has the condition, and false when the object
// has it already.
func renderValid(in Object, want metav1.Condition) (Object, bool) {
	stored := conditionsOf(in)
	if stored == nil {
		return nil, false
	}
	conditions := slices.Clone(*stored)
	if !meta.SetStatusCondition(&conditions, want) {
		return nil, false
	}
	out, _ := in.DeepCopyObject().(Object)
	*conditionsOf(out) = conditions
	return out, true
}

// conditionsOf returns where the kinds whose status is nothing but conditions keep them.
func conditionsOf(in Object) *[]metav1.Condition {
	switch o := in.(type) {
	case *v1beta1.L2Advertisement:
		return &o.Status.Conditions
	case *v1beta1.BGPAdvertisement:
		return &o.Status.Conditions
	case *v1beta2.BGPPeer:
		return &o.Status.Conditions
	case *v1beta1.BFDProfile:
		return &o.Status.Conditions
	case *v1beta1.Community:
		return &o.Status.Conditions
	}
	return nil
}

// verdict is validity, but for a peer whose password is in a Secret that may not be read:
// what has not been looked at is neither right nor wrong.
func verdict(in Object, problems []lb.Problem, secretsListed bool, now time.Time) metav1.Condition {
	c := validity(in, "all of the object is in use", problems, now)
	if p, isPeer := in.(*v1beta2.BGPPeer); isPeer && p.Spec.PasswordSecret.Name != "" && !secretsListed && len(problems) == 0 {
		c.Status, c.Reason = metav1.ConditionUnknown, reasonPasswordInSecret
		c.Message = "the password is in a Secret, which only the speakers read: their ConfigurationStates say whether the peer is in use"
	}
	return c
}

func validity(in metav1.Object, accepted string, problems []lb.Problem, now time.Time) metav1.Condition {
	c := metav1.Condition{
		Type: ConditionValid, Status: metav1.ConditionTrue, Reason: reasonAccepted, Message: accepted,
		ObservedGeneration: in.GetGeneration(), LastTransitionTime: metav1.NewTime(now),
	}
	if len(problems) > 0 {
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, string(lb.InvalidConfiguration), Summary(problems)
	}
	return c
}
