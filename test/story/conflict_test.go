// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/clarion-lb/clarion/internal/labctl"
)

// strangerMAC is the hardware address of the host "router", which plays a foreign host.
const strangerMAC = "02:c1:00:00:00:01"

// occupy gives an address to the foreign host. The result takes it away again.
func occupy(t *testing.T, addr string) (release func()) {
	t.Helper()
	bits := "/32"
	if strings.Contains(addr, ":") {
		bits = "/128"
	}
	change := func(verb string) error {
		_, err := lab.Exec(context.WithoutCancel(t.Context()), "router", "ip", "addr", verb, addr+bits, "dev", "eth0")
		return err
	}
	if err := change("add"); err != nil {
		t.Fatal(err)
	}
	done := false
	release = func() {
		if done {
			return
		}
		done = true
		if err := change("del"); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(release)
	return release
}

// contested puts a Service in place whose only possible address is occupied, under a policy.
func contested(t *testing.T, family, addr, policy string) (ns string, release func()) {
	t.Helper()
	release = occupy(t, addr)
	ns = namespace(t)
	bits := "/32"
	if family == "IPv6" {
		bits = "/128"
	}
	apply(t, strings.Replace(pool("contested", addr+bits), "spec: {ipAddressPools: [contested]}",
		"spec: {ipAddressPools: [contested], conflictPolicy: "+policy+"}", 1))
	create(t, webServer(ns, "web", 1)+
		strings.Replace(serviceFor(ns, "web", "web", "contested"), "spec:", "spec:\n  ipFamilies: ["+family+"]", 1))
	if got := address(t, ns, "web"); got != addr {
		t.Fatalf("the Service got %s", got)
	}
	return ns, release
}

func toldAbout(t *testing.T, ns, addr, outcome string) {
	t.Helper()
	contains(t, "address "+addr+" is used by the host with hardware address "+strangerMAC,
		"-n", ns, "get", "events", "--field-selector", "reason=AddressConflict", "-o", "jsonpath={.items[*].message}")
	contains(t, outcome, "-n", ns, "get", "events", "--field-selector", "reason=AddressConflict", "-o", "jsonpath={.items[*].message}")
	const condition = `jsonpath={.items[*].status.conditions[?(@.type=="AddressConflict")].message}`
	contains(t, strangerMAC, "-n", labctl.Namespace, "get", "servicel2statuses", "-l", "metallb.io/service-namespace="+ns, "-o", condition)
	apply(t, fmt.Sprintf(`
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: %[1]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: default, namespace: %[1]s}]
`, ns))
	token := strings.TrimSpace(kubectl(t, "-n", ns, "create", "token", "default"))
	eventually(t, func(ctx context.Context) error {
		for n := range 3 {
			out, err := lab.Exec(ctx, "client", "curl", "--silent", "--insecure", "--max-time", "2",
				"--header", "Authorization: Bearer "+token, fmt.Sprintf("https://192.168.100.%d:9120/metrics", 11+n))
			if err == nil && strings.Contains(out, `clarion_layer2_rival{`) && strings.Contains(out, `ip="`+addr+`"`) && strings.Contains(out, strangerMAC) {
				return nil
			}
		}
		return fmt.Errorf("no node has a metric about %s", strangerMAC)
	})
}

// seenBy is the hardware address that the client finds behind an address.
func seenBy(ctx context.Context, addr string) (string, error) {
	out, err := lab.Exec(ctx, "client", "sh", "-c",
		"ip neigh flush to "+addr+"; ping -c 1 -W 1 "+addr+" >/dev/null 2>&1; ip neigh show to "+addr)
	_, after, _ := strings.Cut(out, "lladdr ")
	return strings.Fields(after + " -")[0], err
}

func TestAForeignHostHoldsTheAddress(t *testing.T) {
	for _, c := range []struct{ family, addr string }{{"IPv4", "192.168.101.60"}, {"IPv6", "fd00:100::6:10"}} {
		t.Run(c.family+"/Report", func(t *testing.T) {
			ns, release := contested(t, c.family, c.addr, "Report")
			toldAbout(t, ns, c.addr, "announced nevertheless")
			release()
			answers(t, c.addr)
		})
		t.Run(c.family+"/Withhold", func(t *testing.T) {
			ns, release := contested(t, c.family, c.addr, "Withhold")
			toldAbout(t, ns, c.addr, "withheld until it is free")
			for range 5 { // a single owner that answered would be believed sooner or later
				if mac, err := seenBy(t.Context(), c.addr); err != nil || mac != strangerMAC {
					t.Fatalf("the client finds %s behind %s (%v), want the foreign host alone", mac, c.addr, err)
				}
			}
			release()
			contains(t, "no host outside the cluster is heard using it any more",
				"-n", ns, "get", "events", "--field-selector", "reason=ConflictResolved", "-o", "jsonpath={.items[*].message}")
			answers(t, c.addr)
		})
	}
}

// answers waits until the Service answers the client at its address.
func answers(t *testing.T, addr string) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		if mac, err := seenBy(ctx, addr); err != nil || mac == strangerMAC || mac == "-" {
			return fmt.Errorf("the client finds %s behind %s: %w", mac, addr, err)
		}
		_, err := get(ctx, "client", net.JoinHostPort(addr, "8090"))
		return err
	})
}
