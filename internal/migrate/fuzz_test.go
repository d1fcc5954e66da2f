// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package migrate_test

import (
	"net/netip"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/clarion-lb/clarion/internal/cluster/manifest"
	"github.com/clarion-lb/clarion/internal/lb"
	"github.com/clarion-lb/clarion/internal/migrate"
)

// FuzzTranslate feeds any bytes. The answer is either objects that can be read back, each with
// a name of its own, or what is wrong, and the same each time.
func FuzzTranslate(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		f.Fatalf("find goldens: %v, %d files", err, len(files))
	}
	for _, file := range files {
		golden, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(golden.Files[0].Data)
	}
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("&a {kind: List, items: [*a]}"))
	f.Add([]byte("address-pools: [{name: a, addresses: &x [*x], protocol: layer2}]"))
	f.Fuzz(func(t *testing.T, input []byte) {
		result, problems := migrate.Translate(input, "metallb-system")
		again, problemsAgain := migrate.Translate(input, "metallb-system")
		if !reflect.DeepEqual(result, again) || !reflect.DeepEqual(problems, problemsAgain) {
			t.Errorf("two answers:\n%v %v\n%v %v", result, problems, again, problemsAgain)
		}
		if len(problems) == 0 && len(result.Objects()) == 0 {
			t.Error("no objects, and no reason")
		}
		if !migrate.Complete(problems) && len(result.Objects()) > 0 {
			t.Error("half a configuration")
		}
		text, err := result.YAML()
		if err != nil {
			t.Fatal(err)
		}
		objects, ignored, err := manifest.Read(text)
		if err != nil || ignored > 0 {
			t.Fatalf("read the result: %v, %d unknown objects in\n%s", err, ignored, text)
		}
		names := map[string]bool{}
		for _, p := range objects.BGPPeers {
			names[p.Name] = true
		}
		for _, a := range objects.BGPAdvertisements {
			names["ad "+a.Name] = true
		}
		if len(names) != len(result.BGPPeers)+len(result.BGPAdvertisements) {
			t.Errorf("names are not unique:\n%s", text)
		}
	})
}

// TestMeaning says in Clarion's terms what an old configuration must come to.
func TestMeaning(t *testing.T) {
	text, problems := translate(t, []byte(`
address-pools:
- name: lan
  protocol: layer2
  auto-assign: false
  addresses: [192.168.1.10-192.168.1.20]
- name: routed
  protocol: bgp
  avoid-buggy-ips: true
  addresses: [198.51.100.0/24]
  bgp-advertisements:
  - {localpref: 150, communities: [down], aggregation-length: 28}
peers:
- {my-asn: 64500, peer-asn: 64501, peer-address: 10.0.0.1, keepalive-time: 20s}
bgp-communities: {down: "64500:666"}
`))
	if len(problems) > 0 {
		t.Fatal(list(problems))
	}
	s := checkMeaning(t, text)
	want := lb.Range{First: netip.MustParseAddr("192.168.1.10"), Last: netip.MustParseAddr("192.168.1.20")}
	if p := s.Pools[0]; p.Name != "lan" || p.AutoAssign || p.AvoidBuggyIPs || len(p.Ranges) != 1 || p.Ranges[0] != want {
		t.Errorf("pool lan is %+v", p)
	}
	if p := s.Pools[1]; p.Name != "routed" || !p.AutoAssign || !p.AvoidBuggyIPs {
		t.Errorf("pool routed is %+v", p)
	}
	if len(s.L2) != 1 || !reflect.DeepEqual(s.L2[0].Pools, []string{"lan"}) {
		t.Errorf("layer 2 announces %+v", s.L2)
	}
	if len(s.BGP) != 1 || !reflect.DeepEqual(s.BGP[0].Pools, []string{"routed"}) || s.BGP[0].LocalPref != 150 ||
		!reflect.DeepEqual(s.BGP[0].Communities, []lb.Community{{A: 64500, B: 666}}) {
		t.Errorf("BGP advertises %+v", s.BGP)
	}
	if p := s.Peers[0]; p.Port != lb.DefaultBGPPort || p.HoldTime != 90*time.Second || p.KeepaliveTime != 20*time.Second {
		t.Errorf("the peer is %+v", p)
	}
}
