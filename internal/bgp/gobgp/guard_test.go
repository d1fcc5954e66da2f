// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestGuardReturnsWhatTheCallsReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		want := errors.New("refused")
		got := guard(func(context.Context) error {
			time.Sleep(patience - beat)
			return want
		}, func() { t.Error("the calls were taken for late") })
		synctest.Wait()
		if !errors.Is(got, want) {
			t.Errorf("error %v, want %v", got, want)
		}
	})
}

func TestGuardLeavesCallsThatDoNotReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan struct{})
		ended, late := false, false
		start := time.Now()
		err := guard(func(ctx context.Context) error {
			<-answer
			ended = ctx.Err() != nil
			return nil
		}, func() { late = true })
		if took := time.Since(start); !errors.Is(err, errStuck) || took != patience {
			t.Fatalf("error %v after %s", err, took)
		}
		synctest.Wait()
		if late {
			t.Error("late ran beside the calls")
		}
		close(answer)
		synctest.Wait()
		if !ended || !late {
			t.Errorf("the calls were told to end: %v; late ran: %v", ended, late)
		}
	})
}

// To a process that was frozen, all of the time passes at once, and one beat with it.
func TestAFrozenProcessDoesNotBlameTheEngine(t *testing.T) {
	beats, result := make(chan time.Time), make(chan error, 1)
	go func() {
		beats <- time.Now()
		result <- nil
	}()
	if err := await(result, beats); err != nil {
		t.Error(err)
	}
}
