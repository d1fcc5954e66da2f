// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"slices"

	"github.com/clarion-lb/clarion/internal/lb"
)

// Usable returns the links on which a Machine with this configuration would announce now: those
// that may carry addresses and have carrier and, for IPv6, a link-local address.
func (c Config) Usable(links []lb.Link) (lb.Usable, error) {
	_, exclude, err := c.withDefaults()
	if err != nil {
		return lb.Usable{}, err
	}
	m := Machine{exclude: exclude, excluded: map[string]bool{}}
	var out lb.Usable
	for i := range links {
		l := &links[i]
		if !l.Carrier || !m.suitable(l) {
			continue
		}
		out.IPv4 = append(out.IPv4, l.Name)
		if slices.ContainsFunc(l.Prefixes, linkLocal) {
			out.IPv6 = append(out.IPv6, l.Name)
		}
	}
	slices.Sort(out.IPv4)
	slices.Sort(out.IPv6)
	return out, nil
}
