// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package members

import (
	"bytes"
	"maps"
	"slices"
)

// MAC is an Ethernet address.
type MAC = [6]byte

// maxHardware bounds how many addresses a node tells of itself.
const maxHardware = 64

// SetHardware says from which Ethernet addresses this node sends its layer 2 announcements, so
// that the other speakers do not take it for a stranger. As many of the first as there is room
// for are told.
func (m *Members) SetHardware(macs []MAC) {
	if m.gossip.setHardware(macs) && !m.off() {
		kick(m.wake)
	}
}

// Hardware returns the other speakers by the Ethernet addresses they send from. Those that
// are gone are included: when gossip is cut, one must tell a speaker on the far side from a
// stranger. The result is the caller's own.
func (m *Members) Hardware() map[MAC]string {
	g := m.gossip
	g.mu.Lock()
	defer g.mu.Unlock()
	out := map[MAC]string{}
	for _, node := range slices.Sorted(maps.Keys(g.hardware)) {
		if node == m.config.Node {
			continue // memberlist tells a node about itself, too
		}
		for _, mac := range g.hardware[node] {
			out[mac] = node
		}
	}
	return out
}

// setHardware notes this node's addresses and says whether they are others than before.
func (g *gossip) setHardware(macs []MAC) bool {
	macs = slices.Clone(macs[:min(maxHardware, len(macs))])
	g.mu.Lock()
	defer g.mu.Unlock()
	if slices.Equal(g.ownHardware, macs) {
		return false
	}
	g.ownHardware = macs
	g.ownTurn++
	return true
}

// learnHardware notes what another node says of itself, and keeps what it said before if it
// says nothing. It is called with mu held.
func (g *gossip) learnHardware(node string, meta []byte) {
	macs := decodeHardware(meta)
	if len(macs) == 0 || slices.Equal(g.hardware[node], macs) {
		return
	}
	if g.hardware == nil {
		g.hardware = map[string][]MAC{}
	}
	g.hardware[node] = macs
	kick(g.changed)
}

// keepHardware forgets the nodes that are neither listed nor alive.
func (g *gossip) keepHardware(known func(node string) bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	maps.DeleteFunc(g.hardware, func(node string, _ []MAC) bool { return !known(node) })
}

// appendHardware adds addresses to the meta data of a node, as many as fit: their number and
// then the addresses.
func appendHardware(meta []byte, macs []MAC, limit int) []byte {
	n := min(len(macs), (limit-len(meta)-1)/len(MAC{}))
	if n <= 0 {
		return meta
	}
	meta = append(meta, byte(n))
	for _, mac := range macs[:n] {
		meta = append(meta, mac[:]...)
	}
	return meta
}

// decodeHardware returns nothing for what another program or version may have sent.
func decodeHardware(meta []byte) []MAC {
	_, _, rest := readMeta(meta)
	if len(rest) == 0 || len(rest) < 1+int(rest[0])*len(MAC{}) {
		return nil
	}
	var out []MAC
	for i := range int(rest[0]) {
		out = append(out, MAC(rest[1+i*len(MAC{}):]))
	}
	slices.SortFunc(out, func(a, b MAC) int { return bytes.Compare(a[:], b[:]) })
	return out
}
