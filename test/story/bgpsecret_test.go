// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/clarion-lb/clarion/internal/labctl"
	"github.com/clarion-lb/clarion/internal/labctl/frr"
)

const (
	listedSecret   = "bgp-password" // in the Role speaker-bgp-passwords as it comes
	unlistedSecret = "not-listed"
)

// passwordInASecret: a peer whose password is in a Secret has its session, changing both ends brings
// it back, and no other session notices. A Secret that the Role does not list is not read.
func passwordInASecret(t *testing.T, r bgpRouter) {
	r.password(t, "first")
	t.Cleanup(func() { r.password(t, "") })
	apply(t, basicAuth(listedSecret, "first")+basicAuth(unlistedSecret, "second"))
	apply(t, peerWith("secret", router4, "passwordSecret: {name: "+listedSecret+"}")+peerWith("plain", router6))
	none := map[string]int{}
	r.comesUp(t, false, none)
	r.comesUp(t, true, none)

	before := r.sessions(t)
	r.password(t, "second")
	if err := lab.Apply(t.Context(), basicAuth(listedSecret, "second")); err != nil {
		t.Fatal(err)
	}
	r.comesUp(t, false, before)

	kubectl(t, "-n", labctl.Namespace, "patch", "bgppeer", "secret", "--type=merge",
		"-p", `{"spec":{"passwordSecret":{"name":"`+unlistedSecret+`"}}}`)
	for n := range nodeCount {
		contains(t, "secret metallb-system/"+unlistedSecret+" cannot be read: the speaker may not; list the name in the Role speaker-bgp-passwords",
			"-n", labctl.Namespace, "get", "configurationstate", "speaker-"+node(n+1), "-o", "jsonpath={.status.errorSummary}")
	}
	eventually(t, func(ctx context.Context) error {
		all, err := r.Neighbors(ctx)
		for n := range nodeCount {
			if a := frr.NodeAddress(n+1, false).String(); err == nil && all[a].State == "Established" {
				err = fmt.Errorf("%s has a session without a password", a)
			}
		}
		return err
	})
	r.untouched(t, before)

	kubectl(t, "-n", labctl.Namespace, "patch", "bgppeer", "secret", "--type=merge",
		"-p", `{"spec":{"passwordSecret":{"name":"`+listedSecret+`"}}}`)
	r.comesUp(t, false, none)
	for what, want := range map[string]string{
		"list secret/" + listedSecret: "yes", "list secret/other": "no", "get secret/other": "no", "get secret/memberlist": "no", "list secrets": "no",
	} {
		args := append([]string{"-n", labctl.Namespace, "auth", "can-i", "--as=system:serviceaccount:metallb-system:speaker"}, strings.Fields(what)...)
		out, _ := lab.Kubectl(t.Context(), args...) // "no" is an error to kubectl
		if strings.TrimSpace(out) != want {
			t.Errorf("may a speaker %s? %q, want %s", what, strings.TrimSpace(out), want)
		}
	}
}

// basicAuth returns a Secret as BGPPeers want it.
func basicAuth(name, password string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Secret
type: kubernetes.io/basic-auth
metadata: {name: %s, namespace: metallb-system}
stringData: {password: %s}
---
`, name, password)
}

// password sets the password of the sessions over IPv4 at the router, or removes it.
func (r bgpRouter) password(t *testing.T, password string) {
	t.Helper()
	lines := []string{fmt.Sprintf("router bgp %d", routerASN)}
	for n := range nodeCount {
		line := fmt.Sprintf("neighbor %s password %s", frr.NodeAddress(n+1, false), password)
		if password == "" {
			line = fmt.Sprintf("no neighbor %s password", frr.NodeAddress(n+1, false))
		}
		lines = append(lines, line)
	}
	if err := r.Configure(context.WithoutCancel(t.Context()), lines...); err != nil {
		t.Fatal(err)
	}
}

// comesUp waits until all nodes have a session over a family that is newer than those counted before.
func (r bgpRouter) comesUp(t *testing.T, v6 bool, before map[string]int) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		all, err := r.Neighbors(ctx)
		for n := range nodeCount {
			a := frr.NodeAddress(n+1, v6).String()
			if now := all[a]; err == nil && (now.State != "Established" || now.ConnectionsEstablished <= before[a]) {
				err = fmt.Errorf("session with %s is %s, was up %d times, before %d", a, now.State, now.ConnectionsEstablished, before[a])
			}
		}
		return err
	})
	if len(before) > 0 {
		r.untouched(t, before)
	}
}

// untouched says that the sessions over IPv6 are those that were.
func (r bgpRouter) untouched(t *testing.T, before map[string]int) {
	t.Helper()
	after := r.sessions(t)
	for n := range nodeCount {
		if a := frr.NodeAddress(n+1, true).String(); after[a] != before[a] {
			t.Errorf("the session with %s was opened %d times, before %d", a, after[a], before[a])
		}
	}
}
