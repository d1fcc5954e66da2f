// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Package lb holds the nouns that every other package speaks: Services that
// want addresses, the pools that hold them, nodes, links, advertisements and
// the reasons given to users. It decides nothing, performs no I/O, and imports
// the standard library only, so that each decision elsewhere can be a function
// of plain values.
package lb
