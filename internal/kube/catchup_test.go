// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/clarion-lb/clarion/internal/cluster"
)

func TestUnseenCountsAddressesThatTheCopiesLack(t *testing.T) {
	for name, tc := range map[string]struct {
		copied, now *corev1.Service
		want        int
	}{
		"the same":            {stored("u", "6", "192.0.2.1"), stored("u", "6", "192.0.2.1"), 0},
		"copy is newer":       {stored("u", "7", "192.0.2.1"), stored("u", "6", "192.0.2.1"), 0},
		"copy is older":       {stored("u", "5", ""), stored("u", "6", "192.0.2.1"), 1},
		"no copy":             {nil, stored("u", "6", "192.0.2.1"), 1},
		"of a deleted one":    {stored("t", "7", "192.0.2.1"), stored("u", "6", "192.0.2.1"), 1},
		"without any address": {nil, stored("u", "6", ""), 0},
		"deleted meanwhile":   {stored("u", "6", "192.0.2.1"), nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			client := fake.NewClientset()
			if tc.now != nil {
				client = fake.NewClientset(tc.now)
			}
			copies := newCopies(cluster.PackNext, regard[*cluster.Packed]{}, func() {})
			if tc.copied != nil {
				if err := copies.Add(tc.copied); err != nil {
					t.Fatal(err)
				}
			}
			got, err := unseen(t.Context(), client, Store[*cluster.Packed]{copies})
			if err != nil || got != tc.want {
				t.Errorf("unseen = %d, %v, want %d", got, err, tc.want)
			}
		})
	}
}
