// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package members

import (
	"maps"
	"slices"

	"github.com/clarion-lb/clarion/internal/lb"
)

// A node's meta data says which of its interfaces could announce: a mark, the version, and
// each name with its length and the families. Without the list, what the node has is not known: a
// MetalLB speaker says nothing, and one with more interfaces than there is room for says no list.
const (
	metaMark    = 0xC7
	metaVersion = 2
	metaUnknown = 0 // in place of the number of names plus one

	metaIPv4 = 1
	metaIPv6 = 2
)

// encodeMeta returns the meta data; nil stands for interfaces that are not known.
func encodeMeta(own *lb.Usable, limit int) []byte {
	unknown := []byte{metaMark, metaVersion, metaUnknown}
	if own == nil {
		return unknown
	}
	families := map[string]byte{}
	for _, n := range own.IPv4 {
		families[n] |= metaIPv4
	}
	for _, n := range own.IPv6 {
		families[n] |= metaIPv6
	}
	if len(families) > 250 {
		return unknown
	}
	out := []byte{metaMark, metaVersion, byte(len(families) + 1)}
	for _, n := range slices.Sorted(maps.Keys(families)) {
		if len(n) > 255 {
			return unknown
		}
		out = append(append(append(out, byte(len(n))), n...), families[n])
	}
	if len(out) > limit {
		return unknown
	}
	return out
}

// decodeMeta returns the interfaces, and false when they are not known.
func decodeMeta(meta []byte) (u lb.Usable, known bool) {
	u, known, _ = readMeta(meta)
	return u, known
}

// readMeta is decodeMeta, and returns what follows the list: the hardware addresses, and what later
// versions may add.
func readMeta(meta []byte) (u lb.Usable, known bool, rest []byte) {
	if len(meta) < 3 || meta[0] != metaMark || meta[1] != metaVersion {
		return lb.Usable{}, false, nil
	}
	count, rest := meta[2], meta[3:]
	if count == metaUnknown {
		return lb.Usable{}, false, rest
	}
	for range count - 1 {
		if len(rest) == 0 || len(rest) < 2+int(rest[0]) {
			return lb.Usable{}, false, nil
		}
		end := 1 + int(rest[0])
		name, families := string(rest[1:end]), rest[end]
		if families&metaIPv4 != 0 {
			u.IPv4 = append(u.IPv4, name)
		}
		if families&metaIPv6 != 0 {
			u.IPv6 = append(u.IPv6, name)
		}
		rest = rest[end+1:]
	}
	slices.Sort(u.IPv4)
	slices.Sort(u.IPv6)
	return u, true, rest
}
