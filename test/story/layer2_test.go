// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarion-lb/clarion/internal/labctl"
)

// family is a kind of Service and the pool for it, which no other story uses.
type family struct {
	name, policy string
	families     string
	addresses    []string
}

// stacks returns the three kinds, with addresses that end in the given number and up.
func stacks(from int) []family {
	v4 := fmt.Sprintf("192.168.103.%d-192.168.103.%d", from, from+9)
	v6 := fmt.Sprintf("fd00:100::103:%d-fd00:100::103:%d", from, from+9)
	return []family{
		{"IPv4", "SingleStack", "IPv4", []string{v4}},
		{"IPv6", "SingleStack", "IPv6", []string{v6}},
		{"dual stack", "RequireDualStack", "IPv4, IPv6", []string{v4, v6}},
	}
}

// service returns the Service web of the family: port 8080 to port 8000, and more of a spec.
func (f family) service(ns, pool, spec string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Service
metadata: {name: web, namespace: %s, annotations: {metallb.io/address-pool: %s}}
spec:
  type: LoadBalancer
  selector: {app: web}
  ports: [{port: 8080, targetPort: 8000}]
  ipFamilies: [%s]
  ipFamilyPolicy: %s
  %s
---
`, ns, pool, f.families, f.policy, spec)
}

// start makes pool, pods and Service and returns the addresses.
func (f family) start(t *testing.T, ns string, replicas int, spec string) []string {
	t.Helper()
	apply(t, pool(ns, f.addresses...))
	create(t, strings.ReplaceAll(webServer(ns, "web", replicas), "containerPort: 80", "containerPort: 8000")+f.service(ns, ns, spec))
	var addrs []string
	eventually(t, func(context.Context) error {
		addrs = strings.Fields(kubectl(t, "-n", ns, "get", "service", "web", "-o", "jsonpath={.status.loadBalancer.ingress[*].ip}"))
		if len(addrs) != len(f.addresses) {
			return fmt.Errorf("addresses %v, want %d", addrs, len(f.addresses))
		}
		return nil
	})
	return addrs
}

// silent waits until nobody answers for an address on the wire.
func silent(t *testing.T, addr string) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		mac, err := seenBy(ctx, addr)
		if err == nil && mac != "-" {
			err = fmt.Errorf("%s still answers for %s", mac, addr)
		}
		return err
	})
}

func scale(t *testing.T, ns string, replicas int) {
	t.Helper()
	kubectl(t, "-n", ns, "scale", "deployment/web", fmt.Sprintf("--replicas=%d", replicas))
}

// pods returns the pods of the Service and their nodes.
func pods(t *testing.T, ns string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, line := range strings.Fields(kubectl(t, "-n", ns, "get", "pods", "-l", "app=web", "-o",
		`jsonpath={range .items[*]}{.metadata.name}={.spec.nodeName}{"\n"}{end}`)) {
		name, node, _ := strings.Cut(line, "=")
		out[name] = node
	}
	return out
}

// TestA4Replicas spreads requests over all pods, withdraws the address of a Service without
// any, and brings it back, wherever the pod is.
func TestA4Replicas(t *testing.T) {
	for _, f := range stacks(10) {
		t.Run(f.name, func(t *testing.T) {
			ns := namespace(t)
			addrs := f.start(t, ns, 3, "")
			for _, addr := range addrs {
				seen := map[string]bool{}
				eventually(t, func(ctx context.Context) error {
					page, err := get(ctx, "client", net.JoinHostPort(addr, "8080"))
					if err != nil {
						return err
					}
					for pod := range pods(t, ns) {
						if strings.Contains(page, pod) {
							seen[pod] = true
						}
					}
					if len(seen) < 3 {
						return fmt.Errorf("%d of 3 pods answered", len(seen))
					}
					return nil
				})
			}
			scale(t, ns, 0)
			for _, addr := range addrs {
				silent(t, addr)
			}
			scale(t, ns, 1)
			for _, addr := range addrs {
				eventually(t, func(ctx context.Context) error {
					_, err := get(ctx, "client", net.JoinHostPort(addr, "8080"))
					return err
				})
			}
		})
	}
}

// endpointsPatience is how long the announcement may take to follow the endpoints. It is far above
// what a machine with nothing else to do needs; the figure itself is logged.
const endpointsPatience = 3 * time.Second

// TestA12Endpoints takes a Service its endpoints and gives them back, and measures on the wire how
// long it takes until the last and the first claim of each address.
func TestA12Endpoints(t *testing.T) {
	for _, f := range stacks(50) {
		t.Run(f.name, func(t *testing.T) {
			ns := namespace(t)
			addrs := f.start(t, ns, 2, "")
			reach := func(ctx context.Context) (err error) {
				for _, addr := range addrs {
					_, one := get(ctx, "client", net.JoinHostPort(addr, "8080"))
					err = errors.Join(err, one)
				}
				return err
			}
			eventually(t, reach)
			client := connect(t)
			selects := func(app string) (at time.Time) {
				t.Helper()
				at = time.Now()
				if _, err := client.CoreV1().Services(ns).Patch(t.Context(), "web", types.StrategicMergePatchType,
					[]byte(`{"spec":{"selector":{"app":"`+app+`"}}}`), metav1.PatchOptions{}); err != nil {
					t.Fatal(err)
				}
				return at
			}
			stop := curious(t, addrs...)
			var taken, given time.Time
			o, err := lab.WatchBy(t.Context(), "tcp", net.JoinHostPort(addrs[0], "8080"), 0, func() error {
				time.Sleep(lead)
				taken = selects("nothing")
				for _, addr := range addrs {
					silent(t, addr)
				}
				given = selects("web")
				eventually(t, reach)
				return nil
			})
			stop()
			if err != nil {
				t.Fatal(err)
			}
			for _, addr := range addrs {
				followed(t, o, addr, taken, given)
			}
			if after := strings.Fields(kubectl(t, "-n", ns, "get", "service", "web", "-o", "jsonpath={.status.loadBalancer.ingress[*].ip}")); !slices.Equal(after, addrs) {
				t.Errorf("addresses were %v and are %v", addrs, after)
			}
		})
	}
}

// followed says how long after its endpoints were taken an address was claimed for the last time, and
// how long after they were given back for the first time.
func followed(t *testing.T, o labctl.Outage, addr string, taken, given time.Time) {
	t.Helper()
	if o.Owners(taken)[addr] == "" {
		t.Errorf("nobody claimed %s before: nothing was measured", addr)
	}
	var gone, back time.Duration
	for _, times := range o.Claims(addr, taken) {
		for _, at := range times {
			if at.Before(given) {
				gone = max(gone, at.Sub(taken))
			} else if d := at.Sub(given); back == 0 || d < back {
				back = d
			}
		}
	}
	t.Logf("%s was claimed for the last time %.0f ms after its endpoints were taken, and again %.0f ms after they were given back",
		addr, gone.Seconds()*1000, back.Seconds()*1000)
	if gone > endpointsPatience {
		t.Errorf("%s was announced for %s without endpoints", addr, gone)
	}
	if back == 0 || back > endpointsPatience {
		t.Errorf("%s was announced again %s after it had endpoints, want at most %s", addr, back, endpointsPatience)
	}
}
