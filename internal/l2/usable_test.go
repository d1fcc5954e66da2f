// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package l2_test

import (
	"testing"

	"github.com/clarion-lb/clarion/internal/l2"
	"github.com/clarion-lb/clarion/internal/lb"
)

func TestUsableLinks(t *testing.T) {
	named := func(name string, change func(*lb.Link)) lb.Link {
		l := link0()
		l.Name = name
		change(&l)
		return l
	}
	links := []lb.Link{
		named("eth9", func(l *lb.Link) { l.Prefixes = nil }), // no link-local address, so no NDP
		named("eth1", func(*lb.Link) {}),
		named("down", func(l *lb.Link) { l.Carrier = false }),
		named("noarp", func(l *lb.Link) { l.ARP = false }),
		named("tunnel", func(l *lb.Link) { l.Broadcast = false }),
		named("slave", func(l *lb.Link) { l.Master = 7 }),
		named("veth3", func(*lb.Link) {}),
	}
	for _, tt := range []struct {
		exclude []string
		want    lb.Usable
	}{
		{nil, lb.Usable{IPv4: []string{"eth1", "eth9"}, IPv6: []string{"eth1"}}},
		{[]string{"^eth9$"}, lb.Usable{IPv4: []string{"eth1", "veth3"}, IPv6: []string{"eth1", "veth3"}}},
	} {
		got, err := l2.Config{Exclude: tt.exclude}.Usable(links)
		if err != nil {
			t.Fatal(err)
		}
		if !got.Equal(tt.want) {
			t.Errorf("without %q usable are %v, want %v", tt.exclude, got, tt.want)
		}
	}
	if _, err := (l2.Config{Exclude: []string{"("}}).Usable(links); err == nil {
		t.Error("took an exclusion that is no regular expression")
	}
}
