// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"context"
	"errors"
	"fmt"
	"time"

	api "github.com/osrg/gobgp/v3/api"
)

const (
	// quiet is how long no UPDATE must have gone out for all withdrawals to be sent.
	quiet  = 50 * time.Millisecond
	glance = 5 * time.Millisecond
)

// stop ends the session for good, after the slot's goroutine has ended.
func (s *slot) stop(ctx context.Context, restart bool) error {
	select {
	case <-s.done:
	case <-ctx.Done():
		return fmt.Errorf("stop peer %s: %w", s.name, ctx.Err())
	}
	if s.engine == nil || restart && s.have.Peer.GracefulRestart {
		return nil
	}
	ch := make(chan error, 1)
	go func() { ch <- s.drain(ctx) }()
	select {
	case err := <-ch:
		return err
	case <-ctx.Done():
		return fmt.Errorf("drain peer %s: %w", s.name, ctx.Err())
	}
}

// drain withdraws every route, waits until the peer has been told, and ends the session with
// Cease, Administrative Shutdown (RFC 4486), which a peer that helps restarting neighbours
// takes for what it is: we never announce the N bit of RFC 8538.
func (s *slot) drain(ctx context.Context) error {
	srv := s.engine.server
	address := s.address.String()
	// How many UPDATEs have gone out, before the withdrawals go on their way.
	sent, up := s.updates()
	if err := srv.DeletePath(ctx, &api.DeletePathRequest{TableType: api.TableType_GLOBAL}); err != nil {
		return fmt.Errorf("withdraw from %s: %w", s.name, err)
	}
	if up && len(s.have.Routes) > 0 {
		s.settle(ctx, sent)
	}
	var errs []error
	if up {
		errs = append(errs, srv.ShutdownPeer(ctx, &api.ShutdownPeerRequest{Address: address, Communication: "speaker stops"}))
		for up && ctx.Err() == nil {
			time.Sleep(glance)
			_, up = s.updates()
		}
	}
	errs = append(errs, srv.StopBgp(ctx, &api.StopBgpRequest{}))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("end session with %s: %w", s.name, err)
	}
	return nil
}

// settle waits until UPDATEs have gone out and no more follow.
func (s *slot) settle(ctx context.Context, before uint64) {
	last, since := before, time.Now()
	for ctx.Err() == nil {
		time.Sleep(glance)
		n, up := s.updates()
		switch {
		case !up:
			return
		case n != last:
			last, since = n, time.Now()
		case n != before && time.Since(since) >= quiet:
			return
		}
	}
}

// updates returns how many UPDATEs were sent in this session and whether it is established.
func (s *slot) updates() (uint64, bool) {
	peer, err := s.list()
	if err != nil || peer == nil || peer.State == nil {
		return 0, false
	}
	return messagesOf(peer.State.Messages).UpdatesSent, peer.State.SessionState == api.PeerState_ESTABLISHED
}
