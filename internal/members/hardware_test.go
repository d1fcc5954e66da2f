// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package members

import (
	"maps"
	"slices"
	"testing"

	"github.com/clarion-lb/clarion/internal/lb"
)

func TestHardwareFollowsTheNamesAndFitsTheGossip(t *testing.T) {
	var macs []MAC
	for i := range 200 {
		macs = append(macs, MAC{2, 0, 0, 0, byte(i >> 8), byte(i)})
	}
	for _, own := range []*lb.Usable{nil, {}, {IPv4: []string{"eth0"}}, {IPv4: []string{"bond0.100", "eth0"}, IPv6: []string{"eth0"}}} {
		meta := appendHardware(encodeMeta(own, 512), macs[:maxHardware], 512)
		if got := decodeHardware(meta); !slices.Equal(got, macs[:maxHardware]) {
			t.Errorf("with names %v read back %v", own, got)
		}
		if got, known := decodeMeta(meta); known != (own != nil) || known && !got.Equal(*own) {
			t.Errorf("names %v read back as %v", own, got)
		}
		meta = appendHardware(encodeMeta(own, 100), macs, 100)
		if got := decodeHardware(meta); len(meta) > 100 || len(got) < 10 || got[0] != macs[0] {
			t.Errorf("%d bytes with %d addresses, want all that fit into 100", len(meta), len(got))
		}
		for n := range meta {
			_ = decodeHardware(meta[:n]) // must not panic
		}
	}
	for _, other := range [][]byte{nil, {0}, {metaMark, metaVersion}, {metaMark, 9, 1, 1, 1, 2, 3, 4, 5, 6}, {metaMark, metaVersion, 1, 2, 1, 2, 3}} {
		if got := decodeHardware(other); len(got) != 0 {
			t.Errorf("%v reads as %v", other, got)
		}
	}
}

// A partition is when one must know the other side by its frames alone.
func TestTheHardwareOfASpeakerIsKnownWhenItIsGoneAndForgottenWithItsNode(t *testing.T) {
	all := cluster(t, 3, func(*Config) {})
	mac := func(i byte) MAC { return MAC{2, 0, 0, 0, 0, i} }
	for i, s := range all {
		s.SetHardware([]MAC{mac(byte(i))})
	}
	want := map[MAC]string{mac(1): "n2", mac(2): "n3"}
	all[0].until(t, "the hardware of the others", func(lb.View) bool { return maps.Equal(all[0].Hardware(), want) })
	all[2].SetHardware([]MAC{mac(2), mac(7)})
	want[mac(7)] = "n3"
	all[0].until(t, "a changed interface", func(lb.View) bool { return maps.Equal(all[0].Hardware(), want) })
	all[2].stop()
	all[0].until(t, "the death of n3", members("n1", "n2"))
	if got := all[0].Hardware(); !maps.Equal(got, want) {
		t.Errorf("after the death of n3: %v", got)
	}
	all[0].SetPeers([]Peer{all[0].peer, all[1].peer})
	if got := all[0].Hardware(); !maps.Equal(got, map[MAC]string{mac(1): "n2"}) {
		t.Errorf("after n3 was removed from the cluster: %v", got)
	}
}
