// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/clarion-lb/clarion/internal/labctl"
	"github.com/clarion-lb/clarion/internal/labctl/frr"
)

// manyKinds is a router with one neighbour of each kind: two on every node, so that all options of
// BGPPeer are in use at once and beside each other.
const manyKinds = `
log timestamp precision 6
bfd
 profile hops
  receive-interval 100
  transmit-interval 100
  minimum-ttl 254
 exit
exit
router bgp 64513
 bgp router-id 192.168.100.1
 bgp log-neighbor-changes
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 no bgp network import-check
 neighbor 192.168.100.211 remote-as 64620
 neighbor 192.168.100.211 password right
 neighbor fd00:100::d3 remote-as 64620
 neighbor fd00:100::d3 port 1790
 neighbor fd00:100::d3 timers connect 1
 neighbor 192.168.100.12 remote-as 64513
 neighbor fd00:100::c remote-as 64512
 neighbor fd00:100::c ebgp-multihop 2
 neighbor fd00:100::c update-source fd00:9::1
 neighbor fd00:100::c bfd profile hops
 neighbor 192.168.100.13 remote-as 65010
 neighbor eth0 interface remote-as 64512
 address-family ipv4 unicast
  neighbor 192.168.100.211 activate
  neighbor 192.168.100.12 activate
  neighbor 192.168.100.13 activate
 exit-address-family
 address-family ipv6 unicast
  neighbor fd00:100::d3 activate
  neighbor 192.168.100.12 activate
  neighbor fd00:100::c activate
  neighbor eth0 activate
 exit-address-family
exit
`

// manyPeers are the same sessions seen from the nodes.
var manyPeers = kindOfPeer("source", 1, "myASN: 64512", "peerASN: 64513", "peerAddress: 192.168.100.1",
	"sourceAddress: 192.168.100.211", "password: right", "connectTime: 1s") +
	kindOfPeer("listening", 1, "myASN: 64512", "peerASN: 64513", "peerAddress: fd00:100::1", "listenPort: 1790") +
	kindOfPeer("internal", 2, "myASN: 64513", "dynamicASN: internal", "peerAddress: 192.168.100.1", "routerID: 10.9.9.9", "dualStackAddressFamily: true") +
	kindOfPeer("far", 2, "myASN: 64512", "peerASN: 64513", "peerAddress: fd00:9::1", "ebgpMultiHop: true", "bfdProfile: hops") +
	kindOfPeer("local", 3, "myASN: 64512", "localASN: 65010", "dynamicASN: external", "peerAddress: 192.168.100.1", "peerPort: 1179",
		"holdTime: 30s", "keepaliveTime: 7s", "vrf: eth0") +
	kindOfPeer("unnumbered", 3, "myASN: 64512", "dynamicASN: external", "interface: eth0")

func kindOfPeer(name string, on int, spec ...string) string {
	return fmt.Sprintf(`
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata: {name: %s, namespace: metallb-system}
spec:
  nodeSelectors: [{matchLabels: {kubernetes.io/hostname: n%d}}]
  %s
---
`, name, on, strings.Join(spec, "\n  "))
}

// hops254 is the BFD profile of the peer that is several hops away.
const hops254 = `
apiVersion: metallb.io/v1beta1
kind: BFDProfile
metadata: {name: hops, namespace: metallb-system}
spec: {receiveInterval: 100, transmitInterval: 100, minimumTtl: 254}
---
`

// manyAdvertisements say something else to each pair of them.
const manyAdvertisements = `
apiVersion: metallb.io/v1beta1
kind: Community
metadata: {name: options, namespace: metallb-system}
spec: {communities: [{name: named, value: "64512:99"}]}
---
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: options, namespace: metallb-system}
spec: {autoAssign: false, addresses: [203.0.113.0/24, "fd00:203::/120"]}
---
apiVersion: metallb.io/v1beta1
kind: BGPAdvertisement
metadata: {name: marked, namespace: metallb-system}
spec:
  ipAddressPools: [options]
  peers: [source, listening]
  communities: ["64512:1", "large:64512:1:2", "rt:64512:77", named]
  med: 50
  asPathPrepend: 2
  linkBandwidth: 3000
---
apiVersion: metallb.io/v1beta1
kind: BGPAdvertisement
metadata: {name: aggregated, namespace: metallb-system}
spec: {ipAddressPools: [options], peers: [internal], localPref: 200, aggregationLength: 28, aggregationLengthV6: 124}
---
apiVersion: metallb.io/v1beta1
kind: BGPAdvertisement
metadata: {name: chosen, namespace: metallb-system}
spec: {ipAddressPools: [options], serviceSelectors: [{matchLabels: {chosen: "yes"}}], peers: [local, unnumbered]}
---
apiVersion: metallb.io/v1beta1
kind: BGPAdvertisement
metadata: {name: by-node, namespace: metallb-system}
spec: {ipAddressPools: [options], nodeSelectors: [{matchLabels: {kubernetes.io/hostname: n2}}], peers: [far, unnumbered]}
---
`

// TestBGPOptions has every option of BGPPeer and BGPAdvertisement in use, and asks the router what
// arrived. How each one behaves by itself is tested in test/bgp.
func TestBGPOptions(t *testing.T) {
	ns := namespace(t)
	applyProfile(t, hops254)
	apply(t, manyAdvertisements+manyPeers)
	onHosts(t)
	f, err := frr.Start(t.Context(), frr.Options{Netns: lab.Netns("router"), Dir: t.TempDir(), Config: manyKinds})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Stop)
	r := bgpRouter{f}

	web := local(dualStack(serviceFor(ns, "web", "web", "options", "metallb.io/loadBalancerIPs: 203.0.113.17,fd00:203::11")))
	chosen := local(dualStack(serviceFor(ns, "chosen", "web", "options", "metallb.io/loadBalancerIPs: 203.0.113.40,fd00:203::28")))
	chosen = strings.Replace(chosen, "  annotations:", "  labels: {chosen: \"yes\"}\n  annotations:", 1)
	second := strings.Replace(podOn(ns, "web", "n1"), "name: web-n1", "name: web-n1-second", 1)
	create(t, web+chosen+podOn(ns, "web", "n1")+second+podOn(ns, "web", "n2")+podOn(ns, "web", "n3"))

	marked := frr.Attributes{Metric: 50, Valid: true}
	marked.Aspath.String = "64620 64620 64620"
	marked.Community.String = "64512:1 64512:99"
	marked.LargeCommunity.String = "64512:1:2"
	// Two pods of 3,000 Mbit/s each; the community has bytes per second.
	marked.ExtendedCommunity.String = "RT:64512:77 LB:64620:750000000 (6.000 Gbps)"
	internal := frr.Attributes{LocPrf: 200, Valid: true}
	internal.Aspath.String = "Local"
	localAS := frr.Attributes{Valid: true}
	localAS.Aspath.String = "65010"
	plain := frr.Attributes{Valid: true}
	plain.Aspath.String = "64512"
	wanted := []struct {
		prefix string
		paths  map[string]frr.Attributes // by neighbour
	}{
		{"203.0.113.17/32", map[string]frr.Attributes{"192.168.100.211": marked}},
		{"203.0.113.40/32", map[string]frr.Attributes{"192.168.100.211": marked, "192.168.100.13": localAS}},
		{"203.0.113.16/28", map[string]frr.Attributes{"192.168.100.12": internal}},
		{"203.0.113.32/28", map[string]frr.Attributes{"192.168.100.12": internal}},
		{"fd00:203::11/128", map[string]frr.Attributes{"fd00:100::d3": marked, "fd00:100::c": plain}},
		{"fd00:203::28/128", map[string]frr.Attributes{"fd00:100::d3": marked, "fd00:100::c": plain, "eth0": plain}},
		{"fd00:203::10/124", map[string]frr.Attributes{"192.168.100.12": internal}},
		{"fd00:203::20/124", map[string]frr.Attributes{"192.168.100.12": internal}},
	}
	for _, w := range wanted {
		r.exactly(t, w.prefix, w.paths)
	}
	r.bfdUp(t, 1)
	neighbors, err := r.Neighbors(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for addr, id := range map[string]string{"192.168.100.211": "10.7.7.7", "fd00:100::d3": "10.7.7.7", "192.168.100.12": "10.9.9.9"} {
		if got := neighbors[addr].RouterID; got != id {
			t.Errorf("the router ID of %s is %s, want %s", addr, got, id)
		}
	}
	if hold := neighbors["192.168.100.13"].HoldTime; hold != 30_000 {
		t.Errorf("the hold time of n3 is %d ms, want 30,000", hold)
	}
	contains(t, `["listening","source"]`, "-n", labctl.Namespace, "get", "servicebgpstatuses", "-l",
		"metallb.io/service-name=web,metallb.io/node=n1", "-o", "jsonpath={range .items[*]}{.status.peers}{end}")
	if a := ask(t, "203.0.113.17:8090", 5); a.nodes["n1"] != 5 {
		t.Errorf("the only way leads to n1, and the answers are from %v", a.nodes)
	}

	// A node that leaves is used last, and one that is excluded not at all. No session minds.
	before := r.sessions(t)
	kubectl(t, "annotate", "node", "n2", "metallb.io/leave=story")
	t.Cleanup(func() { kubectl(t, "annotate", "node", "n2", "metallb.io/leave-") })
	last := internal
	last.LocPrf = 1 // an internal peer does not lower it by itself
	last.Community.String = "graceful-shutdown"
	r.exactly(t, "203.0.113.16/28", map[string]frr.Attributes{"192.168.100.12": last})
	kubectl(t, "annotate", "node", "n2", "metallb.io/leave-")
	r.exactly(t, "203.0.113.16/28", map[string]frr.Attributes{"192.168.100.12": internal})
	kubectl(t, "label", "node", "n1", "node.kubernetes.io/exclude-from-external-load-balancers=")
	t.Cleanup(func() { kubectl(t, "label", "node", "n1", "node.kubernetes.io/exclude-from-external-load-balancers-") })
	r.exactly(t, "203.0.113.17/32", nil)
	kubectl(t, "label", "node", "n1", "node.kubernetes.io/exclude-from-external-load-balancers-")
	r.exactly(t, "203.0.113.17/32", map[string]frr.Attributes{"192.168.100.211": marked})
	if after := r.sessions(t); !maps.Equal(before, after) {
		t.Errorf("sessions were lost: %v, before %v", after, before)
	}
}

// onHosts gives the nodes and the router what the sessions of manyKinds need beside the lab's own
// addresses, and takes it back.
func onHosts(t *testing.T) {
	t.Helper()
	for _, c := range []struct{ host, do, undo string }{
		{"n1", "ip address add 192.168.100.211/22 dev eth0", "ip address del 192.168.100.211/22 dev eth0"},
		{"n1", "ip address add fd00:100::d3/64 dev eth0 nodad", "ip address del fd00:100::d3/64 dev eth0"},
		{"n2", "ip route add fd00:9::1 via fd00:100::1", "ip route del fd00:9::1"},
		{"router", "ip address add fd00:9::1/128 dev lo", "ip address del fd00:9::1/128 dev lo"},
		{"router", "nft 'table ip options { chain in { type nat hook prerouting priority -100; tcp dport 1179 redirect to :179; }; }'", "nft delete table ip options"},
	} {
		run := func(ctx context.Context, script string) {
			if _, err := lab.Exec(ctx, c.host, "sh", "-c", script); err != nil {
				t.Error(err)
			}
		}
		run(t.Context(), c.do)
		t.Cleanup(func() { run(context.WithoutCancel(t.Context()), c.undo) })
	}
	kubectl(t, "annotate", "node", "n1", "metallb.io/bgp-asn=64620", "metallb.io/bgp-router-id=10.7.7.7", "metallb.io/bgp-source-address=fd00:100::d3")
	t.Cleanup(func() {
		kubectl(t, "annotate", "node", "n1", "metallb.io/bgp-asn-", "metallb.io/bgp-router-id-", "metallb.io/bgp-source-address-")
	})
}

// applyProfile is apply for a BFDProfile: it is held until the API server has noticed that no peer uses
// it any more.
func applyProfile(t *testing.T, profile string) {
	t.Helper()
	if err := lab.Apply(t.Context(), profile); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := labctl.Eventually(context.Background(), patience, func(ctx context.Context) error {
			_, err := lab.RunInput(ctx, profile, "kubectl", "--", "delete", "-f", "-")
			return err
		})
		if err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
}

// exactly waits until the router has these paths of a prefix and no others.
func (r bgpRouter) exactly(t *testing.T, prefix string, want map[string]frr.Attributes) {
	t.Helper()
	family := "ipv4"
	if strings.Contains(prefix, ":") {
		family = "ipv6"
	}
	eventually(t, func(ctx context.Context) error {
		paths, err := r.Attributes(ctx, family, prefix)
		if err != nil {
			return err
		}
		got := map[string]frr.Attributes{}
		for _, p := range paths {
			from := p.Peer.ID
			if strings.HasPrefix(from, "fe80:") {
				from = p.Peer.Interface
			}
			p.Peer = frr.PathPeer{}
			got[from] = p
		}
		if len(got) != len(paths) || !maps.Equal(got, want) {
			return fmt.Errorf("%s has %+v, want %+v", prefix, got, want)
		}
		return nil
	})
}
