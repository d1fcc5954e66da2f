// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/clarion-lb/clarion/internal/labctl"
)

// TestMistakesInConfigurationAreToldOnTheObject makes mistakes that neither the CRDs nor the
// admission policies can see. Each is told on its own object, the Service beside them gets its
// address all the same, and what is corrected is told to be right.
func TestMistakesInConfigurationAreToldOnTheObject(t *testing.T) {
	const toBeMended = `
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: mistaken-selector, namespace: metallb-system}
spec: {ipAddressPools: [mistaken], nodeSelectors: [{matchLabels: {rack: "%s"}}]}
---
`
	ns := namespace(t)
	reader := scraper(t, ns)
	// What is told next finds its owner again, too.
	ofController, ofSpeaker := disown(t, "configurationstate/controller"), disown(t, "configurationstate/speaker-n1")
	apply(t, pool("mistaken", "192.168.104.0/30")+fmt.Sprintf(toBeMended, "no label value!"))
	// Equal ages are decided by name, so the order of these two is certain.
	apply(t, `
apiVersion: metallb.io/v1beta1
kind: BGPAdvertisement
metadata: {name: mistaken-alias, namespace: metallb-system}
spec: {ipAddressPools: [mistaken], communities: [mistaken-community]}
---
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata: {name: mistaken-a, namespace: metallb-system}
spec: {myASN: 64500, peerASN: 64501, peerAddress: 192.168.100.250, bfdProfile: mistaken-profile}
---
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata: {name: mistaken-b, namespace: metallb-system}
spec: {myASN: 64500, peerASN: 64501, peerAddress: 192.168.100.250, nodeSelectors: [{matchLabels: {kubernetes.io/hostname: n1}}]}
---
`)
	create(t, serviceFor(ns, "beside", "none", "mistaken"))
	address(t, ns, "beside")

	mistakes := []struct{ resource, apiVersion, kind, name, text string }{
		{"l2advertisement", "metallb.io/v1beta1", "L2Advertisement", "mistaken-selector", "spec.nodeSelectors[0]: invalid label selector"},
		{"bgpadvertisement", "metallb.io/v1beta1", "BGPAdvertisement", "mistaken-alias", `no Community object has the alias "mistaken-community"`},
		{"bgppeer", "metallb.io/v1beta2", "BGPPeer", "mistaken-a", `there is no BFDProfile "mistaken-profile"`},
		{"bgppeer", "metallb.io/v1beta2", "BGPPeer", "mistaken-b", `the older peer "mistaken-a" has a session with the same address`},
	}
	for _, m := range mistakes {
		valid(t, m.resource, m.name, "False", m.text)
		uid := kubectl(t, "-n", "metallb-system", "get", m.resource, m.name, "-o", "jsonpath={.metadata.uid}")
		contains(t, m.text, "-n", "metallb-system", "get", "events", "--field-selector",
			"type=Warning,involvedObject.apiVersion="+m.apiVersion+",involvedObject.kind="+m.kind+",involvedObject.uid="+uid)
		contains(t, fmt.Sprintf("%s metallb-system/%s ", m.kind, m.name), state(`{.status.errorSummary}`)...)
	}
	contains(t, "Invalid", state(`{.status.result}`)...)
	ofController()
	ofSpeaker()
	metric(t, reader, `clarion_config_problems{kind="BGPPeer"} 2`)
	metric(t, reader, `metallb_k8s_client_config_stale_bool 0`)

	// What was missing appears, and what was wrong is corrected or goes.
	apply(t, `
apiVersion: metallb.io/v1beta1
kind: Community
metadata: {name: mistaken, namespace: metallb-system}
spec: {communities: [{name: mistaken-community, value: "65000:104"}]}
---
apiVersion: metallb.io/v1beta1
kind: BFDProfile
metadata: {name: mistaken-profile, namespace: metallb-system}
spec: {receiveInterval: 100}
---
`)
	if err := lab.Apply(t.Context(), fmt.Sprintf(toBeMended, "one")); err != nil {
		t.Fatal(err)
	}
	valid(t, "bgppeer", "mistaken-a", "True", "Accepted")
	kubectl(t, "-n", "metallb-system", "delete", "bgppeer", "mistaken-a")
	for _, m := range mistakes {
		if m.name != "mistaken-a" {
			valid(t, m.resource, m.name, "True", "Accepted")
		}
	}
	valid(t, "community", "mistaken", "True", "Accepted")
	valid(t, "bfdprofile", "mistaken-profile", "True", "Accepted")
	contains(t, "Valid", state(`{.status.result}`)...)
	metric(t, reader, `clarion_config_problems{kind="BGPPeer"} 0`)
}

// valid waits until the condition Valid of an object has a status, and a text in its reason or
// message.
func valid(t *testing.T, resource, name, status, text string) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		out, err := lab.Kubectl(ctx, "-n", "metallb-system", "get", resource, name, "-o",
			`jsonpath={range .status.conditions[?(@.type=="Valid")]}{.status} {.reason}: {.message}{end}`)
		if err == nil && (!strings.HasPrefix(out, status+" ") || !strings.Contains(out, text)) {
			return fmt.Errorf("%s %s is %q, want %s with %q", resource, name, out, status, text)
		}
		return err
	})
}

// state prints a field of the controller's ConfigurationState.
func state(field string) []string {
	return []string{"-n", "metallb-system", "get", "configurationstate", "controller", "-o", "jsonpath=" + field}
}

// metric waits until one of the controllers, the one that leads, shows a metric to a reader.
func metric(t *testing.T, reader, want string) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		ips, err := podIPs(ctx, "controller")
		if err != nil {
			return err
		}
		for _, ip := range ips {
			_, page, err := scrape(ctx, ip, reader)
			if err == nil && strings.Contains(page, want+"\n") {
				return nil
			}
		}
		return fmt.Errorf("no controller of %q shows %q", ips, want)
	})
}

// disown takes the owner from a status object, as restoring a backup does. The function it returns
// waits until the object belongs to a Pod of the same name as before, so that it goes when that does.
func disown(t *testing.T, object string) (found func()) {
	t.Helper()
	owner := []string{"-n", labctl.Namespace, "get", object, "-o", "jsonpath={.metadata.ownerReferences[*].name}"}
	contains(t, "er-", owner...) // controller-... or speaker-...
	before := kubectl(t, owner...)
	kubectl(t, "-n", labctl.Namespace, "patch", object, "--type=merge", "-p", `{"metadata":{"ownerReferences":null}}`)
	return func() {
		t.Helper()
		contains(t, before, owner...)
	}
}

// unlabel takes the label of the node from a status object. The function it returns waits until it is
// back.
func unlabel(t *testing.T, object string) (found func()) {
	t.Helper()
	node := []string{"-n", labctl.Namespace, "get", object, "-o", `jsonpath={.metadata.labels.metallb\.io/node}`}
	before := kubectl(t, node...)
	if before == "" {
		t.Fatalf("%s has no label metallb.io/node", object)
	}
	kubectl(t, "-n", labctl.Namespace, "label", object, "metallb.io/node-")
	return func() {
		t.Helper()
		contains(t, before, node...)
	}
}
