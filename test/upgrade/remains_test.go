// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package upgrade

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/clarion-lb/clarion/internal/labctl"
)

const (
	apps   = "apps" // namespace of the Services
	system = "metallb-system"
)

// service is one that has its address from MetalLB.
type service struct {
	name, addr, pool string
	port             int
	spec             string            // more of its spec, in YAML's flow form with a comma before it
	annotations      map[string]string // that the user has written
	// told is the annotation by which MetalLB says from which pool the address is.
	told string
}

const (
	told    = "metallb.io/ip-allocated-from-pool"
	toldOld = "metallb.universe.tf/ip-allocated-from-pool"
)

// served are the Services of the cluster: with MetalLB's annotations in both forms, alone and
// shared, for all nodes and for those with pods.
func served() []service {
	return []service{
		{name: "plain", addr: "192.168.101.1", pool: "auto", port: 8090, told: told},
		{name: "gap", addr: "192.168.101.7", pool: "auto", port: 8090, told: told}, // .2 to .6 were given back
		{name: "pinned", addr: "192.168.101.50", pool: "auto", port: 8090, told: told,
			annotations: map[string]string{"metallb.universe.tf/loadBalancerIPs": "192.168.101.50"}},
		{name: "field", addr: "192.168.102.3", pool: "reserved", port: 8090, told: told, spec: `, loadBalancerIP: 192.168.102.3`},
		{name: "shared-a", addr: "192.168.101.60", pool: "auto", port: 8090, told: told, annotations: map[string]string{
			"metallb.universe.tf/allow-shared-ip": "key", "metallb.io/loadBalancerIPs": "192.168.101.60"}},
		{name: "shared-b", addr: "192.168.101.60", pool: "auto", port: 8091, told: told, annotations: map[string]string{
			"metallb.io/allow-shared-ip": "key", "metallb.io/loadBalancerIPs": "192.168.101.60"}},
		{name: "local", addr: "192.168.102.1", pool: "reserved", port: 8090, told: told, spec: `, externalTrafficPolicy: Local`,
			annotations: map[string]string{"metallb.universe.tf/address-pool": "reserved"}},
		{name: "old", addr: "192.168.101.9", pool: "auto", port: 8090, told: toldOld},
	}
}

// leave puts the users' objects in place, and the status that MetalLB wrote. Its CRDs and pods
// must be there, and its webhooks must not, because nobody answers for them.
func (c *cluster) leave(t *testing.T, secret, deployment string) {
	t.Helper()
	if err := labctl.Eventually(t.Context(), patience, func(ctx context.Context) error { // until the CRDs are served
		return c.Apply(ctx, read(t, "metallb/configuration.yaml"))
	}); err != nil {
		t.Fatal(err)
	}
	c.apply(t, fmt.Sprintf(`
apiVersion: v1
kind: Namespace
metadata: {name: %[1]s}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: echo, namespace: %[1]s}
spec:
  replicas: 2
  selector: {matchLabels: {app: echo}}
  template:
    metadata: {labels: {app: echo}}
    spec: {containers: [{name: echo, image: nginx, ports: [{containerPort: 80, protocol: UDP}]}]}
`, apps))
	c.kubectl(t, "-n", apps, "rollout", "status", "deployment/echo", "--timeout=60s")
	for _, s := range served() {
		c.serve(t, s)
	}
	uid := c.kubectl(t, "-n", system, "get", "deployment", deployment, "-o", "jsonpath={.metadata.uid}")
	c.apply(t, fmt.Sprintf(`{apiVersion: v1, kind: Secret, metadata: {name: %s, namespace: %s,
		ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: %s, uid: %s}]}, stringData: {secretkey: b2xkIGtleSBvZiBNZXRhbExC}}`,
		secret, system, deployment, uid))
	c.states(t)
}

// leaveFRR makes what MetalLB's speakers ask frr-k8s for, before webhooks look at it.
func (c *cluster) leaveFRR(t *testing.T) {
	t.Helper()
	if err := labctl.Eventually(t.Context(), patience, func(ctx context.Context) error { // until the CRD is served
		return c.Apply(ctx, read(t, "metallb/frrconfigurations.yaml"))
	}); err != nil {
		t.Fatal(err)
	}
}

func (c *cluster) serve(t *testing.T, s service) {
	t.Helper()
	annotations, err := json.Marshal(s.annotations)
	if err != nil {
		t.Fatal(err)
	}
	c.apply(t, fmt.Sprintf(`{apiVersion: v1, kind: Service, metadata: {name: %s, namespace: %s, annotations: %s},
		spec: {type: LoadBalancer, selector: {app: echo}, ports: [{port: %d, targetPort: 80, protocol: UDP}]%s}}`,
		s.name, apps, annotations, s.port, s.spec))
	// By one request on the status, as MetalLB's controller does.
	c.kubectl(t, "-n", apps, "patch", "service", s.name, "--subresource=status", "--type=merge", "-p", fmt.Sprintf(
		`{"metadata": {"annotations": {%q: %q}}, "status": {"loadBalancer": {"ingress": [{"ip": %q}]}}}`, s.told, s.pool, s.addr))
}

// states makes MetalLB's status objects: those that its pods own, and one of each kind that
// nobody owns any more, of a node that does not announce the Service.
func (c *cluster) states(t *testing.T) {
	t.Helper()
	pods := map[string]string{} // owner references by node
	for _, line := range strings.Split(strings.TrimSpace(c.kubectl(t, "-n", system, "get", "pods", "-o",
		`jsonpath={range .items[*]}{.spec.nodeName} {.spec.hostNetwork} {.metadata.name} {.metadata.uid}{"\n"}{end}`)), "\n") {
		if f := strings.Split(line, " "); f[1] == "true" {
			pods[f[0]] = fmt.Sprintf("[{apiVersion: v1, kind: Pod, name: %s, uid: %s}]", f[2], f[3])
		}
	}
	if len(pods) != 3 {
		t.Fatalf("MetalLB's speakers: %v", pods)
	}
	for i, s := range served() {
		node := elected(s.addr, "n1", "n2", "n3")
		c.state(t, "ServiceL2Status", fmt.Sprintf("l2-%05d", i), node, pods[node], s.name, `"interfaces": []`)
	}
	s := served()[0]
	other := map[string]string{"n1": "n2", "n2": "n3", "n3": "n1"}[elected(s.addr, "n1", "n2", "n3")]
	c.state(t, "ServiceL2Status", "l2-stale", other, "[]", s.name, `"interfaces": []`)
	c.state(t, "ServiceBGPStatus", "bgp-abcde", "n1", pods["n1"], "local", `"peers": ["router"]`)
	c.state(t, "ServiceBGPStatus", "bgp-stale", "n1", "[]", "gone", `"peers": ["router"]`)
	c.apply(t, fmt.Sprintf(`{apiVersion: metallb.io/v1beta1, kind: ConfigurationState,
		metadata: {name: speaker-n1, namespace: %s, labels: {metallb.io/component-type: speaker, metallb.io/node-name: n1}, ownerReferences: %s}}`,
		system, pods["n1"]))
}

func (c *cluster) state(t *testing.T, kind, name, node, owners, service, more string) {
	t.Helper()
	c.apply(t, fmt.Sprintf(`{apiVersion: metallb.io/v1beta1, kind: %s, metadata: {name: %s, namespace: %s, ownerReferences: %s,
		labels: {metallb.io/node: %s, metallb.io/service-name: %s, metallb.io/service-namespace: %s}}}`,
		kind, name, system, owners, node, service, apps))
	c.kubectl(t, "-n", system, "patch", kind, name, "--subresource=status", "--type=merge", "-p", fmt.Sprintf(
		`{"status": {"node": %q, "serviceName": %q, "serviceNamespace": %q, %s}}`, node, service, apps, more))
}
