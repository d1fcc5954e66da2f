// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// TestA1MainJob is the story that everything else is for: install, apply a pool and an
// advertisement, create a Deployment and a Service, and reach it from outside.
func TestA1MainJob(t *testing.T) {
	apply(t, `
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: first-pool, namespace: metallb-system}
spec: {addresses: ["192.168.100.200-192.168.100.220"]}
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: example, namespace: metallb-system}
spec: {ipAddressPools: [first-pool]}
---
`+webServer("default", "nginx-metallb", 1)+`
apiVersion: v1
kind: Service
metadata: {name: nginx-metallb}
spec:
  type: LoadBalancer
  selector: {app: nginx-metallb}
  ports: [{port: 8090, targetPort: 80}]
`)
	addr := address(t, "default", "nginx-metallb")
	if addr != "192.168.100.200" {
		t.Errorf("the address is %s, want the first of the pool", addr)
	}
	shown := kubectl(t, "get", "svc", "nginx-metallb")
	ports := regexp.MustCompile(`8090:(3\d{4})/TCP`).FindStringSubmatch(shown)
	if !strings.Contains(shown, addr) || ports == nil {
		t.Fatalf("kubectl get svc prints %q, want %s and 8090:3xxxx/TCP", shown, addr)
	}
	eventually(t, func(ctx context.Context) error {
		page, err := get(ctx, "client", addr+":8090")
		if err == nil && !strings.Contains(page, "nginx-metallb") {
			return fmt.Errorf("the page is %q, want it to name the pod", page)
		}
		return err
	})
	for _, node := range []string{"192.168.100.11", "192.168.100.12", "192.168.100.13"} {
		if _, err := get(t.Context(), "client", node+":"+ports[1]); err != nil {
			t.Errorf("node port: %v", err)
		}
	}
	contains(t, "IPAllocated", "get", "events", "--field-selector", "involvedObject.name=nginx-metallb,involvedObject.kind=Service")
	contains(t, "nodeAssigned", "get", "events", "--field-selector", "involvedObject.name=nginx-metallb,involvedObject.kind=Service")
	contains(t, "nginx-metallb", "-n", "metallb-system", "get", "servicel2statuses")
}

// TestEveryServiceGetsAnAddressOfItsOwn creates 200 Services at once, then restarts the
// controller, which must neither move an address nor write a status.
func TestEveryServiceGetsAnAddressOfItsOwn(t *testing.T) {
	const services = 200
	ns := namespace(t)
	apply(t, pool("crowd", "192.168.101.0/24"))
	var manifests strings.Builder
	for i := range services {
		manifests.WriteString(serviceFor(ns, fmt.Sprintf("s%03d", i), "none", "crowd"))
	}
	create(t, manifests.String())

	state := func() string {
		return kubectl(t, "-n", ns, "get", "services", "-o",
			`jsonpath={range .items[*]}{.metadata.name} {.metadata.resourceVersion} {.status.loadBalancer.ingress[*].ip}{"\n"}{end}`)
	}
	eventually(t, func(context.Context) error {
		addresses := map[string]bool{}
		for line := range strings.Lines(state()) {
			if f := strings.Fields(line); len(f) == 3 {
				addresses[f[2]] = true
			}
		}
		if len(addresses) != services {
			return fmt.Errorf("%d different addresses, want %d", len(addresses), services)
		}
		return nil
	})

	before := state()
	kubectl(t, "-n", "metallb-system", "rollout", "restart", "deployment/controller")
	kubectl(t, "-n", "metallb-system", "rollout", "status", "deployment/controller", "--timeout=60s")
	// A Service that comes now is served after all that were there.
	create(t, serviceFor(ns, "zz-last", "none", "crowd"))
	address(t, ns, "zz-last")
	after := strings.Join(strings.SplitAfter(state(), "\n")[:services], "")
	if before != after {
		t.Errorf("the restart changed Services:\nbefore:\n%s\nafter:\n%s", before, after)
	}
}

// TestMistakesStayWhereTheyAre: each mistake is told at its own object, and nothing else stops.
func TestMistakesStayWhereTheyAre(t *testing.T) {
	ns := namespace(t)
	apply(t, pool("mistakes", "192.168.102.0/30"))
	apply(t, serviceFor(ns, "good", "none", "mistakes")+
		serviceFor(ns, "outside", "none", "mistakes", "metallb.io/loadBalancerIPs: 203.0.113.7"))
	good := address(t, ns, "good")
	apply(t, serviceFor(ns, "taken", "none", "mistakes", "metallb.io/loadBalancerIPs: "+good)+
		serviceFor(ns, "nopool", "none", "no-such-pool"))

	events := func(service string) []string {
		return []string{
			"-n", ns, "get", "events", "--field-selector", "involvedObject.kind=Service,involvedObject.name=" + service,
			"-o", "jsonpath={range .items[*]}{.reason}: {.message}\n{end}",
		}
	}
	condition := func(service string) []string {
		return []string{
			"-n", ns, "get", "service", service, "-o",
			`jsonpath={.status.conditions[?(@.type=="metallb.io/AddressAssigned")].message}`,
		}
	}
	contains(t, `AllocationFailed: Failed to allocate IP for "`+ns+`/outside"`, events("outside")...)
	contains(t, "is not allowed in config", condition("outside")...)
	contains(t, "AllocationFailed", events("taken")...)
	contains(t, "good", condition("taken")...) // names the holder
	contains(t, `unknown pool "no-such-pool"`, condition("nopool")...)

	// What a rule in the CRD can see is refused at once, and names the field.
	err := lab.Apply(t.Context(), pool("bad", "192.168.103.1"))
	if err == nil || !strings.Contains(err.Error(), "spec.addresses") {
		t.Errorf("a pool with an address that is no range: %v, want an error that names spec.addresses", err)
	}
	err = lab.Apply(t.Context(), pool("reversed", "192.168.103.20-192.168.103.10"))
	if err == nil || !strings.Contains(err.Error(), "the range ends before it begins") {
		t.Errorf("a pool with a range that ends before it begins: %v, want an error that says so", err)
	}
	if now := address(t, ns, "good"); now != good {
		t.Errorf("the good Service moved from %s to %s", good, now)
	}
}
