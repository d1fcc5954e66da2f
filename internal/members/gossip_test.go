// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package members

import (
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/memberlist"

	"github.com/clarion-lb/clarion/internal/lb"
)

func TestMetaDataSaysWhatWasMeant(t *testing.T) {
	many := make([]string, 100)
	for i := range many {
		many[i] = "eth100"
	}
	for _, tt := range []struct {
		names []string
		known bool
	}{{nil, false}, {[]string{}, true}, {[]string{"eth0"}, true}, {[]string{"bond0.100", "eth0"}, true}, {many, false}} {
		meta := encodeMeta(tt.names, memberlist.MetaMaxSize)
		names, known := decodeMeta(meta)
		if known != tt.known || known && !slices.Equal(names, tt.names) || len(meta) > memberlist.MetaMaxSize {
			t.Errorf("%q became %q, %v", tt.names, names, known)
		}
		if got, ok := decodeMeta(append(meta, 1, 2, 3)); ok != known || !slices.Equal(got, names) {
			t.Errorf("with an addition %q became %q, %v", tt.names, got, ok)
		}
		for n := range meta {
			if _, known := decodeMeta(meta[:n]); known {
				t.Errorf("%d bytes of %q are taken for a list", n, meta)
			}
		}
	}
}

func FuzzMeta(f *testing.F) {
	f.Add(encodeMeta([]string{"eth0", "eth1"}, 512))
	f.Fuzz(func(t *testing.T, meta []byte) {
		names, known := decodeMeta(meta)
		if !known {
			return
		}
		again, known := decodeMeta(encodeMeta(names, 1<<20))
		if len(names) <= 250 && (!known || !slices.Equal(names, again)) {
			t.Fatalf("%q became %q", names, again)
		}
	})
}

func owned(want map[netip.Addr]string) func(lb.View) bool {
	return func(v lb.View) bool { return maps.Equal(v.Owners, want) }
}

func TestClaimsAndInterfacesReachEverybody(t *testing.T) {
	all := cluster(t, 3, plain)
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	both := []netip.Addr{a, b}
	first, _ := all[0].Claim(both)
	if again, _ := all[0].Claim(both); !first || again {
		t.Error("a claim is news once")
	}
	for _, s := range all {
		s.until(t, "the first claims", owned(map[netip.Addr]string{a: "n1", b: "n1"}))
	}
	all[1].Claim(both[:1])
	all[2].SetInterfaces([]string{"eth0", "eth1"})
	all[1].SetInterfaces(nil)
	for _, s := range all {
		s.until(t, "the second claim", owned(map[netip.Addr]string{a: "n2", b: "n1"}))
		s.until(t, "the interfaces", func(v lb.View) bool {
			return slices.Equal(v.Interfaces["n3"], []string{"eth0", "eth1"}) && v.Interfaces["n2"] != nil && len(v.Interfaces["n2"]) == 0
		})
		if _, told := s.View().Interfaces["n1"]; told {
			t.Errorf("%s takes the interfaces of n1 for known", s.peer.Node)
		}
	}
	// One that comes later has heard everything before it may use its view.
	late := start(t, configOf(4))
	late.SetInterfaces([]string{"eth9"})
	late.SetPeers([]Peer{all[0].peer, all[1].peer, all[2].peer})
	v := late.until(t, "a known view", func(v lb.View) bool { return v.Known })
	if !owned(map[netip.Addr]string{a: "n2", b: "n1"})(v) || !slices.Equal(v.Interfaces["n3"], []string{"eth0", "eth1"}) {
		t.Errorf("its first view is %+v", v)
	}
	for _, s := range all {
		s.until(t, "the interfaces of the late one", func(v lb.View) bool { return slices.Equal(v.Interfaces["n4"], []string{"eth9"}) })
	}
}

// A speaker of MetalLB runs memberlist without a delegate. It stays a member like any other,
// whatever ours say to each other.
func TestASpeakerWithoutDelegateIsNotHarmed(t *testing.T) {
	c := memberlist.DefaultLANConfig()
	c.Name, c.BindAddr, c.BindPort = "n3", loopback(3).Addr().String(), int(loopback(3).Port())
	var said strings.Builder
	c.LogOutput = io.Writer(&said)
	foreign, err := memberlist.Create(c)
	if err != nil {
		t.Fatal(err)
	}
	ours := []*speaker{start(t, configOf(1)), start(t, configOf(2))}
	peers := []Peer{ours[0].peer, ours[1].peer, {Node: "n3", Addr: loopback(3)}}
	for _, s := range ours {
		s.SetInterfaces([]string{"eth0"})
		s.SetPeers(peers)
	}
	for _, s := range ours {
		s.until(t, "all three", members("n1", "n2", "n3"))
	}
	var addrs []netip.Addr
	for i := range 200 {
		addrs = append(addrs, netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}))
	}
	ours[0].Claim(addrs)
	v := ours[1].until(t, "the claims", func(v lb.View) bool { return len(v.Owners) == len(addrs) })
	if _, told := v.Interfaces["n3"]; told || !members("n1", "n2", "n3")(v) {
		t.Errorf("view %+v", v)
	}
	if _, err := foreign.Join([]string{ours[0].peer.Addr.String()}); err != nil { // exchanges all state
		t.Errorf("join: %v", err)
	}
	if n := foreign.NumMembers(); n != 3 {
		t.Errorf("it sees %d members", n)
	}
	if err := foreign.Shutdown(); err != nil {
		t.Error(err)
	}
	for line := range strings.Lines(said.String()) {
		if strings.Contains(line, "[ERR]") || strings.Contains(line, "[WARN]") {
			t.Errorf("it complains: %s", line)
		}
	}
}
