// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package bgp

import (
	"time"

	"github.com/clarion-lb/clarion/internal/bfd"
)

const (
	// settle is how long a Down right after the BGP session came up may last: FRR creates its BFD
	// session anew at that moment and says Down once on the way.
	settle = time.Second
	// patience is how long BFD alone keeps a session down. A peer whose BFD was switched off
	// without AdminDown would never return otherwise.
	patience = 30 * time.Second
)

// Unreachable says whether BFD forbids the BGP session with a peer now (RFC 5882 4.2), and when
// to ask again although nothing happens; the zero time means never. established is when the BGP
// session came up, zero when it is not.
//
// BFD that has never been Up forbids nothing: the peer may not run it. A peer that says
// AdminDown has not failed (RFC 5882 3.2).
func Unreachable(s bfd.Status, established, now time.Time) (bool, time.Time) {
	if !s.EverUp || s.State == bfd.Up || s.State == bfd.AdminDown || s.Remote == bfd.AdminDown {
		return false, time.Time{}
	}
	if !now.Before(s.Since.Add(patience)) {
		return false, time.Time{}
	}
	if s.Diagnostic == bfd.NeighborSignaledDown && !established.IsZero() {
		fresh := !s.Since.Before(established) && s.Since.Before(established.Add(settle))
		if end := s.Since.Add(settle); fresh && now.Before(end) {
			return false, end
		}
	}
	return true, s.Since.Add(patience)
}
