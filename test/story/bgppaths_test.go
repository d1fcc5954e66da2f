// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/clarion-lb/clarion/internal/labctl/frr"
)

// dualStack makes a Service of serviceFor one with an address of each family.
func dualStack(service string) string {
	return strings.Replace(service, "spec:", "spec:\n  ipFamilyPolicy: RequireDualStack", 1)
}

// addresses waits for the two addresses of a dual-stack Service.
func addresses(t *testing.T, namespace, service string) (v4, v6 netip.Prefix) {
	t.Helper()
	address(t, namespace, service)
	ingress := func(i int) netip.Prefix {
		return host(t, kubectl(t, "-n", namespace, "get", "service", service, "-o", fmt.Sprintf("jsonpath={.status.loadBalancer.ingress[%d].ip}", i)))
	}
	return ingress(0), ingress(1)
}

// spreadsOverNodes: the router has a path by every node that can serve, traffic takes all of them,
// and the paths follow the pods.
func spreadsOverNodes(t *testing.T, r bgpRouter) {
	ns := namespace(t)
	apply(t, peerWith("router4", router4)+peerWith("router6", router6)+bgpPool("bgp", "203.0.113.0/24", "fd00:203::/120"))
	create(t, dualStack(local(serviceFor(ns, "web", "web", "bgp")))+podOn(ns, "web", "n1")+podOn(ns, "web", "n2")+podOn(ns, "web", "n3"))
	v4, v6 := addresses(t, ns, "web")
	r.leads(t, v4, 1, 2, 3)
	r.leads(t, v6, 1, 2, 3)
	takesAllPaths(t, web(v4), "192.168.100.3")
	takesAllPaths(t, web(v6), "fd00:100::3")
	for n := range nodeCount {
		contains(t, `["router4","router6"]`, "-n", "metallb-system", "get", "servicebgpstatuses", "-l",
			"metallb.io/service-name=web,metallb.io/node="+node(n+1), "-o", "jsonpath={range .items[*]}{.status.peers}{end}")
	}

	// The paths follow the endpoints, and the health check says the same as the route.
	kubectl(t, "-n", ns, "delete", "pod", "web-n2", "--wait=false")
	r.leads(t, v4, 1, 3)
	r.leads(t, v6, 1, 3)
	kubectl(t, "-n", ns, "annotate", "pod", "web-n3", "lab.clarion/ready=false")
	r.leads(t, v4, 1)
	healthy(t, ns, "web", 1)
	create(t, podOn(ns, "web", "n2"))
	r.leads(t, v4, 1, 2)
	healthy(t, ns, "web", 1, 2)

	// With policy Cluster every node serves as long as there is an endpoint anywhere.
	kubectl(t, "-n", ns, "patch", "service", "web", "--type=merge", "-p", `{"spec":{"externalTrafficPolicy":"Cluster"}}`)
	r.leads(t, v4, 1, 2, 3)
	kubectl(t, "-n", ns, "delete", "pod", "-l", "app=web", "--wait=false")
	r.leads(t, v4)
	r.leads(t, v6)
	create(t, podOn(ns, "web", "n3"))
	r.leads(t, v4, 1, 2, 3)
	// The route may be there before kube-proxy has its rules for a Service that had no endpoint.
	eventually(t, func(context.Context) error {
		if a, failed := tryAsk(t, web(v4), 10); a.nodes["n3"] != 10 {
			return fmt.Errorf("the pod on n3 answered %v, %d connections failed", a.nodes, failed)
		}
		return nil
	})
}

// takesAllPaths asks over many connections: every node gets its part of them.
func takesAllPaths(t *testing.T, target, client string) {
	t.Helper()
	const times = 60
	a := ask(t, target, times)
	t.Logf("%d connections to %s: %v", times, target, a.nodes)
	for n := range nodeCount {
		// A fair third is 20, with a standard deviation of 3.7.
		if got := a.nodes[node(n+1)]; got < 5 {
			t.Errorf("%s answered %d of %d connections to %s", node(n+1), got, times, target)
		}
	}
	if a.clients[client] != times {
		t.Errorf("the pods saw clients %v, want the real one, %s", a.clients, client)
	}
}

// healthy waits until exactly these nodes say on the health check port that they serve.
func healthy(t *testing.T, namespace, service string, nodes ...int) {
	t.Helper()
	port := kubectl(t, "-n", namespace, "get", "service", service, "-o", "jsonpath={.spec.healthCheckNodePort}")
	for n := 1; n <= nodeCount; n++ {
		want := "503"
		for _, m := range nodes {
			if m == n {
				want = "200"
			}
		}
		url := fmt.Sprintf("http://%s:%s/", frr.NodeAddress(n, false), port)
		eventually(t, func(ctx context.Context) error {
			code, err := lab.Exec(ctx, "client", "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", url)
			if err == nil && code != want {
				err = fmt.Errorf("health check of %s says %s, want %s", node(n), code, want)
			}
			return err
		})
	}
}

// bothFamiliesOverOneSession: one session over IPv4, or over IPv6, carries addresses of both.
func bothFamiliesOverOneSession(t *testing.T, r bgpRouter) {
	ns := namespace(t)
	apply(t, bgpPool("bgp", "203.0.113.0/24", "fd00:203::/120"))
	create(t, dualStack(serviceFor(ns, "web", "web", "bgp"))+podOn(ns, "web", "n1"))
	v4, v6 := addresses(t, ns, "web")
	for _, over := range []string{router4, router6} {
		peer := peerWith("both", over, "dualStackAddressFamily: true")
		// Until the API server has noticed that the peer before is gone, it takes this one for a duplicate.
		eventually(t, func(ctx context.Context) error { return lab.Apply(ctx, peer) })
		r.leads(t, v4, 1, 2, 3)
		r.leads(t, v6, 1, 2, 3)
		for _, addr := range []netip.Prefix{v4, v6} {
			if a := ask(t, web(addr), 10); a.nodes["n1"] != 10 {
				t.Errorf("over the session with %s, the pod on n1 answered %v", over, a.nodes)
			}
		}
		kubectl(t, "-n", "metallb-system", "delete", "bgppeer", "both")
		r.leads(t, v4)
		r.leads(t, v6)
	}
}

// attributesEdited: an edit of what routes say is sent as it is, in the session that there is, and
// nothing is withdrawn for it.
func attributesEdited(t *testing.T, r bgpRouter) {
	ns := namespace(t)
	apply(t, peerWith("router4", router4))
	addr := onEveryNode(t, ns)
	r.leads(t, addr, 1, 2, 3)
	before, held := r.sessions(t), r.unchanged(t, addr)
	withdrawn := r.withdrawals(t)
	for _, edit := range []string{`["64512:7"]`, `["64512:7","64512:8"]`, `["64512:9"]`} {
		kubectl(t, "-n", "metallb-system", "patch", "bgpadvertisement", "bgp", "--type=merge", "-p", `{"spec":{"communities":`+edit+`}}`)
		want := strings.NewReplacer(`"`, "", "[", "", "]", "", ",", " ").Replace(edit)
		eventually(t, func(ctx context.Context) error {
			paths, err := r.Attributes(ctx, "ipv4", addr.String())
			if err == nil && len(paths) != nodeCount {
				err = fmt.Errorf("%d paths, want %d", len(paths), nodeCount)
			}
			for _, p := range paths {
				if err == nil && p.Community.String != want {
					err = fmt.Errorf("communities %q, want %q", p.Community.String, want)
				}
			}
			return err
		})
	}
	held()
	if out := withdrawn(); strings.Contains(out, "Withdrawn") {
		t.Errorf("something was withdrawn:\n%s", out)
	} else if n := strings.Count(out, "Update Message"); n < 3*nodeCount {
		t.Errorf("%d UPDATEs were seen for 3 edits on %d nodes: the capture proves nothing", n, nodeCount)
	}
	// One route for all addresses instead of one each.
	kubectl(t, "-n", "metallb-system", "patch", "bgpadvertisement", "bgp", "--type=merge", "-p", `{"spec":{"aggregationLength":24}}`)
	r.leads(t, netip.MustParsePrefix("203.0.113.0/24"), 1, 2, 3)
	r.leads(t, addr)
	if after := r.sessions(t); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("sessions flapped: %v, before %v", after, before)
	}
}

// statusOfNobody: status objects without an owner, as a backup restores them, belong to the speaker's
// Pod again, so that they go when it does; and those without the label of their node get it back.
func statusOfNobody(t *testing.T, r bgpRouter) {
	ns := namespace(t)
	apply(t, peerWith("router4", router4)+bgpPool("bgp", "203.0.113.0/24")+pool("near-bgp", "192.168.101.63/32"))
	create(t, serviceFor(ns, "far", "web", "bgp")+serviceFor(ns, "near", "web", "near-bgp")+podOn(ns, "web", "n1"))
	r.leads(t, host(t, address(t, ns, "far")), 1, 2, 3)
	owner(t, address(t, ns, "near"))
	for resource, labels := range map[string]string{
		"servicel2statuses":  "metallb.io/service-name=near,metallb.io/service-namespace=" + ns,
		"servicebgpstatuses": "metallb.io/service-name=far,metallb.io/service-namespace=" + ns,
		"bgpsessionstates":   "metallb.io/bgp-peer=router4",
	} {
		selected := []string{"-n", "metallb-system", "get", resource, "-l", labels, "-o", "name"}
		contains(t, "/", selected...)
		objects := strings.Fields(kubectl(t, selected...))
		disown(t, objects[0])()
		unlabel(t, objects[0])()
	}
}
