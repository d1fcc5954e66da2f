// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"reflect"
	"time"

	"github.com/clarion-lb/clarion/api/v1beta1"
	"github.com/clarion-lb/clarion/internal/lb"
)

// profile is one BFDProfile compiled.
type profile struct {
	profile  lb.BFDProfile
	problems []lb.Problem
}

func equalProfiles(a, b *profile) bool { return reflect.DeepEqual(a, b) }

// compileProfile reads a profile. A value out of bounds counts as absent: a session with a
// default is better than one that dies unnoticed because its BFD was switched off.
func compileProfile(in *v1beta1.BFDProfile) profile {
	r := newReport("BFDProfile", in)
	out := lb.DefaultBFDProfile(in.Name)
	spec := &in.Spec
	milliseconds(r, "spec.receiveInterval", spec.ReceiveInterval, &out.ReceiveInterval)
	milliseconds(r, "spec.transmitInterval", spec.TransmitInterval, &out.TransmitInterval)
	milliseconds(r, "spec.echoInterval", spec.EchoInterval, &out.EchoInterval)
	small(r, "spec.detectMultiplier", spec.DetectMultiplier, 2, 255, &out.DetectMultiplier)
	small(r, "spec.minimumTtl", spec.MinimumTTL, 1, 254, &out.MinimumTTL)
	out.EchoMode = deref(spec.EchoMode, false)
	out.PassiveMode = deref(spec.PassiveMode, false)
	return profile{profile: out, problems: r.problems}
}

func milliseconds(r *report, path string, in *uint32, out *time.Duration) {
	if bounded(r, path, in, 10, 60000) {
		*out = time.Duration(*in) * time.Millisecond
	}
}

func small(r *report, path string, in *uint32, low, high uint8, out *uint8) {
	if bounded(r, path, in, uint32(low), uint32(high)) {
		*out = uint8(*in)
	}
}

// bounded says whether there is a value and it can be used.
func bounded(r *report, path string, in *uint32, low, high uint32) bool {
	if in == nil {
		return false
	}
	if *in < low || *in > high {
		r.field(path, "%d is not from %d to %d; until it is corrected the default is used", *in, low, high)
		return false
	}
	return true
}
