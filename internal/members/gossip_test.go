// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package members

import (
	"fmt"
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
		many[i] = fmt.Sprintf("eth%d", 1000+i)
	}
	for _, tt := range []struct {
		own   *lb.Usable
		known bool
	}{
		{nil, false},
		{&lb.Usable{}, true},
		{&lb.Usable{IPv4: []string{"eth0"}}, true},
		{&lb.Usable{IPv4: []string{"bond0.100", "eth0"}, IPv6: []string{"eth0"}}, true},
		{&lb.Usable{IPv4: many}, false},
	} {
		meta := encodeMeta(tt.own, memberlist.MetaMaxSize)
		got, known := decodeMeta(meta)
		if known != tt.known || known && !got.Equal(*tt.own) || len(meta) > memberlist.MetaMaxSize {
			t.Errorf("%v became %v, %v", tt.own, got, known)
		}
		if longer, ok := decodeMeta(append(meta, 1, 2, 3)); ok != known || !longer.Equal(got) {
			t.Errorf("with an addition %v became %v, %v", tt.own, longer, ok)
		}
		for n := range meta {
			if _, known := decodeMeta(meta[:n]); known {
				t.Errorf("%d bytes of %q are taken for a list", n, meta)
			}
		}
	}
}

func FuzzMeta(f *testing.F) {
	f.Add(encodeMeta(&lb.Usable{IPv4: []string{"eth0", "eth1"}, IPv6: []string{"eth1"}}, 512))
	f.Fuzz(func(t *testing.T, meta []byte) {
		u, known := decodeMeta(meta)
		if !known {
			return
		}
		u.IPv4, u.IPv6 = slices.Compact(u.IPv4), slices.Compact(u.IPv6) // a name said twice counts once
		if again, known := decodeMeta(encodeMeta(&u, 1<<20)); !known || !again.Equal(u) {
			t.Fatalf("%v became %v", u, again)
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
	two := lb.Usable{IPv4: []string{"eth0", "eth1"}, IPv6: []string{"eth0"}}
	all[2].SetInterfaces(two)
	all[1].SetInterfaces(lb.Usable{})
	for _, s := range all {
		s.until(t, "the second claim", owned(map[netip.Addr]string{a: "n2", b: "n1"}))
		s.until(t, "the interfaces", func(v lb.View) bool {
			none, told := v.Interfaces["n2"]
			return v.Interfaces["n3"].Equal(two) && told && none.Equal(lb.Usable{})
		})
		if _, told := s.View().Interfaces["n1"]; told {
			t.Errorf("%s takes the interfaces of n1 for known", s.peer.Node)
		}
	}
	// One that comes later has heard everything before it may use its view.
	late := start(t, configOf(4))
	one := lb.Usable{IPv4: []string{"eth9"}}
	late.SetInterfaces(one)
	late.SetPeers([]Peer{all[0].peer, all[1].peer, all[2].peer})
	v := late.until(t, "a known view", func(v lb.View) bool { return v.Known })
	if !owned(map[netip.Addr]string{a: "n2", b: "n1"})(v) || !v.Interfaces["n3"].Equal(two) {
		t.Errorf("its first view is %+v", v)
	}
	for _, s := range all {
		s.until(t, "the interfaces of the late one", func(v lb.View) bool { return v.Interfaces["n4"].Equal(one) })
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
		s.SetInterfaces(lb.Usable{IPv4: []string{"eth0"}})
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
