// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !race

package sim

// share is the part of the seeds that is run: all.
const share = 1

// largest is the largest cluster that is run.
const largest = 200
