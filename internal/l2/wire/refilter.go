// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"time"

	"github.com/clarion-lb/clarion/internal/l2"
	"github.com/clarion-lb/clarion/internal/lb"
)

// narrowPause spaces the updates of filters that only have to let less through.
const narrowPause = time.Second

// filters is what the packet filters of all ports let through at present.
type filters struct {
	sets map[lb.Family]addrSet
	of   l2.Turns // of the machine, when they were made
	at   time.Time
}

// refilter brings the filters in line with the machine's addresses. New ones are let in at
// once, before anything about them is sent; those that are gone are shut out later, since
// their frames do no harm and a thousand may go one by one.
func (w *Wire) refilter() {
	turns := w.machine.Turns()
	now := time.Now()
	if turns.Added == w.filters.of.Added && (turns == w.filters.of || now.Sub(w.filters.at) < narrowPause) {
		return
	}
	w.filters.of, w.filters.at = turns, now
	for _, f := range []lb.Family{lb.IPv4, lb.IPv6} {
		set := newAddrSet(w.machine.Addresses(f))
		if set.equal(w.filters.sets[f]) {
			continue
		}
		w.filters.sets[f] = set
		for _, p := range w.ports {
			if p.family == f && p.conn != nil {
				p.filter(w.log, set)
			}
		}
	}
}
