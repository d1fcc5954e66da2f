// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package members

import "slices"

// A node's meta data says which of its interfaces could announce: a mark, the version, and
// each name with its length. Without the list, what the node has is not known: a MetalLB
// speaker says nothing, and one with more interfaces than there is room for says no list.
const (
	metaMark    = 0xC7
	metaVersion = 1
	metaUnknown = 0 // in place of the number of names plus one
)

func encodeMeta(names []string, limit int) []byte {
	unknown := []byte{metaMark, metaVersion, metaUnknown}
	if names == nil || len(names) > 250 {
		return unknown
	}
	out := []byte{metaMark, metaVersion, byte(len(names) + 1)}
	for _, n := range names {
		if len(n) > 255 {
			return unknown
		}
		out = append(append(out, byte(len(n))), n...)
	}
	if len(out) > limit {
		return unknown
	}
	return out
}

// decodeMeta returns the names, sorted, and false when they are not known. What follows the
// list is for later versions.
func decodeMeta(meta []byte) (names []string, known bool) {
	if len(meta) < 3 || meta[0] != metaMark || meta[1] != metaVersion || meta[2] == metaUnknown {
		return nil, false
	}
	names, rest := make([]string, 0, meta[2]-1), meta[3:]
	for range meta[2] - 1 {
		if len(rest) == 0 || len(rest) < 1+int(rest[0]) {
			return nil, false
		}
		names, rest = append(names, string(rest[1:1+int(rest[0])])), rest[1+int(rest[0]):]
	}
	slices.Sort(names)
	return names, true
}
