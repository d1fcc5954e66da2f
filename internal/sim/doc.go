// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Package sim runs many speakers in virtual time, in one goroutine, from one seed: the real
// election, plan and layer-2 machine over a made-up membership whose messages get lost,
// late, doubled and cut off while nodes crash, freeze and return. It holds tests only. It
// does not imitate memberlist, whose own behaviour package members tests; it asks whether
// the decisions hold under any membership that is right in the end.
//
// A failing seed is replayed with
//
//	go test ./internal/sim -run TestName -seed N -v
package sim
