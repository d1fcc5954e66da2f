// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package bgp

import (
	"fmt"
	"time"

	"github.com/clarion-lb/clarion/internal/bfd"
)

// bfdTime is what BFD has to come up after the BGP session. It sends a packet a second until then,
// and needs three.
const bfdTime = 5 * time.Second

// Unwatched says why BFD does not watch an established session that it should watch, "" when it
// does or is still within its time. The text has no times, so that it stays the same.
func Unwatched(s *Session, w Watched, now time.Time) string {
	b := &w.Status
	switch {
	case s.Phase != Established || b.State == bfd.Up || now.Before(s.Since.Add(bfdTime)):
		return ""
	case w.Problem != "":
		return "BFD cannot work: " + w.Problem
	case b.Remote == bfd.AdminDown:
		return "the peer has switched BFD off"
	case b.EverUp && now.Before(b.Since.Add(patience)):
		return "" // the session is about to be held, or BFD is about to be up again
	case b.EverUp:
		return fmt.Sprintf("BFD is down (%s) and BGP goes on without it", b.Diagnostic)
	case b.RemoteDisc != 0:
		return "BFD has not come up: the peer sends packets and does not hear ours"
	case w.Target.MultiHop:
		return "BFD has not come up: no packet from the peer for a session across hops (UDP port 4784)"
	default:
		return "BFD has not come up: no packet from the peer for a session on one network (UDP port 3784)"
	}
}
