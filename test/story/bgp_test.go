// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/labctl"
	"github.com/clarion-lb/clarion/internal/labctl/frr"
)

const (
	nodeASN, routerASN = 64512, 64513
	nodeCount          = 3
	router4, router6   = "192.168.100.1", "fd00:100::1"
)

// bgpRouter is FRR on the lab's router host, which the client has its default route to.
type bgpRouter struct {
	*frr.Router
}

// TestBGP has the stories of BGP, all on one router.
func TestBGP(t *testing.T) {
	r := startRouter(t)
	applyProfile(t, fast)
	for _, s := range []struct {
		name string
		tell func(*testing.T, bgpRouter)
	}{
		{"SpreadsOverNodes", spreadsOverNodes},
		{"BothFamiliesOverOneSession", bothFamiliesOverOneSession},
		{"LinkCutWithBFD", linkCutWithBFD},
		{"SpeakerKilled", speakerKilled},
		{"NodeDead", nodeDead},
		{"RollingUpdate", rollingUpdate},
		{"AttributesEdited", attributesEdited},
		{"StatusOfNobody", statusOfNobody},
		{"PeerThatCannotBe", peerThatCannotBe},
		{"PeersThatMisbehave", peersThatMisbehave},
		{"PasswordInASecret", passwordInASecret},
		{"ManyChanges", manyChanges},
	} {
		t.Run(s.name, func(t *testing.T) { s.tell(t, r) })
	}
}

// startRouter runs FRR on the router host until the test ends. The nodes are its neighbours over both
// families, and it offers BFD at 50 ms to all of them.
func startRouter(t *testing.T) bgpRouter {
	t.Helper()
	f := frr.Fabric{
		ASN: routerASN, NodeASN: nodeASN, RouterID: router4, BFDInterval: 50,
		Global: []string{"bgp graceful-restart"}, EachNeighbor: []string{"bfd profile fast"},
	}
	for n := range nodeCount {
		f.Neighbors = append(f.Neighbors, frr.NodeAddress(n+1, false).String(), frr.NodeAddress(n+1, true).String())
	}
	r, err := frr.Start(t.Context(), frr.Options{Netns: lab.Netns("router"), Dir: t.TempDir(), Config: f.Config()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.Stop()
		if t.Failed() {
			t.Log(r.Said())
		}
	})
	return bgpRouter{r}
}

// peerWith returns a BGPPeer with the router, and more lines of its spec.
func peerWith(name, address string, spec ...string) string {
	return fmt.Sprintf(`
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata: {name: %s, namespace: metallb-system}
spec:
  myASN: %d
  peerASN: %d
  peerAddress: "%s"
  %s
---
`, name, nodeASN, routerASN, address, strings.Join(spec, "\n  "))
}

// fast is the BFD profile that the router runs.
const fast = `
apiVersion: metallb.io/v1beta1
kind: BFDProfile
metadata: {name: fast, namespace: metallb-system}
spec: {receiveInterval: 50, transmitInterval: 50, detectMultiplier: 3}
---
`

// bgpPool returns an IPAddressPool and a BGPAdvertisement of the same name for it alone.
func bgpPool(name string, addresses ...string) string {
	_, rest, _ := strings.Cut(strings.ReplaceAll(pool(name, addresses...), "L2Advertisement", "BGPAdvertisement"), "\n")
	return rest
}

// podOn returns a web server on one node; it is labelled with the node's name, too.
func podOn(namespace, app, node string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: %[2]s-%[3]s, namespace: %[1]s, labels: {app: %[2]s, on: %[3]s}}
spec:
  nodeName: %[3]s
  containers:
  - {name: web, image: nginx, ports: [{containerPort: 80}, {containerPort: 80, protocol: UDP}]}
---
`, namespace, app, node)
}

// local makes a Service of serviceFor one that only nodes with an endpoint serve.
func local(service string) string {
	return strings.Replace(service, "  type: LoadBalancer", "  type: LoadBalancer\n  externalTrafficPolicy: Local", 1)
}

// onEveryNode puts a Service with externalTrafficPolicy Local and a pod on every node in place, so
// that whichever node a packet goes to, this node answers it. It returns the IPv4 address.
func onEveryNode(t *testing.T, ns string) netip.Prefix {
	t.Helper()
	apply(t, bgpPool("bgp", "203.0.113.0/24"))
	manifests := local(serviceFor(ns, "web", "web", "bgp"))
	for n := range nodeCount {
		manifests += podOn(ns, "web", node(n+1))
	}
	create(t, manifests)
	return host(t, address(t, ns, "web"))
}

func node(n int) string { return fmt.Sprintf("n%d", n) }

func host(t *testing.T, addr string) netip.Prefix {
	t.Helper()
	a, err := netip.ParseAddr(addr)
	if err != nil {
		t.Fatal(err)
	}
	return netip.PrefixFrom(a, a.BitLen())
}

// hops are the addresses of nodes in the family of a prefix, sorted as FRR's are.
func hops(prefix netip.Prefix, nodes ...int) []string {
	var out []string
	for _, n := range nodes {
		out = append(out, frr.NodeAddress(n, prefix.Addr().Is6()).String())
	}
	slices.Sort(out)
	return out
}

// leads waits until packets for a prefix go to exactly these nodes, and says how long it took.
func (r bgpRouter) leads(t *testing.T, prefix netip.Prefix, nodes ...int) {
	t.Helper()
	start := time.Now()
	eventually(t, func(ctx context.Context) error {
		got, err := r.kernelHops(ctx, prefix)
		if err == nil && !slices.Equal(got, hops(prefix, nodes...)) {
			family := map[bool]string{false: "ipv4", true: "ipv6"}[prefix.Addr().Is6()]
			table, _ := r.Vtysh(ctx, "show bgp "+family+" unicast", "show bgp summary")
			err = fmt.Errorf("route of %s leads to %v, want %v\n%s", prefix, got, hops(prefix, nodes...), table)
		}
		return err
	})
	t.Logf("%s leads to %v after %d ms", prefix, nodes, time.Since(start).Milliseconds())
}

// serves waits until packets for an address of onEveryNode go to all nodes and each answers: the route
// may be there before kube-proxy has its rules for the Service, on a node just switched on for seconds.
func (r bgpRouter) serves(t *testing.T, prefix netip.Prefix) {
	t.Helper()
	r.leads(t, prefix, 1, 2, 3)
	eventually(t, func(context.Context) error {
		if a, failed := tryAsk(t, web(prefix), 30); failed > 0 || len(a.nodes) < nodeCount {
			return fmt.Errorf("%d of 30 connections failed, the others were answered by %v", failed, a.nodes)
		}
		return nil
	})
}

var via = regexp.MustCompile(`via (?:inet6 )?(\S+)`)

// kernelHops are the next hops that the router's kernel has for exactly this prefix.
func (r bgpRouter) kernelHops(ctx context.Context, prefix netip.Prefix) ([]string, error) {
	family := map[bool]string{false: "-4", true: "-6"}[prefix.Addr().Is6()]
	out, err := lab.Exec(ctx, "router", "ip", family, "route", "show", "exact", prefix.String())
	var got []string
	for _, m := range via.FindAllStringSubmatch(out, -1) {
		got = append(got, m[1])
	}
	slices.Sort(got)
	return slices.Compact(got), err
}

// sessions returns how often each session came up; one that flaps changes it.
func (r bgpRouter) sessions(t *testing.T) map[string]int {
	t.Helper()
	all, err := r.Neighbors(context.WithoutCancel(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]int{}
	for addr, n := range all {
		out[addr] = n.ConnectionsEstablished
	}
	return out
}

// unchanged watches the router's kernel until the returned function is called, which fails
// the test when packets for the prefix were ever led elsewhere than to all nodes.
func (r bgpRouter) unchanged(t *testing.T, prefix netip.Prefix) func() {
	t.Helper()
	m, err := r.Monitor()
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		for _, c := range m.Stop() {
			if c.Prefix == prefix && (c.Deleted || len(c.Hops) != nodeCount) {
				t.Errorf("the route was changed: %+v", c)
			}
		}
	}
}

// asked is what a client was answered over many connections.
type asked struct {
	nodes   map[string]int
	clients map[string]int
}

var said = regexp.MustCompile(`(?i)X-Lab-(Node|Client): (\S+)`)

// ask fetches a page many times, each from another port.
func ask(t *testing.T, target string, times int) asked {
	t.Helper()
	a, failed := tryAsk(t, target, times)
	if failed > 0 {
		t.Errorf("%d of %d connections failed", failed, times)
	}
	return a
}

// tryAsk is ask for somebody who does not mind that connections fail.
func tryAsk(t *testing.T, target string, times int) (a asked, failed int) {
	t.Helper()
	script := fmt.Sprintf("for i in $(seq %d); do curl -s -o /dev/null -D - --max-time 2 http://%s || echo failed $?; done", times, target)
	out, err := lab.Exec(t.Context(), "client", "sh", "-c", script)
	if err != nil {
		t.Fatal(err)
	}
	a = asked{map[string]int{}, map[string]int{}}
	for _, m := range said.FindAllStringSubmatch(out, -1) {
		if m[1] == "Node" {
			a.nodes[m[2]]++
		} else {
			a.clients[m[2]]++
		}
	}
	return a, strings.Count(out, "failed")
}

func web(addr netip.Prefix) string { return net.JoinHostPort(addr.Addr().String(), "8090") }

// quiet says that a client lost nothing, and that it did ask.
func quiet(t *testing.T, o labctl.Outage) {
	t.Helper()
	if o.Lost > 0 {
		t.Errorf("%d of %d questions were lost within %.0f ms", o.Lost, o.Sent, o.LossMS)
	}
	if o.Answered < 100 {
		t.Errorf("only %d answers: nothing was measured", o.Answered)
	}
}
