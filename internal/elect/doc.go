// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Package elect decides which of the candidates for an address owns it. Every speaker asks
// the same question with the same facts and gets the same answer, so nobody has to be told.
// It does not decide who is a candidate: that is package plan.
package elect
