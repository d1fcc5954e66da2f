// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package bgp

import (
	"context"
	"net/netip"
	"time"

	"github.com/clarion-lb/clarion/internal/lb"
)

// Router keeps sessions and announces routes.
type Router interface {
	// Set hands over everything that is wanted. It returns without waiting for any peer; the
	// same value twice sends nothing. The error names the peers that cannot be served as
	// configured; the others are served.
	Set(ctx context.Context, want Want) error
	// Observe returns what is, without waiting for any peer.
	Observe(ctx context.Context) (State, error)
	// Stop ends all sessions. With restart the routes are left to the peers that keep them for
	// a restarting neighbour (RFC 4724). Without it every route is withdrawn first and the
	// sessions end with a Cease. The Router cannot be used afterwards.
	Stop(ctx context.Context, restart bool) error
}

// Want is all that a Router shall do. Peers are sorted by name, each name once.
type Want struct {
	Peers []PeerWant
}

// PeerWant is one session and its routes.
type PeerWant struct {
	Peer lb.Peer
	// Routes are sorted by Compare of their prefixes, each prefix once.
	Routes []lb.Route
	// Hold, when not "", says why there must be no session now: BFD has found the peer
	// unreachable, or its link is down. Routes are kept for later.
	Hold lb.Reason
}

// Reasons to hold a session, for a session that cannot be, and for one that BFD does not watch or
// that does not carry all routes.
const (
	BFDDown       lb.Reason = "bfdDown"
	BFDNotUp      lb.Reason = "bfdNotUp"
	LinkDown      lb.Reason = "linkDown"
	ASNMismatch   lb.Reason = "asnMismatch"
	NoNeighbor    lb.Reason = "noNeighbor"
	NoNextHop     lb.Reason = "noNextHop"
	PeerRejected  lb.Reason = "peerRejected"
	HoldTimeZero  lb.Reason = "holdTimeZero"
	SessionFailed lb.Reason = "sessionFailed"
	TooManyRoutes lb.Reason = "tooManyRoutes"
)

// Phase is how far a session is.
type Phase string

// The phases of a session.
const (
	Idle        Phase = "Idle"       // rejected, or between attempts
	Held        Phase = "Held"       // PeerWant.Hold
	Connecting  Phase = "Connecting" // RFC 4271's Connect, Active, OpenSent and OpenConfirm
	Established Phase = "Established"
)

// State is what a Router observes. Sessions are sorted by name.
type State struct {
	Sessions []Session
}

// Session is what is known of the session with one peer.
type Session struct {
	Name  string
	Phase Phase
	Since time.Time // of the phase
	// Reason and Detail say why the session is not established, or why it last ended; NoNextHop
	// also which routes an established one does not carry.
	Reason lb.Reason
	Detail string

	Address  netip.Addr // of the peer; found by its advertisements when unnumbered
	Port     uint16
	Link     string // of an unnumbered peer
	VRF      string
	Local    netip.Addr // our address in the session
	ASN      uint32     // the peer's AS number as it said
	RouterID netip.Addr // the peer's
	HoldTime time.Duration

	Announced int // routes that the peer has been sent, or will be when the session is up
	// Pending is how many routes the engine has not been given yet.
	Pending  int
	Received int    // prefixes that the peer sends, none of which is used
	Ups      uint64 // sessions established since the peer was configured
	Messages
}

// Messages count BGP messages since the peer was configured.
type Messages struct {
	OpensSent, OpensReceived, UpdatesSent, UpdatesReceived, NotificationsSent, NotificationsReceived,
	KeepalivesSent, KeepalivesReceived, RefreshesSent, RefreshesReceived, TotalSent, TotalReceived uint64
}

// Find returns the session of a peer.
func (s State) Find(name string) (Session, bool) {
	for _, x := range s.Sessions {
		if x.Name == name {
			return x, true
		}
	}
	return Session{}, false
}
