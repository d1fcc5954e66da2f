// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package labctl

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// Fresh starts an empty cluster, whatever is left of an earlier one of its name, and returns
// what removes it, also when ctx has ended.
func (l Lab) Fresh(ctx context.Context, o Options) (down func() error, err error) {
	down = func() error { return l.Down(context.WithoutCancel(ctx)) }
	if err := l.Down(ctx); err != nil {
		return nil, err
	}
	if err := l.Up(ctx, o); err != nil {
		return nil, errors.Join(err, down())
	}
	return down, nil
}

// Main runs the tests of a package, which are run, with something around them, and exits. It is
// for TestMain.
func Main(run func() int, with func(run func() int) (code int, err error)) {
	code, err := with(run)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}
