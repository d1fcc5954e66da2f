// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Package migrate translates the ConfigMap that configured MetalLB up to 0.12 into the objects
// of metallb.io that mean the same. It decides which object each field becomes and what cannot
// be translated; it reads no files and talks to no cluster. What the objects mean, and whether
// they fit each other, is judged by the API server and by package cluster, as for any object.
package migrate

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/clarion-lb/clarion/api/v1beta1"
	"github.com/clarion-lb/clarion/api/v1beta2"
)

// Result is a configuration in the form of objects. Each list has the order of the old
// configuration, which also decides the names: the same configuration always gives the same
// objects.
type Result struct {
	Pools             []*v1beta1.IPAddressPool
	L2Advertisements  []*v1beta1.L2Advertisement
	BFDProfiles       []*v1beta1.BFDProfile
	BGPPeers          []*v1beta2.BGPPeer
	Communities       []*v1beta1.Community
	BGPAdvertisements []*v1beta1.BGPAdvertisement
}

// Problem is something that the user must know about the old configuration.
type Problem struct {
	Object  string // such as `address-pools[0] ("default")`
	Field   string // such as "bgp-advertisements[1].localpref", or "" for the object itself
	Message string // what is the matter, and what to do
	// Note marks what the result has taken into account. Without it, the configuration cannot be
	// translated as it is.
	Note bool
}

func (p Problem) String() string {
	if p.Field == "" {
		return fmt.Sprintf("%s: %s", p.Object, p.Message)
	}
	return fmt.Sprintf("%s: %s: %s", p.Object, p.Field, p.Message)
}

// Complete says whether everything could be translated.
func Complete(problems []Problem) bool {
	return !slices.ContainsFunc(problems, func(p Problem) bool { return !p.Note })
}

// Translate reads the old configuration and returns the objects, which are in the given
// namespace, and everything there is to say about it. There are no objects at all if something
// cannot be translated: half a configuration takes addresses away from Services. The input is what `kubectl get configmap
// config -o yaml` prints, a manifest with that ConfigMap in it, the text in the ConfigMap, or
// Helm values with configInline.
func Translate(input []byte, namespace string) (Result, []Problem) {
	out := &problems{}
	text := find(input, out)
	if text == nil {
		return Result{}, out.list
	}
	old := read(text, out)
	t := translation{namespace: namespace, old: old, out: out}
	t.run()
	if !Complete(out.list) {
		return Result{}, out.list
	}
	return t.result, out.list
}

// problems collects them in the order of the configuration.
type problems struct{ list []Problem }

func (p *problems) reject(object, field, format string, args ...any) {
	p.list = append(p.list, Problem{Object: object, Field: field, Message: fmt.Sprintf(format, args...)})
}

func (p *problems) note(object, field, format string, args ...any) {
	p.list = append(p.list, Problem{Object: object, Field: field, Message: fmt.Sprintf(format, args...), Note: true})
}

// wanted names what is missing in a message.
func wanted(value string) string { return cmp.Or(value, `""`) }
