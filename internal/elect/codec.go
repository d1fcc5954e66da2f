// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package elect

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

// A message begins with a mark, so that what other programs say to each other over the same
// gossip is not taken for ours, and with the version of what follows: the names of the nodes,
// each with its length, and then claims up to the end, each an address with its length in
// bytes, the term and the index of the node's name. Numbers are unsigned varints. A reader
// takes the claims up to the first that it cannot read, so a later version may only add
// after them, or must have another number.
const (
	mark    = 0xC7
	version = 1
)

// What a message may hold at most; more is no message of a speaker.
const (
	maxName = 253     // of a Node object
	maxTerm = 1 << 62 // no owner changes that often; one more must not overflow
)

var errCut = errors.New("the message is cut off")

// writer encodes claims one by one.
type writer struct {
	names  []byte
	index  map[string]uint64
	claims []byte
}

func (w *writer) add(addr netip.Addr, c Claim) {
	i, ok := w.index[c.Node]
	if !ok {
		if w.index == nil {
			w.index = map[string]uint64{}
		}
		i = uint64(len(w.index))
		w.index[c.Node] = i
		w.names = binary.AppendUvarint(w.names, uint64(len(c.Node)))
		w.names = append(w.names, c.Node...)
	}
	b := addr.AsSlice()
	w.claims = append(append(w.claims, byte(len(b))), b...)
	w.claims = binary.AppendUvarint(w.claims, c.Term)
	w.claims = binary.AppendUvarint(w.claims, i)
}

// most is how many bytes one more claim takes at most.
func (w *writer) most(c Claim) int {
	n := 1 + 16 + 2*binary.MaxVarintLen64
	if _, ok := w.index[c.Node]; !ok {
		n += binary.MaxVarintLen64 + len(c.Node)
	}
	return n
}

func (w *writer) size() int { return 2 + binary.MaxVarintLen64 + len(w.names) + len(w.claims) }

// bytes returns the message, nil when nothing was added.
func (w *writer) bytes() []byte {
	if len(w.claims) == 0 {
		return nil
	}
	out := make([]byte, 0, w.size())
	out = binary.AppendUvarint(append(out, mark, version), uint64(len(w.index)))
	return append(append(out, w.names...), w.claims...)
}

// read calls f for each claim of a message, up to the first that cannot be read.
func read(msg []byte, f func(netip.Addr, Claim)) error {
	if len(msg) < 2 || msg[0] != mark || msg[1] != version {
		return errors.New("not a message of this version")
	}
	r := reader{rest: msg[2:]}
	names := make([]string, 0, 8)
	for range r.uvarint(uint64(len(msg))) {
		names = append(names, string(r.bytes(r.uvarint(maxName))))
		if r.err != nil {
			return fmt.Errorf("read names: %w", r.err)
		}
	}
	for len(r.rest) > 0 && r.err == nil {
		addr, ok := netip.AddrFromSlice(r.bytes(r.uvarint(16)))
		term, node := r.uvarint(maxTerm), r.uvarint(uint64(len(names)))
		switch {
		case r.err != nil:
		case !ok || addr.Is4In6() || node == uint64(len(names)) || names[node] == "" || term == 0:
			r.err = errors.New("a claim makes no sense")
		default:
			f(addr, Claim{Node: names[node], Term: term})
		}
	}
	if r.err != nil {
		return fmt.Errorf("read claims: %w", r.err)
	}
	return nil
}

// reader takes a message apart. After an error it returns zeros.
type reader struct {
	rest []byte
	err  error
}

// uvarint reads a number that is at most limit.
func (r *reader) uvarint(limit uint64) uint64 {
	if r.err != nil {
		return 0
	}
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.err = errCut
		return 0
	}
	if v > limit {
		r.err = fmt.Errorf("%d is more than %d", v, limit)
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) bytes(n uint64) []byte {
	if r.err == nil && n > uint64(len(r.rest)) {
		r.err = errCut
	}
	if r.err != nil {
		return nil
	}
	out := r.rest[:n]
	r.rest = r.rest[n:]
	return out
}
