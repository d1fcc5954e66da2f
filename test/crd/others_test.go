// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package crd

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestL2Advertisement(t *testing.T) {
	run(t, "v1beta1", "L2Advertisement", []check{
		{"nothing", "", ""},
		{"empty spec", "{}", ""},
		{"everything", `{ipAddressPools: [a, b], ipAddressPoolSelectors: [{matchLabels: {a: b}}], nodeSelectors: [{}], interfaces: [eth0, eth0],
			serviceSelectors: [{matchLabels: {a: b}}], preferredNodeSelectors: [{weight: 1, preference: {}}, {weight: 100, preference: {matchLabels: {a: b}}}]}`, ""},
		{"weight 0", "preferredNodeSelectors: [{weight: 0, preference: {}}]", "spec.preferredNodeSelectors[0].weight"},
		{"weight 101", "preferredNodeSelectors: [{weight: 101, preference: {}}]", "spec.preferredNodeSelectors[0].weight"},
		{"no preference", "preferredNodeSelectors: [{weight: 1}]", "spec.preferredNodeSelectors[0].preference: Required value"},
		{"every election", "election: {spread: Balanced, sticky: true, moveBackAfter: 5m}", ""},
		{"empty election", "election: {}", ""},
		{"default spread", "election: {spread: Hash, sticky: false}", ""},
		{"unknown spread", "election: {spread: Wide}", "spec.election.spread"},
		{"moving back without sticky", "election: {moveBackAfter: 5m}", "moveBackAfter needs sticky: true"},
		{"no time", "election: {sticky: true, moveBackAfter: soon}", "must be a time such as 30s, 5m or 24h"},
		{"pool twice", "ipAddressPools: [a, b, a]", "spec.ipAddressPools: lists the same thing twice"},
		{"node selector twice", "nodeSelectors: [{matchLabels: {a: b}}, {matchLabels: {a: b}}]", "spec.nodeSelectors: lists the same thing twice"},
		{"service selector that cannot be", "serviceSelectors: [{matchExpressions: [{key: a, operator: Is}]}]", "spec.serviceSelectors: in matchExpressions"},
	})
}

func TestBFDProfile(t *testing.T) {
	checks := []check{{"nothing", "", ""}, {"switches", "{echoMode: true, passiveMode: true}", ""}}
	for field, limits := range map[string][2]int{
		"receiveInterval": {10, 60000}, "transmitInterval": {10, 60000}, "echoInterval": {10, 60000},
		"detectMultiplier": {2, 255}, "minimumTtl": {1, 254},
	} {
		lo, hi := limits[0], limits[1]
		checks = append(checks,
			check{field + " lowest", fmt.Sprintf("%s: %d", field, lo), ""},
			check{field + " highest", fmt.Sprintf("%s: %d", field, hi), ""},
			check{field + " too low", fmt.Sprintf("%s: %d", field, lo-1), "spec." + field},
			check{field + " too high", fmt.Sprintf("%s: %d", field, hi+1), "spec." + field})
	}
	run(t, "v1beta1", "BFDProfile", checks)
}

func TestCommunity(t *testing.T) {
	const (
		bad         = "value must be a community such as 65000:100"
		badExtended = "an extended community is rt:65000:100 or soo:65000:100"
	)
	create(t, object(t, "v1beta1", "Community", "other", `communities: [{name: taken, value: "1:1"}]`))
	run(t, "v1beta1", "Community", []check{
		{"name of another object", `communities: [{name: taken, value: "2:2"}]`, "spec.communities: the name taken is already in Community other"},
		{"nothing", "", ""},
		{"both forms", `communities: [{name: a, value: "65535:0"}, {name: b, value: "large:4294967295:0:1"}]`, ""},
		{"extended forms", `communities: [{name: a, value: "rt:65535:4294967295"}, {name: b, value: "soo:4294967295:65535"}, {name: c, value: "ext:0x00ffABcd01234567"}]`, ""},
		{"the same value", `communities: [{name: a, value: "1:1"}, {name: b, value: "1:1"}]`, ""},
		{"no value", "communities: [{name: a}]", bad},
		{"number too large", `communities: [{name: a, value: "1:65536"}]`, bad},
		{"a name for a value", "communities: [{name: a, value: no-export}]", bad},
		{"route target of two large numbers", `communities: [{name: a, value: "rt:65536:65536"}]`, badExtended},
		{"site of origin of three", `communities: [{name: a, value: "soo:1:2:3"}]`, badExtended},
		{"extended one that is too short", `communities: [{name: a, value: "ext:0x0123456789abcde"}]`, badExtended},
		{"extended one that is decimal", `communities: [{name: a, value: "ext:0123456789abcdef01"}]`, badExtended},
		{"name twice", `communities: [{name: a, value: "1:1"}, {name: a, value: "2:2"}]`, "spec.communities: the name a is there twice"},
	})
	t.Run("with itself", func(t *testing.T) {
		changed := object(t, "v1beta1", "Community", "other", `communities: [{name: taken, value: "3:3"}]`)
		expectThat(t, "", func(ctx context.Context) error { return dryUpdate(ctx, changed) })
	})
}

func TestObjectsBelongInOneNamespace(t *testing.T) {
	for _, o := range []struct{ version, kind, spec string }{
		{"v1beta1", "IPAddressPool", "addresses: [192.0.2.0/24]"},
		{"v1beta1", "L2Advertisement", ""},
		{"v1beta1", "BGPAdvertisement", ""},
		{"v1beta1", "BGPPeer", "{myASN: 1, peerASN: 2, peerAddress: 192.0.2.1, disableMP: true}"},
		{"v1beta2", "BGPPeer", "{myASN: 1, peerASN: 2, peerAddress: 192.0.2.1, disableMP: true}"},
		{"v1beta1", "BFDProfile", ""},
		{"v1beta1", "Community", ""},
	} {
		t.Run(o.kind+" "+o.version, func(t *testing.T) {
			obj := object(t, o.version, o.kind, "check", o.spec)
			expect(t, obj, "")
			obj.SetNamespace("default")
			expect(t, obj, notHere)
		})
	}
}

func TestBFDProfileInUseStays(t *testing.T) {
	profile := create(t, object(t, "v1beta1", "BFDProfile", "used", ""))
	spare := create(t, object(t, "v1beta1", "BFDProfile", "spare", ""))
	remove := func(name string) func(context.Context) error {
		return func(ctx context.Context) error {
			return resource(profile).Delete(ctx, name, metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}})
		}
	}
	t.Run("by a peer", func(t *testing.T) {
		create(t, object(t, "v1beta2", "BGPPeer", "user", "{myASN: 1, peerASN: 2, peerAddress: 192.0.2.1, bfdProfile: used}"))
		expectThat(t, "BFDProfile used is used by BGPPeer user; remove spec.bfdProfile there first", remove("used"))
		expectThat(t, "", remove(spare.GetName()))
	})
	expectThat(t, "", remove("used"))
}

// BGPSessionState only reports: a speaker creates it and writes its status, a user writes nothing.
func TestBGPSessionState(t *testing.T) {
	run(t, "v1beta1", "BGPSessionState", []check{
		{"nothing", "", ""},
		{"a spec with a field", "{peer: 192.0.2.1}", `unknown field "spec.peer"`},
	})
	made := create(t, object(t, "v1beta1", "BGPSessionState", "n1-router", ""))
	status := map[string]any{
		"node": "n1", "bgpPeer": "router", "peer": "192.0.2.1", "vrf": "red", "bgpStatus": "Held", "bfdStatus": "Down",
		"reason": "bfdDown", "message": "BFD says that the peer is unreachable", "lastTransitionTime": "2026-01-02T03:04:05Z",
	}
	made.Object["status"] = status
	got, err := resource(made).UpdateStatus(t.Context(), made, metav1.UpdateOptions{FieldValidation: metav1.FieldValidationStrict})
	if err != nil {
		t.Fatalf("write the status: %v", err)
	}
	if diff := cmp.Diff(status, got.Object["status"]); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
}
