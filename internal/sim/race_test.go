// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

//go:build race

package sim

// share is the part of the seeds that is run: the race detector makes each ten times slower,
// and looks for what one goroutine cannot have.
const share = 20

// largest is the largest cluster that is run.
const largest = 50
