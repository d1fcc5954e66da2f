// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestA9Ports: whatever a Service's ports look like, it gets an address of its own.
func TestA9Ports(t *testing.T) {
	ns := namespace(t)
	apply(t, `
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: ports, namespace: metallb-system}
spec: {addresses: ["198.18.80.0/28"]}
---
`)
	create(t, webServer(ns, "web", 1))
	kubectl(t, "-n", ns, "create", "service", "loadbalancer", "nginx-web", "--tcp=8082:80")
	kubectl(t, "-n", ns, "expose", "deployment", "web", "--type=LoadBalancer", "--name=exposed", "--port=8082", "--target-port=80")
	create(t, fmt.Sprintf(`
apiVersion: v1
kind: Service
metadata: {name: named-target, namespace: %[1]s}
spec:
  type: LoadBalancer
  selector: {app: web}
  ports: [{port: 8082, targetPort: http}]
---
apiVersion: v1
kind: Service
metadata: {name: several, namespace: %[1]s}
spec:
  type: LoadBalancer
  selector: {app: web}
  ports:
  - {name: http, port: 8082, targetPort: 80}
  - {name: https, port: 8443, targetPort: 80}
  - {name: http-udp, port: 8082, targetPort: 80, protocol: UDP}
---
apiVersion: v1
kind: Service
metadata: {name: fixed, namespace: %[1]s}
spec:
  type: LoadBalancer
  selector: {app: web}
  ports: [{port: 8082, targetPort: 80, nodePort: 31082}]
---
apiVersion: v1
kind: Service
metadata: {name: no-node-port, namespace: %[1]s}
spec:
  type: LoadBalancer
  allocateLoadBalancerNodePorts: false
  selector: {app: web}
  ports: [{port: 8082, targetPort: 80}]
`, ns))
	holders := map[string]string{}
	for _, name := range []string{"nginx-web", "exposed", "named-target", "several", "fixed", "no-node-port"} {
		addr := address(t, ns, name)
		if other, taken := holders[addr]; taken {
			t.Errorf("%s and %s both have %s", other, name, addr)
		}
		holders[addr] = name
	}

	// Sharing goes by the ports that are exposed, not by what is behind them: the same named
	// target behind two ports may share, the same port may not.
	share := []string{"metallb.io/allow-shared-ip: one"}
	create(t, sharing(ns, "share-a", 9001, share...)+sharing(ns, "share-b", 9002, share...))
	a, b := address(t, ns, "share-a"), address(t, ns, "share-b")
	if a != b {
		t.Errorf("Services with one sharing key and different ports have %s and %s", a, b)
	}
	create(t, sharing(ns, "share-c", 9002, share...))
	if c := address(t, ns, "share-c"); c == b {
		t.Errorf("two Services have %s and port 9002", c)
	}
}

func sharing(namespace, name string, port int, annotations ...string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Service
metadata:
  name: %s
  namespace: %s
  annotations: {%s}
spec:
  type: LoadBalancer
  selector: {app: web}
  ports: [{port: %d, targetPort: http}]
---
`, name, namespace, strings.Join(annotations, ", "), port)
}

// TestA10OtherServicesAreLeftAlone has Services of every other type beside one that gets an
// address, through a restart of the controller. The lab has no cluster DNS, so that names of
// Services are still resolved is not tried.
func TestA10OtherServicesAreLeftAlone(t *testing.T) {
	ns := namespace(t)
	apply(t, `
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: others, namespace: metallb-system}
spec: {addresses: ["198.18.81.0/28"]}
---
`)
	create(t, webServer(ns, "web", 1)+fmt.Sprintf(`
apiVersion: v1
kind: Service
metadata: {name: plain, namespace: %[1]s}
spec: {selector: {app: web}, ports: [{port: 8082, targetPort: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: nodeport, namespace: %[1]s}
spec: {type: NodePort, selector: {app: web}, ports: [{port: 8082, targetPort: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: headless, namespace: %[1]s}
spec: {clusterIP: None, selector: {app: web}, ports: [{port: 8082, targetPort: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: external, namespace: %[1]s}
spec: {type: ExternalName, externalName: example.org}
---
# A Service of another load balancer.
apiVersion: v1
kind: Service
metadata: {name: foreign, namespace: %[1]s}
spec: {type: LoadBalancer, loadBalancerClass: example.org/other, selector: {app: web}, ports: [{port: 8082, targetPort: 80}]}
`, ns))
	server := startDNS(t, ns)
	const others = 6 // with that of the DNS
	state := func() string {
		out := kubectl(t, "-n", ns, "get", "services", "-l", "!mine", "-o",
			`jsonpath={range .items[*]}{.metadata.name} {.metadata.resourceVersion} {.status}{"\n"}{end}`)
		if n := strings.Count(out, "\n"); n != others {
			t.Fatalf("%d Services, want %d:\n%s", n, others, out)
		}
		return out
	}
	before := state()
	kubectl(t, "-n", ns, "expose", "deployment", "web", "--type=LoadBalancer", "--name=mine", "-l", "mine=yes", "--port=8082", "--target-port=80")
	address(t, ns, "mine")
	kubectl(t, "-n", "metallb-system", "rollout", "restart", "deployment/controller")
	kubectl(t, "-n", "metallb-system", "rollout", "status", "deployment/controller", "--timeout=60s")
	kubectl(t, "-n", ns, "expose", "deployment", "web", "--type=LoadBalancer", "--name=mine-too", "-l", "mine=yes", "--port=8082", "--target-port=80")
	address(t, ns, "mine-too")

	if after := state(); before != after {
		t.Errorf("other Services were written:\nbefore:\n%s\nafter:\n%s", before, after)
	}
	contains(t, "mine", "-n", ns, "get", "events", "--field-selector", "involvedObject.kind=Service", "-o", events)
	for line := range strings.Lines(kubectl(t, "-n", ns, "get", "events", "--field-selector", "involvedObject.kind=Service", "-o", events)) {
		if !strings.HasPrefix(line, "mine") {
			t.Errorf("event at a Service that is not ours: %s", line)
		}
	}
	// Inside the cluster the Service is what it was, by address and by name.
	cluster := kubectl(t, "-n", ns, "get", "service", "mine", "-o", "jsonpath={.spec.clusterIP}")
	resolves(t, server, "n2", fmt.Sprintf("mine.%s.svc.cluster.local", ns), cluster)
	eventually(t, func(ctx context.Context) error {
		_, err := get(ctx, "n2", cluster+":8082")
		return err
	})
}

const events = `jsonpath={range .items[*]}{.involvedObject.name} {.source.component} {.reason}{"\n"}{end}`

// TestA11ComesBack takes a Service's type away and gives it back, then deletes it and creates
// it again, with and without a reservation, while another Service waits for the address.
func TestA11ComesBack(t *testing.T) {
	for _, c := range []struct {
		name, addr, reservation string
		returns                 bool
	}{
		{"reserved", "192.168.102.10", "reservationTime: 1h", true},
		{"free", "192.168.102.11", "avoidBuggyIPs: false", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			ns := namespace(t)
			apply(t, fmt.Sprintf(`
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: back, namespace: metallb-system}
spec: {autoAssign: false, addresses: ["%[1]s-%[1]s"], %[2]s}
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: back, namespace: metallb-system}
spec: {ipAddressPools: [back]}
---
`, c.addr, c.reservation))
			first, rival := serviceFor(ns, "first", "web", "back"), serviceFor(ns, "rival", "web", "back")
			create(t, webServer(ns, "web", 1)+first)
			if addr := address(t, ns, "first"); addr != c.addr {
				t.Fatalf("the address is %s, want %s", addr, c.addr)
			}
			owner(t, c.addr)

			kubectl(t, "-n", ns, "patch", "service", "first", "--type=merge", "-p", `{"spec":{"type":"ClusterIP"}}`)
			released(t, ns, "first", c.addr)
			create(t, rival)
			if !c.returns {
				address(t, ns, "rival") // nobody keeps it
				return
			}
			waits(t, ns, "rival", ns+"/first")
			kubectl(t, "-n", ns, "patch", "service", "first", "--type=merge", "-p", `{"spec":{"type":"LoadBalancer"}}`)
			if addr := address(t, ns, "first"); addr != c.addr {
				t.Errorf("the type came back, with %s instead of %s", addr, c.addr)
			}
			owner(t, c.addr)

			kubectl(t, "-n", ns, "delete", "service", "first")
			gone(t, c.addr)
			// Something that happens now makes the controller look again.
			kubectl(t, "-n", ns, "annotate", "service", "rival", "example.org/please=now")
			waits(t, ns, "rival", ns+"/first")
			create(t, first)
			if addr := address(t, ns, "first"); addr != c.addr {
				t.Errorf("the Service came back, with %s instead of %s", addr, c.addr)
			}
		})
	}
}

// released waits until a Service shows no trace of an address and nobody answers for it.
func released(t *testing.T, namespace, service, addr string) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		out, err := lab.Kubectl(ctx, "-n", namespace, "get", "service", service, "-o",
			`jsonpath={.status.loadBalancer}{.status.conditions}{.metadata.annotations.metallb\.io/ip-allocated-from-pool}`)
		if err == nil && strings.Trim(out, "{}[] ") != "" {
			err = fmt.Errorf("%s still shows %s", service, out)
		}
		return err
	})
	gone(t, addr)
}

// gone waits until nobody on the LAN answers for an address.
func gone(t *testing.T, addr string) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		if node, err := lab.Owner(ctx, addr, 100*time.Millisecond); err == nil {
			return fmt.Errorf("%s still answers for %s", node, addr)
		}
		return nil
	})
}

// waits waits until a Service is told for whom the one address is kept.
func waits(t *testing.T, namespace, service, holder string) {
	t.Helper()
	contains(t, " for "+holder+" until ", "-n", namespace, "get", "service", service, "-o",
		`jsonpath={.status.conditions[?(@.type=="metallb.io/AddressAssigned")].message}`)
	if addr := kubectl(t, "-n", namespace, "get", "service", service, "-o",
		"jsonpath={.status.loadBalancer.ingress[*].ip}"); addr != "" {
		t.Errorf("%s has %s, which is kept for another Service", service, addr)
	}
}
