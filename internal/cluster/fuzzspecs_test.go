// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarion-lb/clarion/api/v1beta1"
	"github.com/clarion-lb/clarion/api/v1beta2"
	"github.com/clarion-lb/clarion/internal/alloc"
	"github.com/clarion-lb/clarion/internal/bgp"
	"github.com/clarion-lb/clarion/internal/cluster"
	"github.com/clarion-lb/clarion/internal/lb"
)

// longestCondition is the most that the API server takes as the message of a condition.
const longestCondition = 32768

// Whatever JSON the spec of an object is, what comes out obeys what plan and bgp rely on, and
// what is wrong can be written into the object's condition.
func FuzzConfigSpec(f *testing.F) {
	f.Add("BGPPeer", `{"myASN": 64512, "peerASN": 64513, "peerAddress": "192.0.2.1", "bfdProfile": "x", "holdTime": "9s", "keepaliveTime": "3s"}`)
	f.Add("BGPPeer", `{"myASN": 1, "dynamicASN": "external", "interface": "eth0", "routerID": "::1", "connectTime": "-1s", "peerPort": 0}`)
	f.Add("BGPPeer", `{"myASN": 1, "peerASN": 1, "peerAddress": "fe80::1", "sourceAddress": "10.0.0.1", "listenPort": 1, "holdTime": "1ns", "ebgpMultiHop": true}`)
	f.Add("BGPAdvertisement", `{"aggregationLength": 0, "aggregationLengthV6": -1, "communities": ["x", "1:1", "1:1", "ext:0x", "rt:1:1"], "peers": ["b", "a", "a"]}`)
	f.Add("BGPAdvertisement", `{"asPathPrepend": 255, "linkBandwidth": 4294967295, "serviceSelectors": [{}], "aggregationLength": 24, "ipAddressPools": ["p", "p"]}`)
	f.Add("BFDProfile", `{"receiveInterval": 0, "transmitInterval": 60001, "detectMultiplier": 256, "minimumTtl": 0, "echoMode": true}`)
	f.Add("Community", `{"communities": [{"name": "x", "value": "large:1:2:3"}, {"name": "", "value": "rt:65536:1"}, {"name": "x", "value": "soo:1:1"}]}`)
	f.Add("L2Advertisement", `{"interfaces": ["b", "a", "a"], "preferredNodeSelectors": [{"weight": -1}, {"weight": 100, "preference": {"matchLabels": {"a": "b"}}}]}`)
	f.Add("L2Advertisement", `{"election": {"spread": "x", "sticky": false, "moveBackAfter": "-5m"}, "conflictPolicy": "y", "nodeSelectors": [{"matchExpressions": [{"operator": "z"}]}]}`)
	f.Add("L2Advertisement", `{"conflictPolicy": "`+strings.Repeat("ü", longestCondition)+`"}`)
	f.Fuzz(func(t *testing.T, kind, spec string) {
		o := neighbours()
		if !withSpec(&o, kind, spec) {
			return
		}
		s, problems := cluster.Compile(o)
		if again, p := cluster.Compile(o); !reflect.DeepEqual(s, again) || !reflect.DeepEqual(problems, p) {
			t.Fatalf("%s gives something else the second time", spec)
		}
		for _, p := range s.Peers {
			checkPeer(t, p)
		}
		for _, a := range s.BGP {
			checkBGP(t, a)
		}
		for _, a := range s.L2 {
			checkL2(t, a)
		}
		for _, p := range problems {
			if p.Kind == "" || p.Field == "" && !p.Ignored || p.Message == "" {
				t.Fatalf("%s gives the problem %+v", spec, p)
			}
		}
		for _, c := range cluster.RenderConfig(o, nil, problems, now) {
			if m := conditionsIn(t, c)[0].Message; m == "" || len(m) > longestCondition {
				t.Fatalf("%s gives a condition of %d bytes", c.Kind, len(m))
			}
		}
	})
}

// neighbours are objects that those with the fuzzed spec refer to, or are referred to by.
func neighbours() cluster.Objects {
	return cluster.Objects{
		Nodes:    []*corev1.Node{{ObjectMeta: metav1.ObjectMeta{Name: "n", Labels: map[string]string{"a": "b"}}}},
		Pools:    []*v1beta1.IPAddressPool{{ObjectMeta: object("p"), Spec: v1beta1.IPAddressPoolSpec{Addresses: []string{"10.0.0.0/24"}}}},
		BGPPeers: []*v1beta2.BGPPeer{{ObjectMeta: object("a"), Spec: v1beta2.BGPPeerSpec{MyASN: 1, ASN: 2, Address: "192.0.2.2", BFDProfile: "x"}}},
		BGPAdvertisements: []*v1beta1.BGPAdvertisement{{ObjectMeta: object("a"),
			Spec: v1beta1.BGPAdvertisementSpec{Communities: []string{"x"}}}},
	}
}

// withSpec adds an object of a kind with a spec, and says whether there is such an object.
func withSpec(o *cluster.Objects, kind, spec string) bool {
	meta := object("x")
	switch kind {
	case "BGPPeer":
		in := &v1beta2.BGPPeer{ObjectMeta: meta}
		o.BGPPeers = append(o.BGPPeers, in)
		return json.Unmarshal([]byte(spec), &in.Spec) == nil
	case "BGPAdvertisement":
		in := &v1beta1.BGPAdvertisement{ObjectMeta: meta}
		o.BGPAdvertisements = append(o.BGPAdvertisements, in)
		return json.Unmarshal([]byte(spec), &in.Spec) == nil
	case "BFDProfile":
		in := &v1beta1.BFDProfile{ObjectMeta: meta}
		o.BFDProfiles = append(o.BFDProfiles, in)
		return json.Unmarshal([]byte(spec), &in.Spec) == nil
	case "Community":
		in := &v1beta1.Community{ObjectMeta: meta}
		o.Communities = append(o.Communities, in)
		return json.Unmarshal([]byte(spec), &in.Spec) == nil
	case "L2Advertisement":
		in := &v1beta1.L2Advertisement{ObjectMeta: meta}
		o.L2Advertisements = append(o.L2Advertisements, in)
		return json.Unmarshal([]byte(spec), &in.Spec) == nil
	}
	return false
}

func checkPeer(t *testing.T, p lb.Peer) {
	t.Helper()
	if text := bgp.Check(p); text != "" {
		t.Fatalf("peer %+v: %s", p, text)
	}
	b := p.BFD
	if b == nil {
		return
	}
	for _, d := range []time.Duration{b.ReceiveInterval, b.TransmitInterval, b.EchoInterval} {
		if d < 10*time.Millisecond || d > time.Minute {
			t.Fatalf("profile %+v", b)
		}
	}
	if b.DetectMultiplier < 2 || b.MinimumTTL < 1 {
		t.Fatalf("profile %+v", b)
	}
}

func checkBGP(t *testing.T, a lb.BGPAdvertisement) {
	t.Helper()
	sorted := slices.IsSorted(a.Peers) && slices.IsSorted(a.Pools) && slices.IsSortedFunc(a.Communities, lb.Community.Compare)
	if !sorted || len(slices.Compact(slices.Clone(a.Communities))) != len(a.Communities) {
		t.Fatalf("lists of %+v", a)
	}
	if a.AggregationLength < 1 || a.AggregationLength > 32 || a.AggregationLengthV6 < 1 || a.AggregationLengthV6 > 128 || a.Prepend > 16 {
		t.Fatalf("numbers of %+v", a)
	}
	for _, c := range a.Communities {
		if again, err := lb.ParseCommunity(c.String()); err != nil || again != c {
			t.Fatalf("community %v is read back as %v, %v", c, again, err)
		}
	}
}

func checkL2(t *testing.T, a lb.L2Advertisement) {
	t.Helper()
	if !slices.IsSorted(a.Interfaces) || !slices.IsSorted(a.Pools) {
		t.Fatalf("lists of %+v", a)
	}
	for _, p := range a.Preferred {
		if p.Weight < 1 || p.Weight > 100 {
			t.Fatalf("preference %+v", p)
		}
	}
	if e := a.Election; e.MoveBackAfter < 0 || !e.Sticky && (e.MoveBackAfter > 0 || e.Rebalance) {
		t.Fatalf("election %+v", e)
	}
}

// Whatever a node's annotations say, each is used as it stands or reported, never half.
func FuzzNodeAnnotations(f *testing.F) {
	f.Add("64512", "10.0.0.1", "192.0.2.1,2001:db8::1")
	f.Add("0", "::1", "192.0.2.1, 192.0.2.2")
	f.Add("4294967296", "0.0.0.0", "fe80::1%eth0,,x")
	f.Add("-1", "::ffff:10.0.0.1", "::ffff:10.0.0.1,224.0.0.1")
	f.Fuzz(func(t *testing.T, asn, routerID, source string) {
		s, problems := cluster.Compile(cluster.Objects{Nodes: []*corev1.Node{{ObjectMeta: metav1.ObjectMeta{Name: "n", Annotations: map[string]string{
			cluster.AnnotationASN: asn, cluster.AnnotationRouterID: routerID, cluster.AnnotationSource: source,
		}}}}})
		reported := map[string]bool{}
		for _, p := range problems {
			reported[p.Field] = true
		}
		got := s.Nodes[0].BGP
		if n, err := strconv.ParseUint(asn, 10, 32); (got.ASN == 0) != reported["metadata.annotations["+cluster.AnnotationASN+"]"] ||
			got.ASN != 0 && (err != nil || uint64(got.ASN) != n) {
			t.Fatalf("AS number %q is read as %d; problems %v", asn, got.ASN, problems)
		}
		if id := got.RouterID; id.IsValid() == reported["metadata.annotations["+cluster.AnnotationRouterID+"]"] || id.IsValid() && (!id.Is4() || id.IsUnspecified()) {
			t.Fatalf("router ID %q is read as %v; problems %v", routerID, id, problems)
		}
		for _, a := range []netip.Addr{got.Source4, got.Source6} {
			if a.IsValid() && (a.IsUnspecified() || a.IsMulticast() || a.Zone() != "" || a.Is4In6()) {
				t.Fatalf("source %q is read as %v", source, a)
			}
		}
		if got.Source4.Is6() || got.Source6.Is4() {
			t.Fatalf("source %q is read as %v and %v", source, got.Source4, got.Source6)
		}
	})
}

// Whatever somebody wrote into the status of a pool, the planner can start from it, and what
// it holds back is read back as it was written.
func FuzzReservations(f *testing.F) {
	f.Add(`[{"address": "10.0.0.1", "namespace": "ns", "name": "a", "until": "2026-01-01T02:00:00Z", "reason": "Reservation"}]`, int64(3600), int64(60))
	f.Add(`[{"address": "::ffff:10.0.0.1", "until": "2026-01-01T00:59:59.5Z", "reason": "Cooldown"}, {"address": "10.0.0.1"}]`, int64(1), int64(1))
	f.Add(`[{"address": "fd00::1%eth0", "namespace": "x", "until": "9999-12-31T23:59:59Z"}, {"address": "x"}]`, int64(0), int64(1<<33))
	f.Fuzz(func(t *testing.T, status string, reservation, cooldown int64) {
		pool := &v1beta1.IPAddressPool{ObjectMeta: object("p"), Spec: v1beta1.IPAddressPoolSpec{
			Addresses:       []string{"10.0.0.0/29", "fd00::/125"},
			ReservationTime: &metav1.Duration{Duration: time.Duration(reservation) * time.Second},
			CooldownTime:    &metav1.Duration{Duration: time.Duration(cooldown) * time.Second},
		}}
		if json.Unmarshal([]byte(status), &pool.Status.Reserved) != nil {
			return
		}
		o := cluster.Objects{Pools: []*v1beta1.IPAddressPool{pool}}
		s, _ := cluster.Compile(o)
		read := cluster.Reservations(o.Pools)
		for _, r := range read {
			if !r.Addr.IsValid() || r.Addr.Zone() != "" || r.Addr.Is4In6() {
				t.Fatalf("%s is read as %v", status, r)
			}
		}
		res := alloc.Plan(alloc.Input{Pools: s.Pools, Reserved: read, Now: now})
		for _, r := range res.Reserved {
			if !r.Until.After(now) || !s.Pools[0].Contains(r.Addr) {
				t.Fatalf("%s holds back %v", status, r)
			}
		}
		out, changed := cluster.RenderPool(pool, cluster.PoolVerdict{Reserved: res.Reserved}, now)
		if !changed {
			t.Fatal("a pool without a condition is not written")
		}
		back := cluster.Reservations([]*v1beta1.IPAddressPool{out})
		for i := range back {
			back[i].Until = back[i].Until.UTC()
		}
		want := slices.Clone(res.Reserved)
		for i := range want {
			want[i].Until = want[i].Until.Truncate(time.Second).UTC()
		}
		if !slices.Equal(back, want) {
			t.Fatalf("%s: %v is read back as %v", status, want, back)
		}
	})
}
