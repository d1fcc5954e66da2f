// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/clarion-lb/clarion/internal/labctl"
)

// strangerMAC is the hardware address of the host "router", which plays a foreign host.
const strangerMAC = "02:c1:00:00:00:01"

// hosts are the two addresses of the contested Service, as prefixes that hold nothing else.
var hosts = []string{"192.168.101.60/32", "fd00:100::6:10/128"}

func bare(prefix string) string {
	addr, _, _ := strings.Cut(prefix, "/")
	return addr
}

// occupy gives the addresses to the foreign host, which tells the segment as an ordinary host does
// whose interface has just come up. The result takes them away again.
func occupy(t *testing.T) (release func()) {
	t.Helper()
	script := func(text string) error {
		_, err := lab.Exec(context.WithoutCancel(t.Context()), "router", "sh", "-e", "-c", text)
		return err
	}
	take, leave := "", ""
	for _, h := range hosts {
		// Duplicate address detection would keep a correct host from an address that is in use.
		take += "ip addr add " + h + " dev eth0 $(case " + h + " in *:*) echo nodad;; esac)\n"
		leave += "ip addr del " + h + " dev eth0\n"
	}
	take += "echo 1 >/proc/sys/net/ipv4/conf/eth0/arp_notify\n" +
		"echo 1 >/proc/sys/net/ipv6/conf/eth0/ndisc_notify\n" +
		"ip link set dev eth0 address " + strangerMAC + "\n"
	if err := script(take); err != nil {
		t.Fatal(err)
	}
	release = sync.OnceFunc(func() {
		if err := script(leave); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(release)
	return release
}

// contested puts a dual-stack Service in place that can have the addresses of hosts only, under a policy.
func contested(t *testing.T, policy string) (ns string) {
	t.Helper()
	ns = namespace(t)
	apply(t, strings.Replace(pool(ns, hosts...), "spec: {ipAddressPools", "spec: {conflictPolicy: "+policy+", ipAddressPools", 1))
	create(t, webServer(ns, "web", 1)+dualStack(serviceFor(ns, "web", "web", ns)))
	v4, v6 := addresses(t, ns, "web")
	if got := []string{v4.String(), v6.String()}; !slices.Equal(got, hosts) {
		t.Fatalf("the Service got %v", got)
	}
	return ns
}

func toldAbout(t *testing.T, ns, addr, outcome string) {
	t.Helper()
	contains(t, "address "+addr+" is used by the host with hardware address "+strangerMAC,
		"-n", ns, "get", "events", "--field-selector", "reason=AddressConflict", "-o", "jsonpath={.items[*].message}")
	contains(t, outcome, "-n", ns, "get", "events", "--field-selector", "reason=AddressConflict", "-o", "jsonpath={.items[*].message}")
	const condition = `jsonpath={.items[*].status.conditions[?(@.type=="AddressConflict")].message}`
	contains(t, strangerMAC, "-n", labctl.Namespace, "get", "servicel2statuses", "-l", "metallb.io/service-namespace="+ns, "-o", condition)
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

// TestAForeignHostHoldsTheAddress: it has the addresses of a dual-stack Service before the Service
// does, or takes them later, while they are announced.
func TestAForeignHostHoldsTheAddress(t *testing.T) {
	for _, policy := range []struct{ name, outcome string }{
		{"Report", "announced nevertheless"}, {"Withhold", "withheld until it is free"},
	} {
		t.Run(policy.name+"/first", func(t *testing.T) {
			release := occupy(t)
			ns := contested(t, policy.name)
			strangerIsTold(t, ns, policy.name, policy.outcome, release)
		})
		t.Run(policy.name+"/later", func(t *testing.T) {
			ns := contested(t, policy.name)
			for _, h := range hosts {
				answers(t, bare(h))
			}
			strangerIsTold(t, ns, policy.name, policy.outcome, occupy(t))
		})
	}
}

// strangerIsTold goes through what follows when a foreign host has both addresses of a Service,
// until it has left them.
func strangerIsTold(t *testing.T, ns, policy, outcome string, release func()) {
	t.Helper()
	apply(t, fmt.Sprintf(`
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: %[1]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: default, namespace: %[1]s}]
`, ns))
	for _, h := range hosts {
		toldAbout(t, ns, bare(h), outcome)
	}
	if policy == "Withhold" {
		for range 3 { // a single owner that answered would be believed sooner or later
			for _, h := range hosts {
				if mac, err := seenBy(t.Context(), bare(h)); err != nil || mac != strangerMAC {
					t.Fatalf("the client finds %s behind %s (%v), want the foreign host alone", mac, h, err)
				}
			}
		}
	}
	release()
	for _, h := range hosts {
		if policy == "Withhold" {
			contains(t, "address "+bare(h)+" is announced from node",
				"-n", ns, "get", "events", "--field-selector", "reason=ConflictResolved", "-o", "jsonpath={.items[*].message}")
		}
		answers(t, bare(h))
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
