// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package labctl

import (
	"slices"
	"time"
)

// pause is the silence of a host after which its next claim of an address is a new beginning.
// Whoever watches the wire asks every 10 ms (bench ask), so an owner is never silent for so long.
const pause = 200 * time.Millisecond

// Wire is what the LAN saw of an address since something happened.
type Wire struct {
	// Silence is the longest time between two claims of the address, of whichever host.
	Silence time.Duration
	// Two is the longest time in which two hosts claimed it, from the first claim of the second
	// to the last of the first.
	Two time.Duration
	// Moves counts how often a host began to claim it.
	Moves int
	// Owner is the host that claimed it last, Before the one that did before it happened.
	Before, Owner string
}

// span is a time in which one host claimed an address again and again.
type span struct {
	host        string
	first, last time.Time
}

// Wire returns what was seen of an address since a moment. It is worth as much as there were
// questions on the wire that an owner had to answer.
func (o Outage) Wire(addr string, since time.Time) Wire {
	var w Wire
	var spans []span
	var last time.Time
	open := map[string]int{} // by host: its span that may go on
	for _, c := range o.claims {
		if c.Addr != addr || c.MAC == "" {
			continue
		}
		if c.Time.Before(since) {
			w.Before = c.Host
		} else if !last.IsZero() {
			w.Silence = max(w.Silence, c.Time.Sub(last))
		}
		last, w.Owner = c.Time, c.Host
		if i, ok := open[c.Host]; ok && c.Time.Sub(spans[i].last) < pause {
			spans[i].last = c.Time
			continue
		}
		open[c.Host] = len(spans)
		spans = append(spans, span{c.Host, c.Time, c.Time})
		if len(spans) > 1 && !c.Time.Before(since) {
			w.Moves++
		}
	}
	for i, a := range spans {
		for _, b := range spans[i+1:] {
			if a.host != b.host && !a.last.Before(since) {
				w.Two = max(w.Two, earlier(a.last, b.last).Sub(b.first))
			}
		}
	}
	return w
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// Owners returns who claimed each address last before a moment.
func (o Outage) Owners(before time.Time) map[string]string {
	out := map[string]string{}
	for _, c := range o.claims {
		if c.MAC != "" && c.Time.Before(before) {
			out[c.Addr] = c.Host
		}
	}
	return out
}

// TakeOvers returns, sorted, how long after a moment each of the addresses was first claimed by
// another host than its owner, and which were not.
func (o Outage) TakeOvers(owners map[string]string, from time.Time) (took []time.Duration, missing []string) {
	first := map[string]time.Duration{}
	for _, c := range o.claims {
		old, known := owners[c.Addr]
		if _, done := first[c.Addr]; known && !done && c.MAC != "" && c.Host != old && c.Time.After(from) {
			first[c.Addr] = c.Time.Sub(from)
		}
	}
	for addr := range owners {
		if d, ok := first[addr]; ok {
			took = append(took, d)
		} else {
			missing = append(missing, addr)
		}
	}
	slices.Sort(took)
	slices.Sort(missing)
	return took, missing
}
