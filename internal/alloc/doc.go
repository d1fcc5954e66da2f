// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Package alloc decides which addresses each Service gets, and why not. Plan is a pure
// function of pools, Services, what is held back and the time: its result does not depend on
// the order of its input, and fed its own result it changes nothing.
//
// It decides neither what a Kubernetes object means (package cluster does) nor when to write
// what it found (the controller does), and it must not be called before its input is known:
// an empty list of pools means that there is no pool, not that none was read yet.
//
// One Plan has two halves. settle looks at what every Service has and keeps all that is
// allowed; only when that is done does serve hand out addresses, oldest Service first. So
// nobody who waits can take anything from somebody who has.
package alloc
