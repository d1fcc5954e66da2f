// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"context"
	"errors"
	"time"
)

const (
	// patience is how long the engine may take for one chunk. It waits for the last write of a
	// session, and a peer that reads nothing can make that last as long as the hold time; such an
	// engine is left behind, and the peer gets another one.
	patience = 5 * time.Second
	// beat is what patience is counted in. A process that was frozen missed its beats, so the
	// time that it could not see is not held against the engine.
	beat = 100 * time.Millisecond
)

var errStuck = errors.New("engine does not answer")

// guard runs calls to an engine but does not wait for ever. After errStuck the engine must be
// left alone: the call that is on its way still ends some day. No other should follow it, for
// which calls looks at ctx, and late runs then, in the same goroutine.
func guard(calls func(ctx context.Context) error, late func()) error {
	ctx, leave := context.WithCancel(context.Background())
	defer leave()
	result := make(chan error) // has no buffer, so that either the result is taken or late runs
	go func() {
		err := calls(ctx)
		select {
		case result <- err:
		case <-ctx.Done():
			late()
		}
	}()
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	return await(result, ticker.C)
}

// await waits for the result until patience is at its end.
func await(result <-chan error, beats <-chan time.Time) error {
	for range patience / beat {
		select {
		case err := <-result:
			return err
		case <-beats:
		}
	}
	return errStuck
}
