// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/clarion-lb/clarion/api/v1beta1"
	"github.com/clarion-lb/clarion/internal/kube"
	"github.com/clarion-lb/clarion/internal/lb"
)

// places are the nodes that announce each Service by layer 2, sorted. There may be two if it has
// two addresses, and for a moment while one moves.
type places map[lb.Key][]string

// readPlaces reads them from the ServiceL2Status objects, which the speakers write.
func readPlaces(ctx context.Context, c kube.Clients, namespace string) (places, error) {
	var list v1beta1.ServiceL2StatusList
	if err := c.V1beta1.Get().Namespace(namespace).Resource("servicel2statuses").Do(ctx).Into(&list); err != nil {
		return nil, fmt.Errorf("list ServiceL2Statuses in %s: %w", namespace, err)
	}
	out := places{}
	for i := range list.Items {
		s := &list.Items[i].Status
		if s.Node == "" { // made a moment ago, and not filled yet
			continue
		}
		k := lb.Key{Namespace: s.ServiceNamespace, Name: s.ServiceName}
		out[k] = append(out[k], s.Node)
	}
	for _, nodes := range out {
		slices.Sort(nodes)
	}
	return out, nil
}

// at returns the Services that a node announces, sorted.
func (p places) at(node string) []lb.Key {
	var out []lb.Key
	for k, nodes := range p {
		if slices.Contains(nodes, node) {
			out = append(out, k)
		}
	}
	slices.SortFunc(out, lb.Key.Compare)
	return out
}

// moves describes, one line a Service, what is elsewhere than before. A Service that is new
// or gone has not moved.
func (p places) moves(before places) []string {
	var out []string
	for _, k := range slices.SortedFunc(maps.Keys(p), lb.Key.Compare) {
		was, known := before[k]
		if known && !slices.Equal(was, p[k]) {
			out = append(out, fmt.Sprintf("%s: %s -> %s", k, strings.Join(was, ","), strings.Join(p[k], ",")))
		}
	}
	return out
}

func (p places) equal(q places) bool { return maps.EqualFunc(p, q, slices.Equal[[]string]) }
