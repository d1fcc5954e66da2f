// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package crd

import (
	"strings"
	"testing"
)

// peers are rules that both versions of BGPPeer have.
func peers() []check {
	with := func(more string) string {
		return "{myASN: 64512, peerASN: 64513, peerAddress: 192.0.2.1, " + more + "}"
	}
	return []check{
		{"the least", with(""), ""},
		{"large numbers", "{myASN: 4294967295, peerASN: 4294967295, localASN: 4294967295, peerAddress: '2001:db8::1', peerPort: 65535}", ""},
		{"everything", with(`sourceAddress: 192.0.2.2, holdTime: 1m30s, keepaliveTime: 30s, connectTime: 65535s, routerID: 10.0.0.1,
			nodeSelectors: [{matchLabels: {a: b}}, {matchExpressions: [{key: a, operator: Exists}]}], password: x, bfdProfile: fast,
			enableGracefulRestart: true, ebgpMultiHop: true, vrf: red, disableMP: true, dualStackAddressFamily: true`), ""},
		{"secret and no keepalive", with("keepaliveTime: 0s, passwordSecret: {name: s, namespace: metallb-system}"), ""},
		{"empty secret", with("password: x, passwordSecret: {}"), ""},
		{"no hold time", with("holdTime: 0s, keepaliveTime: 0s"), ""},
		{"keepalive alone", with("keepaliveTime: 1s"), ""},
		{"times in other units", with("holdTime: 3000ms, keepaliveTime: 1.5s, connectTime: 1m"), ""},
		{"unnumbered", "{myASN: 64512, dynamicASN: internal, interface: eth0}", ""},
		{"iBGP", "{myASN: 64512, peerASN: 64512, peerAddress: 192.0.2.1, ebgpMultiHop: false}", ""},
		{"password", with("password: x, passwordSecret: {namespace: a}"), ""},

		{"passive", with("listenPort: 1024, sourceAddress: 192.0.2.2"), ""},
		{"passive and written with its defaults", with("listenPort: 65535, peerPort: 179"), ""},

		{"no spec", "", "spec: Required value"},
		{"nothing", "{}", "spec.myASN: Required value"},
		{"own AS 0", "{myASN: 0, peerASN: 1, peerAddress: 192.0.2.1}", "myASN must not be 0"},
		{"AS too large", "{myASN: 4294967296, peerASN: 1, peerAddress: 192.0.2.1}", "spec.myASN"},
		{"no AS of the peer", "{myASN: 1, peerAddress: 192.0.2.1}", "peerASN and dynamicASN are both missing: set one of them"},
		{"AS 0 of the peer", "{myASN: 1, peerASN: 0, peerAddress: 192.0.2.1}", "peerASN and dynamicASN are both missing"},
		{"two AS of the peer", with("dynamicASN: external"), "peerASN and dynamicASN exclude each other"},
		{"dynamic AS in other words", "{myASN: 1, dynamicASN: both, peerAddress: 192.0.2.1}", `supported values: "internal", "external"`},
		{"local AS 0", with("localASN: 0"), "spec.localASN"},
		{"no address", "{myASN: 1, peerASN: 2}", "peerAddress and interface are both missing: set one of them"},
		{"address and interface", with("interface: eth0"), "peerAddress and interface exclude each other"},
		{"address is a prefix", "{myASN: 1, peerASN: 2, peerAddress: 192.0.2.0/24}", "peerAddress must be an IP address"},
		{"address is none", "{myASN: 1, peerASN: 2, peerAddress: 1.1.1.400}", "peerAddress must be an IP address"},
		{"source is none", with("sourceAddress: eth0"), "sourceAddress must be an IP address"},
		{"router ID is none", with("routerID: '7'"), "routerID must be written as an IP address"},
		{"port too large", with("peerPort: 65536"), "spec.peerPort"},
		{"listen port that needs a capability", with("listenPort: 179"), "listenPort must be 1024 or more: the speaker would need the capability NET_BIND_SERVICE"},
		{"listen port too large", with("listenPort: 65536"), "spec.listenPort"},
		{"listen port 0", with("listenPort: 0"), "spec.listenPort"},
		{"passive without address", "{myASN: 1, peerASN: 2, interface: eth0, listenPort: 1790}", "listenPort is for a peer with a peerAddress"},
		{"passive with a port of the peer", with("listenPort: 1790, peerPort: 1179"), "peerPort has no meaning with listenPort"},
		{"passive with a time to connect", with("listenPort: 1790, connectTime: 5s"), "connectTime has no meaning with listenPort"},
		{"multihop within an AS", "{myASN: 1, peerASN: 1, peerAddress: 192.0.2.1, ebgpMultiHop: true}", "ebgpMultiHop is for peers of another AS"},
		{"hold time too short", with("holdTime: 2s"), "holdTime must be 0s, or 3s and more"},
		{"hold time negative", with("holdTime: -3s"), "holdTime must be 0s, or 3s and more"},
		{"keepalive longer than hold", with("holdTime: 9s, keepaliveTime: 10s"), "keepaliveTime must not exceed holdTime"},
		{"keepalive without hold", with("holdTime: 0s, keepaliveTime: 1s"), "keepaliveTime must not exceed holdTime"},
		{"connect time 0", with("connectTime: 0s"), "connectTime must be from 1s to 65535s"},
		{"connect time too long", with("connectTime: 18h13m"), "connectTime must be from 1s to 65535s"},
		{"connect time with a fraction", with("connectTime: 1500ms"), "connectTime must be in whole seconds"},
		{"time that is none", with("holdTime: soon"), "spec.holdTime"},
		{"two passwords", with("password: x, passwordSecret: {name: s}"), "password and passwordSecret exclude each other"},
		{"selector twice", with("nodeSelectors: [{matchLabels: {a: b}}, {matchLabels: {a: b}}]"), "spec.nodeSelectors: lists the same thing twice"},
		{"selector without values", with("nodeSelectors: [{matchExpressions: [{key: a, operator: NotIn}]}]"), "spec.nodeSelectors: in matchExpressions"},
	}
}

func TestBGPPeer(t *testing.T) {
	run(t, "v1beta2", "BGPPeer", append(peers(),
		check{"port 0", "{myASN: 1, peerASN: 2, peerAddress: 192.0.2.1, peerPort: 0}", "spec.peerPort"},
		check{"a field that does not exist", "{myASN: 1, peerASN: 2, peerAddress: 192.0.2.1, holdtime: 3s}", `unknown field "spec.holdtime"`},
	))
}

// As MetalLB does, and whatever the version.
func TestAFieldWithoutEffectIsWarnedOf(t *testing.T) {
	for _, version := range []string{"v1beta1", "v1beta2"} {
		for _, c := range []struct {
			spec string
			warn bool
		}{{"disableMP: true", true}, {"disableMP: false", false}, {"ebgpMultiHop: true", false}} {
			o := object(t, version, "BGPPeer", "check", "{myASN: 1, peerASN: 2, peerAddress: 192.0.2.1, "+c.spec+"}")
			warnings.take()
			expect(t, o, "")
			got := strings.Contains(strings.Join(warnings.take(), "\n"), "spec.disableMP is deprecated and has no effect")
			if got != c.warn {
				t.Errorf("%s with %s: warned is %t", version, c.spec, got)
			}
		}
	}
}

func TestOldBGPPeer(t *testing.T) {
	run(t, "v1beta1", "BGPPeer", append(peers(),
		check{"as old clients write it", "{myASN: 1, peerASN: 2, peerAddress: 192.0.2.1, peerPort: 0, holdTime: 0s, keepaliveTime: 0s}", ""},
	))
}

func TestBGPAdvertisement(t *testing.T) {
	const (
		badCommunity = "a community is 65000:100"
		badExtended  = "an extended community is rt:65000:100 or soo:65000:100"
		exclusive    = "serviceSelectors and aggregationLength are mutually exclusive"
	)
	run(t, "v1beta1", "BGPAdvertisement", []check{
		{"nothing", "", ""},
		{"everything", `{aggregationLength: 1, aggregationLengthV6: 64, localPref: 4294967295, ipAddressPools: [a, b], peers: [c],
			communities: ["0:0", "65535:65535", "large:0:1:4294967295", alias, "an:alias"],
			ipAddressPoolSelectors: [{matchLabels: {a: b}}], nodeSelectors: [{}]}`, ""},
		{"extended communities", `{communities: ["rt:65000:4294967295", "rt:4294967295:65535", "soo:1:1", "ext:0x0123456789ABcdef"]}`, ""},
		{"aliases that look like them", `{communities: ["rt:blue", "soo:1", "ext:x"]}`, ""},
		{"services", `{serviceSelectors: [{matchLabels: {a: b}}], aggregationLength: 32, aggregationLengthV6: 128}`, ""},
		{"no services", `{serviceSelectors: [], aggregationLength: 24}`, ""},

		{"aggregate 33", `{aggregationLength: 33}`, "aggregationLength is the length of an IPv4 prefix: at most 32"},
		{"aggregate 0", `{aggregationLength: 0}`, "spec.aggregationLength"},
		{"IPv6 aggregate 129", `{aggregationLengthV6: 129}`, "aggregationLengthV6 is the length of an IPv6 prefix: at most 128"},
		{"services in an aggregate", `{serviceSelectors: [{}], aggregationLength: 24}`, exclusive},
		{"services in an IPv6 aggregate", `{serviceSelectors: [{}], aggregationLengthV6: 64}`, exclusive},
		{"community too large", `{communities: ["65536:1"]}`, badCommunity},
		{"community of three", `{communities: ["1:2:3"]}`, badCommunity},
		{"large community of two", `{communities: ["large:1:2"]}`, badCommunity},
		{"large community too large", `{communities: ["large:1:2:4300000000"]}`, badCommunity},
		{"route target of two large numbers", `{communities: ["rt:65536:65536"]}`, badExtended},
		{"site of origin too large", `{communities: ["soo:1:4300000000"]}`, badExtended},
		{"extended community too short", `{communities: ["ext:0x0123"]}`, badExtended},
		{"community twice", `{communities: [a, b, a]}`, "spec.communities: lists the same thing twice"},
		{"pool twice", `{ipAddressPools: [a, a]}`, "spec.ipAddressPools: lists the same thing twice"},
		{"peer twice", `{peers: [a, a]}`, "spec.peers: lists the same thing twice"},
		{"selectors twice", `{ipAddressPoolSelectors: [{}, {}]}`, "spec.ipAddressPoolSelectors: lists the same thing twice"},
		{"selector that cannot be", `{nodeSelectors: [{matchExpressions: [{key: a, operator: Exists, values: [b]}]}]}`, "spec.nodeSelectors: in matchExpressions"},
	})
}

func TestAggregateStaysInsideThePool(t *testing.T) {
	labelled := object(t, "v1beta1", "IPAddressPool", "narrow", `addresses: [192.0.2.0/28, "2001:db8::/96"]`)
	labelled.SetLabels(map[string]string{"zone": "east"})
	create(t, labelled)
	create(t, object(t, "v1beta1", "IPAddressPool", "ranges", `addresses: [198.51.100.7-198.51.100.9]`))
	const v4 = "spec.aggregationLength: the aggregate would reach beyond 192.0.2.0/28 of IPAddressPool narrow; set at least 28"
	const v6 = "spec.aggregationLengthV6: the aggregate would reach beyond 2001:db8::/96 of IPAddressPool narrow; set at least 96"
	run(t, "v1beta1", "BGPAdvertisement", []check{
		{"every pool", "aggregationLength: 27", v4},
		{"by name", "{aggregationLength: 24, ipAddressPools: [narrow]}", v4},
		{"by label", "{aggregationLengthV6: 95, ipAddressPoolSelectors: [{matchLabels: {zone: east}}]}", v6},
		{"by expression", "{aggregationLength: 1, ipAddressPoolSelectors: [{matchExpressions: [{key: zone, operator: NotIn, values: [west]}]}]}", v4},
		{"long enough", "{aggregationLength: 28, aggregationLengthV6: 96}", ""},
		{"another pool by name", "{aggregationLength: 24, ipAddressPools: [ranges]}", ""},
		{"another pool by label", "{aggregationLength: 24, ipAddressPoolSelectors: [{matchLabels: {zone: west}}, {matchExpressions: [{key: zone, operator: DoesNotExist}]}]}", ""},
	})
}

func TestBGPPeersMustDiffer(t *testing.T) {
	create(t, object(t, "v1beta2", "BGPPeer", "first", "{myASN: 1, peerASN: 2, peerAddress: 192.0.2.1, nodeSelectors: [{matchLabels: {rack: a}}]}"))
	const same = "BGPPeer first already asks the same nodes for the same session"
	const peer = "{myASN: 1, peerASN: 2, peerAddress: 192.0.2.1, nodeSelectors: [{matchLabels: {rack: a}}]"
	for _, version := range []string{"v1beta1", "v1beta2"} {
		run(t, version, "BGPPeer", []check{
			{"the same", peer + "}", same},
			{"other timers", peer + ", peerPort: 179, holdTime: 9s, password: x}", same},
			{"other port", peer + ", peerPort: 1179}", ""},
			{"other router ID", peer + ", routerID: 10.0.0.1}", ""},
			{"other nodes", strings.Replace(peer, "rack: a", "rack: b", 1) + "}", ""},
		})
	}
}
