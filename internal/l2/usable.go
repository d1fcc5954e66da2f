// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"slices"

	"github.com/clarion-lb/clarion/internal/lb"
)

// Usable returns the names of the links, sorted, on which a Machine with this configuration
// would announce now: those that may carry addresses and have carrier.
func (c Config) Usable(links []lb.Link) ([]string, error) {
	_, exclude, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	m := Machine{exclude: exclude, excluded: map[string]bool{}}
	names := []string{}
	for i := range links {
		if links[i].Carrier && m.suitable(&links[i]) {
			names = append(names, links[i].Name)
		}
	}
	slices.Sort(names)
	return names, nil
}
