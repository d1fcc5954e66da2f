// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Package archtest holds no code, only tests that keep the shape of the project: who may
// import what, one package comment each, and files that fit in a head. Each ban says why,
// so that whoever meets it can judge whether the wall stands in the right place.
package archtest
