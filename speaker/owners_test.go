// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/lb"
)

func on(interfaces ...string) lb.Usable { return lb.Usable{IPv4: interfaces} }

func TestInterfacesAreToldOnceTheClusterIsKnown(t *testing.T) {
	for name, c := range map[string]struct {
		happens func(*candidacy)
		want    []lb.Usable
	}{
		"nothing is known":         {func(*candidacy) {}, nil},
		"only the interfaces are":  {func(c *candidacy) { c.note(on("a")) }, nil},
		"only the cluster is":      {(*candidacy).inform, nil},
		"the interfaces, then all": {func(c *candidacy) { c.note(on("a")); c.note(on("b")); c.inform(); c.inform() }, []lb.Usable{on("b")}},
		"the cluster, then all":    {func(c *candidacy) { c.inform(); c.note(on("a")); c.note(on("b")) }, []lb.Usable{on("a"), on("b")}},
	} {
		var told []lb.Usable
		c.happens(newCandidacy(func(u lb.Usable) { told = append(told, u) }))
		if !slices.EqualFunc(told, append([]lb.Usable{{}}, c.want...), lb.Usable.Equal) {
			t.Errorf("%s: told %v, want no interface first and then %v", name, told, c.want)
		}
	}
}

// The watcher of interfaces and the loop tell at the same time.
func TestTheNewestInterfacesAreToldLast(t *testing.T) {
	var last lb.Usable
	var c *candidacy
	noted := make(chan struct{})
	c = newCandidacy(func(u lb.Usable) {
		if u.Equal(on("old")) {
			go func() {
				defer close(noted)
				c.note(on("new"))
			}()
			select {
			case <-noted: // told while the old ones are on their way
			case <-time.After(50 * time.Millisecond):
			}
		}
		last = u
	})
	c.note(on("old"))
	c.inform()
	<-noted
	if !last.Equal(on("new")) {
		t.Errorf("told last %v", last)
	}
}
